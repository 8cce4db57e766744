"""What an index will cost of a model whose weights are not there, or do not fit: from its configuration alone."""

from dataclasses import replace

import psutil

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ModelConfig
from lorif_core.errors import ResourceError
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.models.load import choose_device
from lorif_core.models.modules import check_patterns, list_modules, tracked_shapes
from lorif_core.models.outline import outline_model, weights_bytes
from lorif_core.store.blocks import NUMBERS_BYTES
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.build_memory import largest_group, num_passes
from lorif_core.workspace.indexes.choose_size import is_sized_by_model, reason_of_size, sized
from lorif_core.workspace.indexes.engine import Engine, method_with_divisor
from lorif_core.workspace.indexes.estimate import IndexEstimate, all_root_seconds, sizes_on_disk
from lorif_core.workspace.indexes.fit_to_memory import needs_at
from lorif_core.workspace.indexes.free_memory import free_bytes, free_host_bytes
from lorif_core.workspace.indexes.index_job import codes_bytes

UNTOLD = (
    "how long gradients and statistics take: that is timed with the model's weights, which are not there or do not "
    "fit into this machine; and which modules a trial would leave out"
)


def is_outgrown(model: ModelConfig) -> bool:
    """Whether the weights alone take more memory than is free where they would be."""
    return weights_bytes(model) > free_bytes(choose_device(model.device))


def refuse_outgrown(model: ModelConfig) -> None:
    """Refuse a model that could not be loaded, before it is.

    Raises:
        ResourceError: Names the memory that its weights take.
    """
    free = free_bytes(choose_device(model.device))
    if (needed := weights_bytes(model)) > free:
        raise ResourceError(
            f"a model must fit into memory, the weights of {model.model!r} take {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free. `--dry-run` says what a machine needs for the build."
        )


def outline_engine(settings: IndexConfig) -> tuple[Engine, str | None]:
    """Model, modules and method on the meta device, and why f is what it is; nothing that could be run.

    Raises:
        LorifError: The configuration or a pattern cannot be.
    """
    loaded, own = outline_model(settings.model), settings.method
    entries = list_modules(loaded.model, settings.model.include, settings.model.exclude, make_method(own).tracked)
    check_patterns(entries, settings.model.include + settings.model.exclude)
    chosen = sized(own, entries)
    method, f = method_with_divisor(chosen, entries)
    reason = reason_of_size(chosen, entries) if is_sized_by_model(own) else None
    modules = method.projection.shapes(tracked_shapes(entries, f))
    return Engine(loaded, method, settings.batches, modules, f, {}, entries), reason


def estimate_outline(files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig) -> IndexEstimate:
    """The cost that shapes alone decide, and what else it takes weights to tell.

    Raises:
        LorifError: The configuration or a pattern cannot be.
    """
    found = outline_estimate(settings, dataset.num_examples, free_host_bytes())
    return replace(found, free_bytes=files.free_bytes(), storage=settings.storage)


def outline_estimate(settings: IndexConfig, num_examples: int, free: int) -> IndexEstimate:
    """As ``estimate_outline``, for any machine.

    Args:
        settings: Of the index.
        num_examples: Of the data set.
        free: Memory for the build, the model included.
    """
    engine, reason = outline_engine(settings)
    modules, per_example = engine.modules, codes_bytes(engine) + NUMBERS_BYTES
    is_whitened = engine.method.projection.sample(modules) is not None
    weights = 4 * engine.loaded.num_parameters
    memory, room = needs_at(engine, engine.f), max(0, free - weights)
    return IndexEstimate(
        **sizes_on_disk(engine, num_examples, per_example, is_new=is_whitened),
        num_left=num_examples,
        num_passes=num_passes(memory, modules, room),
        seconds=None,
        statistics_seconds=None,
        decomposition_seconds=all_root_seconds(modules) if is_whitened else 0.0,
        tokens_per_second=None,
        memory_bytes=psutil.Process().memory_info().rss + weights + memory.most(largest_group(memory, modules, room)),
        free_memory_bytes=free,
        free_bytes=0,
        size=reason,
        untold=UNTOLD,
    )
