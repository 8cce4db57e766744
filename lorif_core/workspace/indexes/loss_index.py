"""Write an index of losses, wherever they come from: a plan, parts, a manifest, as of any other index.

The losses are there when this begins; what is left is to centre and to encode them, which takes seconds. A build that
is killed goes on with the parts that are missing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from lorif_core.catalog import DatasetRecord, IndexRecord, ModelRecord
from lorif_core.config import Codec
from lorif_core.linalg.maps import maps_digest
from lorif_core.methods.daunce import losses_module
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.passes.loss_shards import build_loss_shard
from lorif_core.shapes import Float, Int
from lorif_core.store.manifest import compact, fingerprint_of_manifest, is_begun, read_manifest
from lorif_core.store.parts import Origin, ShardFacts, missing_parts, sweep_leftovers, write_part
from lorif_core.store.place import Place
from lorif_core.store.plan import Parents, Plan, write_plan
from lorif_core.workspace.folder.index_losses import IndexLosses, write_losses
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.fit_index import fit_index, has_curvature, only_builder
from lorif_core.workspace.indexes.index_job import shard_size
from lorif_core.workspace.indexes.index_records import register_complete
from lorif_core.workspace.indexes.index_settings import write_index_settings
from lorif_core.workspace.indexes.make_parts import worker_name


class LossBatches(NamedTuple):
    """How texts were read."""

    max_length: int = 0
    """Longest sequence in tokens; 0 where nobody knows."""

    stride: int | None = None
    """Tokens from one window of a long text to the next; None: long texts are cut."""

    shard_examples: int | None = None
    """Texts of a part; None: as many as make about 32 MB."""


UNKNOWN = LossBatches()
"""Of losses that came with a table."""


class LossRun(NamedTuple):
    """Losses of consecutive texts."""

    losses: Float[torch.Tensor, "n K"]
    """In nats, float64; the same number everywhere for a text that has none."""

    num_tokens: Int[torch.Tensor, " n"]
    """Lengths; zeros where nobody knows them."""

    failed: Mapping[str, str]
    """Why, by the id of each text that has none."""

    facts: ShardFacts
    """What else is known; energies and failures are filled in."""


@dataclass(frozen=True)
class LossJob:
    """An index of losses that is about to be written."""

    files: WorkspaceFiles
    dataset: DatasetRecord
    settings: IndexConfig
    index_id: str
    model: ModelRecord
    plan: Plan

    @property
    def folder(self) -> Path:
        """Folder of the index in the workspace."""
        return self.files.index_folder(self.index_id)

    @property
    def place(self) -> Place:
        """Where the index's files lie: that folder, or where it is stored."""
        return self.files.place_in(self.settings.storage, self.index_id)

    @property
    def complete(self) -> IndexRecord | None:
        """The record of this very index, if it is complete."""
        known = next((one for one in self.files.catalog.indexes() if one.index_id == self.index_id), None)
        if known is None or known.status != "complete" or not is_begun(self.place):
            return None
        manifest = read_manifest(self.place)
        is_same = known.fingerprint == fingerprint_of_manifest(manifest)
        return known if is_same and has_curvature(manifest, make_method(self.settings.method).curvature) else None


def loss_plan(
    num_examples: int, names: Sequence[str], codec: Codec, parents: Parents, batches: LossBatches = UNKNOWN
) -> Plan:
    """The plan of an index of losses.

    Args:
        num_examples: Of the data set.
        names: Of the models, in the order of the stored numbers.
        codec: Of a loss.
        parents: What it is made from; the model's fingerprint is that of all of them.
        batches: How texts were read, and how they are divided into parts.
    """
    module = losses_module(len(names))
    return Plan(
        layout="dense",
        codec=codec,
        factor_rank=1,
        f=1,
        seed=0,
        max_length=batches.max_length,
        stride=batches.stride,
        parents=parents,
        modules=[module],
        maps_digest=maps_digest({}),
        num_examples=num_examples,
        shard_examples=batches.shard_examples or shard_size(2 * module.dim),
        members=tuple(names),
    )


def write_loss_index(
    job: LossJob, losses: IndexLosses, run_of: Callable[[range], LossRun], on_progress: ProgressSink
) -> IndexRecord:
    """Write what is missing of an index of losses, and say in the catalog that it is complete.

    Args:
        job: The index.
        losses: What is kept beside it; replaces what was there, so that a table may bring more questions later.
        run_of: Losses of a run of rows.
        on_progress: Receives ("losses", texts written, all), then ("self-influence", shards done, all).

    Raises:
        ArtefactError: Another process builds the same index.
        FingerprintMismatch: An index of another plan is there.
        ResourceError: The disk is full.
    """
    started, place = time.monotonic(), job.place
    job.folder.mkdir(parents=True, exist_ok=True)
    with only_builder(job.folder):
        if (known := job.complete) is not None:
            write_losses(job.folder, losses)
            return known
        write_plan(place, job.plan)
        register_losses(job)
        write_losses(job.folder, losses)
        sweep_leftovers(place)
        for number in missing_parts(job.plan, place):
            _write_part(job, number, run_of(job.plan.rows_of(number)))
            on_progress("losses", job.plan.rows_of(number).stop, job.plan.num_examples)
        curvature = make_method(job.settings.method).curvature
        manifest = fit_index(place, compact(place), curvature, on_progress)
        return register_complete(job.files, job.index_id, manifest, curvature.fitted, time.monotonic() - started)


def _write_part(job: LossJob, number: int, run: LossRun) -> None:
    began = time.monotonic()
    shard = build_loss_shard(run.losses, run.num_tokens, job.plan.column_codec)
    facts = replace(
        run.facts,
        kept_energy=shard.kept_energy,
        total_energy=shard.total_energy,
        stored_energy=shard.stored_energy,
        failed_ids=list(run.failed),
        failed_reasons=list(run.failed.values()),
    )
    origin = Origin("cpu", torch.__version__, worker_name(), time.monotonic() - began)
    write_part(job.place, job.plan, number, shard.tensors, facts, origin)


def register_losses(job: LossJob) -> None:
    """Name the models and the index in the catalog before the work starts."""
    catalog, plan = job.files.catalog, job.plan
    catalog.put_model(job.model)
    catalog.put_index(
        IndexRecord(
            index_id=job.index_id,
            dataset_id=job.dataset.dataset_id,
            model_id=job.model.model_id,
            method=job.settings.method.name,
            status="building",
            factor_rank=None,
            f=plan.f,
            codec=plan.codec,
            num_examples=plan.num_examples,
            num_modules=len(plan.modules),
            total_dim=sum(module.dim for module in plan.modules),
            max_length=plan.max_length,
            settings_json=write_index_settings(job.settings),
        )
    )
