"""The second moments behind half-whitened codes: taken once per model and data set, kept, resumed."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from lorif_core.capture.precision import Recorded
from lorif_core.catalog import DatasetRecord
from lorif_core.files import fingerprint_of_value
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.passes.second_moments import add_moments, empty_moments, sample_positions
from lorif_core.shapes import ModuleShape
from lorif_core.store.plan import Parents
from lorif_core.store.statistics import read_moments, write_moments
from lorif_core.weights import family_of
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.engine import Engine

EXAMPLES_PER_STEP = 64
"""Examples summed between two possible checkpoints; part of the result up to float rounding, so fixed."""

SECONDS_PER_CHECKPOINT = 30


def maps_of_statistics(
    files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, on_progress: ProgressSink
) -> dict[str, ModuleMaps]:
    """Half-whitening maps of every tracked module, from statistics that are taken now or were before.

    Raises:
        NumericalError: A module's statistics are not finite, or zero.
    """
    projection = engine.method.projection
    assert projection.sample is not None  # nobody asks otherwise
    moments = take_statistics(files, dataset, engine, projection.sample, on_progress)
    return {module.name: projection.maps(module, reached_moments(module.name, moments)) for module in engine.modules}


def reached_moments(name: str, moments: Mapping[str, Moments]) -> Moments:
    """A module's moments; those of all experts of its layer together, for one that no token of the sample reached."""
    own = moments[name]
    if own.inputs.any() and own.output_grads.any():
        return own
    family = [one for other, one in moments.items() if family_of(other) == family_of(name)]
    inputs = torch.stack([one.inputs for one in family]).sum(0)
    output_grads = torch.stack([one.output_grads for one in family]).sum(0)
    counts = (sum(one.num_tokens for one in family), sum(one.num_inputs for one in family))
    return Moments(inputs, output_grads, *counts)


def take_statistics(
    files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, sample: StatisticsSample, on_progress: ProgressSink
) -> dict[str, Moments]:
    """Second moments over a sample; an interrupted pass goes on where it was saved."""
    path = _path(files, dataset, engine, sample)
    names = [module.name for module in engine.modules]
    moments, done = read_moments(path, names) if path.exists() else (empty_moments(engine.modules), 0)
    positions = sample_positions(dataset.num_examples, sample.num_examples, sample.seed)
    if done == len(positions):
        return moments
    examples, encoder = files.examples(dataset.dataset_id), engine.encoder
    saved = time.monotonic()
    with engine.frozen_model() as model:
        while done < len(positions):
            chosen = examples.examples_at(positions[done : done + EXAMPLES_PER_STEP])
            add_moments(
                model,
                moments,
                encoder.encode_all(chosen).texts,
                pad_id=engine.pad_id,
                tokens_per_batch=engine.batches.tokens_per_batch,
            )
            done += len(chosen)
            on_progress("statistics", done, len(positions))
            if done == len(positions) or time.monotonic() - saved > SECONDS_PER_CHECKPOINT:
                write_moments(path, moments, done)
                saved = time.monotonic()
    return moments


def _path(files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, sample: StatisticsSample) -> Path:
    loaded = engine.loaded
    parents = Parents(dataset.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint)
    return statistics_file(
        files, parents, engine.modules, (engine.encoder.max_length, engine.stride), sample, engine.precision
    )


def statistics_file(
    files: WorkspaceFiles,
    parents: Parents,
    modules: Sequence[ModuleShape],
    cut: tuple[int, int | None],
    sample: StatisticsSample,
    precision: Recorded,
) -> Path:
    """Where the moments lie that these decide: the file is named by all of them.

    ``cut`` is the longest sequence in tokens, and the stride of windows, if there are any.
    """
    max_length, stride = cut
    identity = {
        "parents": [parents.dataset, parents.model, parents.tokenizer],
        "modules": [_identity_of(module) for module in modules],
        "max_length": max_length,
        "seed": sample.seed,
        "stats_examples": sample.num_examples,
    } | {name: value for name, value in (("stride", stride), ("precision", precision)) if value is not None}
    return files.root / "statistics" / f"{fingerprint_of_value(identity)[:12]}.safetensors"


def _identity_of(module: ModuleShape) -> list[object]:
    whole: list[object] = [module.name, module.in_features, module.out_features]
    return whole if module.form == "factors" else [*whole, module.form]
