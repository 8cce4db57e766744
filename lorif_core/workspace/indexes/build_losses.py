"""Build an index of losses from models that are here: forward passes only, one model after the other.

What a model makes of the texts of a part goes to a file of its own; when all are there, the parts are written and
these files are deleted. A build that is killed goes on with the files that are missing: it loses at most one model's
losses of one part.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import torch
from safetensors.torch import save

from lorif_core.catalog import DatasetRecord, IndexRecord, ModelRecord
from lorif_core.data.example import Example
from lorif_core.data.sequences import add_counts, count_tokens, has_targets, is_cut
from lorif_core.errors import ConfigError, FingerprintMismatch, LorifError
from lorif_core.files import replace_file
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.daunce import LOSSES, losses_module
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import DaunceConfig, IndexConfig
from lorif_core.models.load import fingerprints_of, load_model
from lorif_core.passes.text_losses import text_losses
from lorif_core.store.blocks import NUMBERS_BYTES
from lorif_core.store.parts import ShardFacts
from lorif_core.store.plan import Parents
from lorif_core.store.typed_safetensors import read_tensors
from lorif_core.workers_config import ALONE, WorkersConfig
from lorif_core.workspace.folder.index_losses import IndexLosses, LossModel
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.estimate import IndexEstimate
from lorif_core.workspace.indexes.free_memory import free_bytes
from lorif_core.workspace.indexes.index_job import SELF_INFLUENCE_BYTES, index_id_of
from lorif_core.workspace.indexes.loss_index import (
    LossBatches,
    LossJob,
    LossRun,
    loss_plan,
    register_losses,
    write_loss_index,
)
from lorif_core.workspace.indexes.loss_models import load_loss_model
from lorif_core.workspace.indexes.model_share import ModelShare
from lorif_core.workspace.indexes.name_members import placed_folders

COLUMNS = "columns"
"""Folder of an index that is being built: what each model makes of the texts of each part."""

TIMED_EXAMPLES = 64
FEWEST_MODELS = 2


@dataclass(frozen=True)
class LossBuild:
    """An index of losses that is about to be built."""

    job: LossJob
    losses: IndexLosses
    engine: Engine
    """With the index's own model, which tokenises."""

    @property
    def num_left(self) -> int:
        """Losses that are still to be taken."""
        plan = self.job.plan
        whole = len(self.losses.models) * plan.num_examples
        return whole - sum(
            len(plan.rows_of(part))
            for place in range(len(self.losses.models))
            for part in range(plan.num_parts)
            if self.column(place, part).exists()
        )

    def column(self, place: int, part: int) -> Path:
        """Where one model's losses of one part lie until the part is written."""
        return self.job.folder / COLUMNS / f"{place:05d}-{part:05d}.safetensors"


def build_losses(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    settings: IndexConfig,
    on_estimate: Callable[[str, IndexEstimate], None] | None,
    on_progress: ProgressSink,
    workers: WorkersConfig = ALONE,
) -> IndexRecord:
    """Build or resume an index of losses; a complete one is left alone.

    Args:
        files: The workspace.
        dataset: Whose texts are read.
        settings: With the models.
        on_estimate: Receives the index's id and what the build will cost, before it starts.
        on_progress: Receives ("losses", losses taken, all), then those of ``write_loss_index``.
        workers: One process does it.

    Raises:
        LorifError: A model, the data or the machine does not fit the settings.
    """
    if workers.workers is not None:
        raise ConfigError("daunce reads its models one after the other in one process. Leave `--workers` out.")
    build = plan_losses(files, dataset, settings)
    if (known := build.job.complete) is not None:
        return known
    if on_estimate is not None:
        on_estimate(build.job.index_id, estimate_losses(build))
    started = time.monotonic()
    register_losses(build.job)
    try:
        _take_columns(build, on_progress)
        record = write_loss_index(build.job, build.losses, partial(_run_of, build), on_progress)
    except LorifError:
        files.catalog.set_index_status(build.job.index_id, "failed")
        raise
    shutil.rmtree(build.job.folder / COLUMNS, ignore_errors=True)
    return files.catalog.set_index_status(record.index_id, "complete", build_seconds=time.monotonic() - started)


