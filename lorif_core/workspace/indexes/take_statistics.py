"""The second moments behind half-whitened codes: taken once per model and data set, kept, resumed."""

import time
from collections.abc import Sequence
from pathlib import Path

from lorif_core.catalog import DatasetRecord
from lorif_core.files import fingerprint_of_value
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments, whitened_maps
from lorif_core.passes.second_moments import add_moments, empty_moments, sample_positions
from lorif_core.shapes import ModuleShape
from lorif_core.store.plan import Parents
from lorif_core.store.statistics import read_moments, write_moments
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
    settings = engine.settings
    moments = take_statistics(files, dataset, engine, on_progress)
    return {
        module.name: whitened_maps(
            module, moments[module.name], alpha=settings.whitening.alpha, f=settings.f, seed=settings.factors.seed
        )
        for module in engine.modules
    }


def take_statistics(
    files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, on_progress: ProgressSink
) -> dict[str, Moments]:
    """Second moments over the sample that the settings name; an interrupted pass goes on where it was saved."""
    path = _path(files, dataset, engine)
    names = [module.name for module in engine.modules]
    moments, done = read_moments(path, names) if path.exists() else (empty_moments(engine.modules), 0)
    settings = engine.settings
    positions = sample_positions(dataset.num_examples, settings.whitening.stats_examples, settings.factors.seed)
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
                [encoder.encode(example) for example in chosen],
                pad_id=engine.pad_id,
                tokens_per_batch=settings.batches.tokens_per_batch,
            )
            done += len(chosen)
            on_progress("statistics", done, len(positions))
            if done == len(positions) or time.monotonic() - saved > SECONDS_PER_CHECKPOINT:
                write_moments(path, moments, done)
                saved = time.monotonic()
    return moments


def _path(files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine) -> Path:
    settings, loaded = engine.settings, engine.loaded
    parents = Parents(dataset.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint)
    length, sample = engine.encoder.max_length, settings.whitening.stats_examples
    return statistics_file(files, parents, engine.modules, length, settings.factors.seed, sample)


def statistics_file(
    files: WorkspaceFiles,
    parents: Parents,
    modules: Sequence[ModuleShape],
    max_length: int,
    seed: int,
    stats_examples: int,
) -> Path:
    """Where the moments lie that these decide: the file is named by all of them."""
    identity = {
        "parents": [parents.dataset, parents.model, parents.tokenizer],
        "modules": [[module.name, module.in_features, module.out_features] for module in modules],
        "max_length": max_length,
        "seed": seed,
        "stats_examples": stats_examples,
    }
    return files.root / "statistics" / f"{fingerprint_of_value(identity)[:12]}.safetensors"
