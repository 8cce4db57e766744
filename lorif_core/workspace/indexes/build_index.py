"""Build an index: gradients part by part, then a preconditioner. Interrupted, it resumes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lorif_core.catalog import IndexRecord
from lorif_core.errors import LorifError
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.passes.budget import ENERGY_EXAMPLES, allocate_ranks, measure_energies
from lorif_core.passes.second_moments import sample_positions
from lorif_core.store.manifest import Manifest, adopt_format_1, is_begun, plan_of_manifest, read_manifest
from lorif_core.store.parts import sweep_leftovers
from lorif_core.store.plan import Plan, read_plan, write_plan
from lorif_core.store.reader import StoreReader
from lorif_core.store.statistics import entries_of_maps, remove_maps
from lorif_core.workers_config import ALONE, WorkersConfig
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.coverage import first_readable
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.fit_index import compact_checked, fit_index, has_curvature, only_builder
from lorif_core.workspace.indexes.half_whitening import half_whitening_maps
from lorif_core.workspace.indexes.hand_out_parts import make_parts_with
from lorif_core.workspace.indexes.index_job import OVERHEAD_BYTES, IndexJob, manifest_on_disk
from lorif_core.workspace.indexes.index_records import register_complete, register_index, registered_index
from lorif_core.workspace.indexes.make_parts import make_parts
from lorif_core.workspace.indexes.model_share import keep_share, share_of
from lorif_core.workspace.indexes.take_statistics import statistics_paths


def build_index(
    job: IndexJob, on_progress: ProgressSink = no_progress, workers: WorkersConfig = ALONE
) -> IndexRecord:
    """Build or resume an index; a complete one with the same curvature is left alone.

    Plan and curvature are made here; statistics and parts, too, unless there are workers.

    Raises:
        ConfigError: Workers are asked for, and Ray is not installed or not there.
        DataError: No text can be read by the model, or none has a token to predict.
        CaptureError: Too many texts fail.
        ResourceError: The disk is full, or the curvature does not fit into memory.
        ArtefactError: Another process builds the same index.
    """
    started = time.monotonic()
    with _begun(job, workers, on_progress) as begun:
        if isinstance(begun, IndexRecord):
            return begun
        job, manifest = begun
        if manifest.status == "building":
            sweep_leftovers(job.place)
            if workers.workers is None:
                make_parts(job, range(read_plan(job.place).num_parts), on_progress)
            else:
                make_parts_with(job, workers, on_progress)
            manifest = compact_checked(job.place)
        curvature = job.engine.method.curvature
        if not has_curvature(manifest, curvature):
            manifest = fit_index(job.place, manifest, curvature, on_progress)
        return register_complete(job.files, job.index_id, manifest, curvature.fitted, time.monotonic() - started)


def plan_parts(job: IndexJob, on_progress: ProgressSink = no_progress) -> IndexRecord:
    """Do of a build what comes before the parts: name the index, take statistics, write maps and plan.

    Raises:
        DataError: No text can be read by the model, or none has a token to predict.
        ArtefactError: Another process builds the same index.
    """
    with _begun(job, ALONE, on_progress) as begun:
        return begun if isinstance(begun, IndexRecord) else job.files.catalog.index(job.index_id)


@contextmanager
def _begun(
    job: IndexJob, workers: WorkersConfig, on_progress: ProgressSink
) -> Iterator[tuple[IndexJob, Manifest] | IndexRecord]:
    """An index whose plan is decided, held against all other builders; the record of one that is complete."""
    job.folder.mkdir(parents=True, exist_ok=True)
    with only_builder(job.folder):
        adopt_format_1(job.place)
        manifest = manifest_on_disk(job.place, plan_of_manifest(job.manifest))
        known = registered_index(job, manifest)
        if known and has_curvature(manifest, job.engine.method.curvature):
            yield known
            return
        register_index(job, manifest)
        try:
            job, manifest = _prepare(job, manifest, workers, on_progress)
            keep_share(job.folder, share_of(job.engine))
            if manifest.ranks is not None:  # fewer modules than were registered
                register_index(job, manifest)
            yield job, manifest
        except LorifError:
            job.files.catalog.set_index_status(job.index_id, "failed")
            raise


def _prepare(
    job: IndexJob, manifest: Manifest, workers: WorkersConfig, on_progress: ProgressSink
) -> tuple[IndexJob, Manifest]:
    """The job with its half-whitening maps and the ranks that its budget buys.

    Both are decided on the first run, before the plan that names them is written, and read on later ones.
    """
    if not is_begun(job.place):
        write_plan(job.place, _decide(job, plan_of_manifest(manifest), workers, on_progress))
        manifest = read_manifest(job.place)
    engine, maps = job.engine, StoreReader(job.place, manifest).maps()
    if manifest.ranks is not None:
        engine = engine.with_ranks(manifest.ranks)
    return replace(job, engine=engine if maps is None else engine.with_maps(maps)), manifest


def _decide(job: IndexJob, plan: Plan, workers: WorkersConfig, on_progress: ProgressSink) -> Plan:
    """The plan with the maps and ranks that its settings lead to; writes the maps."""
    engine, method = job.engine, job.engine.method
    first_readable(job)
    sample = method.projection.sample(engine.modules)
    fresh = {} if sample is None else _missing_statistics(job, sample)
    if sample is not None:
        engine = engine.with_maps(half_whitening_maps(job, sample, workers, on_progress))
    if method.budget_bytes is not None:
        ranks = _ranks(job, engine, method.budget_bytes)
        engine = engine.with_ranks(ranks)
        plan = replace(
            plan, modules=list(engine.modules), ranks={one.name: ranks[one.name] for one in engine.modules}
        )
        _drop_unbought(job, engine.maps, fresh)
    return plan if sample is None else replace(plan, maps=entries_of_maps(job.place, list(engine.maps)))


def _missing_statistics(job: IndexJob, sample: StatisticsSample) -> dict[Path, set[str]]:
    """Statistics that no earlier build left: their files, and the modules of each."""
    paths = statistics_paths(job.files, job.dataset, job.engine, sample)
    return {path: {module.name for module in family} for path, family in paths.items() if not path.exists()}


def _drop_unbought(job: IndexJob, bought: Mapping[str, ModuleMaps], fresh: Mapping[Path, set[str]]) -> None:
    """Remove what was made only to find that a budget buys nothing of a module: its maps, and new statistics."""
    remove_maps(job.place, [module.name for module in job.engine.modules if module.name not in bought])
    for path, names in fresh.items():
        if names.isdisjoint(bought):
            path.unlink(missing_ok=True)


def _ranks(job: IndexJob, engine: Engine, budget_bytes: int) -> dict[str, int]:
    positions = sample_positions(job.dataset.num_examples, ENERGY_EXAMPLES, engine.method.projection.seed)
    sample = engine.encoder.encode_all(job.examples.examples_at(positions)).texts
    with engine.gradients() as source:
        energies = measure_energies(source, sample)
        return allocate_ranks(source.modules, energies, source.codec, budget_bytes - OVERHEAD_BYTES)


def is_worth_an_estimate(job: IndexJob) -> bool:
    """Whether a build is not about to find its index finished, or to go on with gradients that were begun."""
    is_resumed = is_begun(job.place) and job.num_left > 0
    return not is_resumed and not has_curvature(job.manifest, job.engine.method.curvature)