def plan_losses(files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig) -> LossBuild:
    """The index of losses that the settings name.

    Raises:
        ConfigError: There are fewer than two models, or members are named as well.
        FingerprintMismatch: A model reads other tokens than the index's own.
        ModelError: A model is not there.
    """
    method = settings.method
    assert isinstance(method, DaunceConfig)
    if settings.members.names_any:
        raise ConfigError(
            "daunce takes the models that it compares by `--models`: leave `--base` and `--checkpoints` out."
        )
    folders = placed_folders(method.models, "--models")
    if len(folders) < FEWEST_MODELS:
        raise ConfigError(
            f"a covariance needs {FEWEST_MODELS} models at least, `--models` names {len(folders)}. Name the folders "
            "of models that differ a little; `lorif perturb` makes them."
        )
    model = settings.model.model
    if Path(model).is_dir():  # so that the index can be asked from another folder
        model = str(Path(model).resolve())
    settings = replace(settings, model=replace(settings.model, model=model), method=replace(method, models=folders))
    loaded = load_model(settings.model)
    losses = IndexLosses(_named(folders, settings, loaded.tokenizer_fingerprint), loaded.fingerprint)
    module = losses_module(len(folders))
    engine = Engine(
        loaded, make_method(settings.method), settings.batches, [module], 1, {LOSSES: ModuleMaps(None, None)}, []
    )
    engine = engine.with_windows_for(next(files.examples(dataset.dataset_id).iter_examples(0, 1), None))
    parents = Parents(dataset.fingerprint, losses.fingerprint, loaded.tokenizer_fingerprint)
    batches = LossBatches(engine.encoder.max_length, engine.stride, settings.batches.shard_examples)
    plan = loss_plan(dataset.num_examples, losses.names, method.codec, parents, batches)
    record = ModelRecord(
        model_id=f"lm-{losses.fingerprint[:12]}",
        name=loaded.name,
        fingerprint=losses.fingerprint,
        tokenizer_fingerprint=loaded.tokenizer_fingerprint,
        architecture=loaded.architecture,
        num_parameters=loaded.num_parameters,
    )
    return LossBuild(LossJob(files, dataset, settings, index_id_of(plan), record, plan), losses, engine)


def _named(folders: Sequence[str], settings: IndexConfig, tokenizer: str) -> tuple[LossModel, ...]:
    """The models under names that differ: of their folders, or the whole paths."""
    names = [Path(folder).name for folder in folders]
    found: list[LossModel] = []
    for folder, name in zip(folders, names, strict=True):
        fingerprint, own_tokenizer = fingerprints_of(replace(settings.model, model=folder))
        if own_tokenizer != tokenizer:
            raise FingerprintMismatch(
                f"every model must read the same tokens, and {folder!r} has another tokenizer than "
                f"{settings.model.model!r}. Save the same tokenizer beside it, or leave it out."
            )
        if (twin := next((one for one in found if one.fingerprint == fingerprint), None)) is not None:
            raise ConfigError(
                f"every model must be another one, and {folder!r} has the weights of {twin.folder!r}: it would count "
                "twice. Leave it out."
            )
        found.append(LossModel(name if names.count(name) == 1 else folder, folder, fingerprint))
    return tuple(found)


class LossShare(ModelShare):
    """What an index of losses sees of its models."""

    @property
    def sentence(self) -> str:
        """No weight."""
        return "the index takes losses under all models, and no gradient"


