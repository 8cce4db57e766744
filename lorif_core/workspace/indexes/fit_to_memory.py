"""Plan an index that memory has room for: f is doubled where nobody said it, and refused where somebody did.

What was decided once stays: an index that the catalog knows is planned as it is, however much memory is free now, so
that the same command resumes it and begins no other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lorif_core.catalog import DatasetRecord, IndexRecord
from lorif_core.errors import ResourceError
from lorif_core.linalg.maps import MOST_DIVISOR, smallest_divisor
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.models.modules import tracked_shapes
from lorif_core.passes.size_by_bytes import LARGEST_DIVISOR
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.build_memory import (
    BuildMemory,
    batch_bytes,
    maps_bytes,
    memory_of,
    sizes_of,
)
from lorif_core.workspace.indexes.choose_size import is_sized_by_model, reason_of_size, sized
from lorif_core.workspace.indexes.engine import Engine, projected_further
from lorif_core.workspace.indexes.free_memory import free_bytes
from lorif_core.workspace.indexes.index_job import IndexJob, plan_index
from lorif_core.workspace.indexes.index_settings import read_index_settings


def plan_fitting(files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig, engine: Engine) -> IndexJob:
    """The index that these settings name, with an f whose build fits into memory.

    Raises:
        ResourceError: No f fits, or not the one that was asked for; names a setting that does.
    """
    known = {one.index_id: one for one in files.catalog.indexes()}
    if not is_sized_by_model(settings.method):
        job = plan_index(files, dataset, settings, engine)
        if job.index_id not in known:
            check_fits(engine, free_bytes(engine.loaded.device))
        return job
    first = _sized_job(files, dataset, settings, engine, None)
    if first.index_id in known:
        return _as_decided(first, known[first.index_id])
    if (decided := _decided_before(files, dataset, settings, first, known)) is not None:
        return decided
    free = free_bytes(engine.loaded.device)
    f = _divisor_that_fits(engine, first.engine.f, free)
    if f is None:
        raise ResourceError(_refusal(engine, first.engine.f, free))
    if f == first.engine.f:
        return first
    needed = needs_at(engine, first.engine.f).least()
    return _sized_job(files, dataset, settings, engine, f, (_doubled(first.engine.f, f, needed, free),))


def check_fits(engine: Engine, free: int) -> None:
    """Refuse an f that was asked for and whose build does not fit.

    Raises:
        ResourceError: Names what fits.
    """
    if engine.method.projection.sample(engine.modules) is not None and needs_at(engine, engine.f).least() > free:
        raise ResourceError(_refusal(engine, engine.f, free))


def needs_at(engine: Engine, f: int) -> BuildMemory:
    """What a build would hold if widths were divided by ``f``."""
    modules = engine.method.projection.shapes(tracked_shapes(engine.entries, f))
    length = engine.batches.max_length
    tokens = max(engine.tokens_per_batch, min(length, engine.loaded.max_positions or length))
    batch = batch_bytes(tokens, sizes_of(engine.loaded.model), modules)
    return memory_of(engine.method, modules, batch)


def _sized_job(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    settings: IndexConfig,
    engine: Engine,
    f: int | None,
    doubled: tuple[str, ...] = (),
) -> IndexJob:
    method = sized(settings.method, engine.entries, f)
    told = replace(settings, method=method, size_chosen=reason_of_size(method, engine.entries, doubled))
    return plan_index(files, dataset, told, projected_further(engine, method))


def _decided_before(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    settings: IndexConfig,
    first: IndexJob,
    known: Mapping[str, IndexRecord],
) -> IndexJob | None:
    """The index of an earlier run of the same command, which had less memory."""
    if not any(one.f > first.engine.f and one.method == settings.method.name for one in known.values()):
        return None
    for f in _doublings(first.engine.f):
        job = _sized_job(files, dataset, settings, first.engine, f)
        if job.index_id in known:
            decided = _as_decided(job, known[job.index_id])
            if decided.settings.size_chosen is not None:
                return decided
    return None


def _doublings(f: int) -> Iterator[int]:
    while (f := 2 * f) <= LARGEST_DIVISOR:
        yield f


def _as_decided(job: IndexJob, record: IndexRecord) -> IndexJob:
    """The job with the reason that was given when it was decided; None where somebody asked for this f."""
    said = read_index_settings(record.settings_json).size_chosen
    return replace(job, settings=replace(job.settings, size_chosen=said))


def _doubled(first: int, f: int, needed: int, free: int) -> str:
    return (
        f"f = {first} would need {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB were free, so f was raised "
        f"to {f}"
    )


def _refusal(engine: Engine, f: int, free: int) -> str:
    needs = needs_at(engine, f)
    said = (
        f"a build with f = {f} must fit into memory, it needs {needs.least() / 1e9:.1f} GB beside the model (maps "
        f"{needs.maps / 1e9:.1f}, statistics of the widest module {(needs.one_family + needs.roots) / 1e9:.1f}, "
        f"a batch {needs.batch / 1e9:.1f}) and {free / 1e9:.1f} GB are free. "
    )
    return said + _what_fits(engine, f, needs, free)


def _what_fits(engine: Engine, f: int, needs: BuildMemory, free: int) -> str:
    """The setting that would fit, found in the order in which it costs least of what an index is worth."""

    if (found := _divisor_that_fits(engine, f, free, needs.batch)) is not None:
        return f"Pass `--f {found}`."
    tokens = engine.tokens_per_batch
    while (tokens := tokens // 2) >= 1:
        found = _divisor_that_fits(engine, f, free, needs.batch * tokens // engine.tokens_per_batch)
        if found is not None:
            also = "" if found == f else f" --f {found}"
            return f"Pass `--tokens-per-batch {tokens}{also}`."
    random = smallest_divisor(lambda f: maps_bytes(tracked_shapes(engine.entries, f), is_whitened=False) <= free / 2)
    return f"Pass `--method lorif --f {random or MOST_DIVISOR}`, which takes no statistics."


def _divisor_that_fits(engine: Engine, first: int, free: int, batch: int | None = None) -> int | None:
    """The smallest divisor whose build fits, with batches of so many bytes; None where none does."""

    def fits(f: int) -> bool:
        needs = needs_at(engine, f)
        return (needs if batch is None else replace(needs, batch=batch)).least() <= free

    return smallest_divisor(fits, first=first, largest=LARGEST_DIVISOR)