def estimate_losses(build: LossBuild) -> IndexEstimate:
    """Time the losses of the data set's first texts under the index's own model, and extrapolate.

    Raises:
        NumericalError: A loss is not finite.
    """
    job, engine = build.job, build.engine
    examples = job.files.examples(job.dataset.dataset_id)
    texts = engine.encoder.encode_all(examples.iter_examples(0, TIMED_EXAMPLES)).texts
    num_tokens = max(1, add_counts(map(count_tokens, texts)).positions)
    seconds, left = 0.0, build.num_left
    if left:
        began = time.perf_counter()
        text_losses(engine.loaded.model, texts, pad_id=engine.pad_id, tokens_per_batch=engine.tokens_per_batch)
        seconds = time.perf_counter() - began
    per_example = job.plan.column_codec.column_bytes(len(build.losses.models)) + NUMBERS_BYTES
    return IndexEstimate(
        num_examples=job.plan.num_examples,
        num_left=job.plan.num_examples if left else 0,
        num_modules=1,
        num_expert_modules=0,
        expert_bytes_per_example=0,
        model_share=LossShare(0, 0),
        total_dim=len(build.losses.models),
        bytes_per_example=per_example,
        shard_bytes=job.plan.num_examples * (per_example + SELF_INFLUENCE_BYTES),
        subspace_bytes=0,
        maps_bytes=0,
        statistics_bytes=0,
        num_passes=0,
        seconds=seconds * left / max(1, len(texts)),
        statistics_seconds=0.0,
        decomposition_seconds=0.0,
        tokens_per_second=num_tokens / seconds if seconds else None,
        memory_bytes=psutil.Process().memory_info().rss + sum(one.nbytes for one in engine.loaded.model.parameters()),
        free_memory_bytes=free_bytes(engine.loaded.device),
        free_bytes=job.files.free_bytes(),
        storage=job.settings.storage,
    )


def _take_columns(build: LossBuild, on_progress: ProgressSink) -> None:
    """Losses of all texts under every model, model by model."""
    plan, engine = build.job.plan, build.engine
    total = len(build.losses.models) * plan.num_examples
    done = total - build.num_left
    on_progress("losses", done, total)

    def count(num_texts: int) -> None:
        nonlocal done
        done += num_texts
        on_progress("losses", done, total)

    for place, model in enumerate(build.losses.models):
        missing = [part for part in range(plan.num_parts) if not build.column(place, part).exists()]
        if not missing:
            continue
        loaded = load_loss_model(model, build.job.settings.model)
        for part in missing:
            texts = engine.encoder.encode_all(_examples(build, plan.rows_of(part))).texts
            found = text_losses(
                loaded.model,
                texts,
                pad_id=engine.pad_id,
                tokens_per_batch=engine.tokens_per_batch,
                on_texts=count,
            )
            path = build.column(place, part)
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(path) as partial_file:
                partial_file.write_bytes(save({LOSSES: found}))


def _examples(build: LossBuild, rows: range) -> list[Example]:
    examples = build.job.files.examples(build.job.dataset.dataset_id)
    return list(examples.iter_examples(rows.start, rows.stop))


def _run_of(build: LossBuild, rows: range) -> LossRun:
    part = rows.start // build.job.plan.shard_examples
    columns = [read_tensors(build.column(place, part), [LOSSES])[LOSSES] for place in range(len(build.losses.models))]
    examples = _examples(build, rows)
    encoded = build.engine.encoder.encode_all(examples)
    count = add_counts(map(count_tokens, encoded.texts))
    silent = [
        example.train_id
        for example, text in zip(examples, encoded.texts, strict=True)
        if not has_targets(text) and example.train_id not in encoded.unreadable
    ]
    facts = ShardFacts(
        num_truncated=sum(map(is_cut, encoded.texts)),
        num_without_targets=len(silent),
        kept_energy=[],
        total_energy=[],
        ids_without_targets=silent,
        num_tokens=count.whole,
        num_tokens_read=count.read,
        num_positions=count.positions,
    )
    lengths = torch.tensor([count_tokens(text).whole for text in encoded.texts], dtype=torch.int32)
    return LossRun(torch.stack(columns, 1), lengths, encoded.unreadable, facts)
