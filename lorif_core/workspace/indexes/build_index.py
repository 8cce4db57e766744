"""Build an index: gradients part by part, then a preconditioner. Interrupted, it resumes."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from lorif_core.catalog import IndexRecord
from lorif_core.data.encoding import EncodedTexts
from lorif_core.data.sequences import add_counts, count_tokens, has_targets, is_cut
from lorif_core.errors import FingerprintMismatch, LorifError
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.passes.budget import ENERGY_EXAMPLES, allocate_ranks, measure_energies
from lorif_core.passes.layer_groups import families
from lorif_core.passes.second_moments import sample_positions
from lorif_core.passes.shards import ShardTensors, build_shard
from lorif_core.store.manifest import (
    Manifest,
    adopt_format_1,
    compact,
    is_begun,
    plan_of_manifest,
    read_manifest,
)
from lorif_core.store.parts import Origin, ShardFacts, is_finished, missing_parts, sweep_leftovers, write_part
from lorif_core.store.plan import Plan, read_plan, write_plan
from lorif_core.store.reader import StoreReader
from lorif_core.store.statistics import entries_of_maps, read_maps, remove_maps, write_maps
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.coverage import first_readable
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.fit_index import fit_index, only_builder
from lorif_core.workspace.indexes.index_job import OVERHEAD_BYTES, IndexJob, manifest_on_disk
from lorif_core.workspace.indexes.index_records import register_complete, register_index, registered_index
from lorif_core.workspace.indexes.model_share import keep_share, share_of
from lorif_core.workspace.indexes.take_statistics import iter_maps, statistics_paths


def build_index(job: IndexJob, on_progress: ProgressSink = no_progress) -> IndexRecord:
    """Build or resume an index; a complete one with the same curvature is left alone.

    Raises:
        DataError: No text can be read by the model, or none has a token to predict.
        ResourceError: The disk is full, or the curvature does not fit into memory.
        ArtefactError: Another process builds the same index.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with only_builder(job.folder):
        adopt_format_1(job.folder)
        manifest = manifest_on_disk(job.folder, plan_of_manifest(job.manifest))
        started = time.monotonic()
        if _has_curvature(job, manifest) and (known := registered_index(job, manifest)):
            return known
        register_index(job, manifest)
        try:
            job, manifest = _prepare(job, manifest, on_progress)
            keep_share(job.folder, share_of(job.engine))
            if manifest.ranks is not None:  # fewer modules than were registered
                register_index(job, manifest)
            if manifest.status == "building":
                manifest = _store_gradients(job, manifest, on_progress)
            if not _has_curvature(job, manifest):
                manifest = fit_index(job.folder, manifest, job.engine.method.curvature, on_progress)
        except LorifError:
            job.files.catalog.set_index_status(job.index_id, "failed")
            raise
        return register_complete(job, manifest, time.monotonic() - started)


def _prepare(job: IndexJob, manifest: Manifest, on_progress: ProgressSink) -> tuple[IndexJob, Manifest]:
    """The job with its half-whitening maps and the ranks that its budget buys.

    Both are decided on the first run, before the plan that names them is written, and read on later ones.
    """
    if not is_begun(job.folder):
        write_plan(job.folder, _decide(job, plan_of_manifest(manifest), on_progress))
        manifest = read_manifest(job.folder)
    engine, maps = job.engine, StoreReader(job.folder, manifest).maps()
    if manifest.ranks is not None:
        engine = engine.with_ranks(manifest.ranks)
    return replace(job, engine=engine if maps is None else engine.with_maps(maps)), manifest


def _decide(job: IndexJob, plan: Plan, on_progress: ProgressSink) -> Plan:
    """The plan with the maps and ranks that its settings lead to; writes the maps."""
    engine, method = job.engine, job.engine.method
    first_readable(job)
    sample = method.projection.sample(engine.modules)
    fresh = {} if sample is None else _missing_statistics(job, sample)
    if sample is not None:
        engine = engine.with_maps(_half_whitening_maps(job, sample, on_progress))
    if method.budget_bytes is not None:
        ranks = _ranks(job, engine, method.budget_bytes)
        engine = engine.with_ranks(ranks)
        plan = replace(
            plan, modules=list(engine.modules), ranks={one.name: ranks[one.name] for one in engine.modules}
        )
        _drop_unbought(job, engine.maps, fresh)
    return plan if sample is None else replace(plan, maps=entries_of_maps(job.folder, list(engine.maps)))


def _half_whitening_maps(job: IndexJob, sample: StatisticsSample, on_progress: ProgressSink) -> dict[str, ModuleMaps]:
    """The maps of every module; each is written when it is made, and those of an interrupted run are read."""
    found = read_maps(job.folder, [module.name for module in job.engine.modules])
    missing = [
        family for family in families(job.engine.modules) if not all(module.name in found for module in family)
    ]
    engine = replace(job.engine, modules=[module for family in missing for module in family])
    for name, maps in iter_maps(job.files, job.dataset, engine, sample, on_progress):
        write_maps(job.folder, {name: maps})
        found[name] = maps
    return found


def _missing_statistics(job: IndexJob, sample: StatisticsSample) -> dict[Path, set[str]]:
    """Statistics that no earlier build left: their files, and the modules of each."""
    paths = statistics_paths(job.files, job.dataset, job.engine, sample)
    return {path: {module.name for module in family} for path, family in paths.items() if not path.exists()}


def _drop_unbought(job: IndexJob, bought: Mapping[str, ModuleMaps], fresh: Mapping[Path, set[str]]) -> None:
    """Remove what was made only to find that a budget buys nothing of a module: its maps, and new statistics."""
    remove_maps(job.folder, [module.name for module in job.engine.modules if module.name not in bought])
    for path, names in fresh.items():
        if names.isdisjoint(bought):
            path.unlink(missing_ok=True)


def _ranks(job: IndexJob, engine: Engine, budget_bytes: int) -> dict[str, int]:
    positions = sample_positions(job.dataset.num_examples, ENERGY_EXAMPLES, engine.method.projection.seed)
    sample = engine.encoder.encode_all(job.examples.examples_at(positions)).texts
    with engine.gradients() as source:
        energies = measure_energies(source, sample)
        return allocate_ranks(source.modules, energies, source.codec, budget_bytes - OVERHEAD_BYTES)


def _store_gradients(job: IndexJob, manifest: Manifest, on_progress: ProgressSink) -> Manifest:
    """Make the parts that are missing, in whatever order that leaves."""
    sweep_leftovers(job.folder)
    plan = read_plan(job.folder)
    counter = _Counter("gradients", manifest.num_stored, plan.num_examples, on_progress)
    with job.engine.gradients() as source:
        for number in missing_parts(plan, job.folder):
            if is_finished(job.folder, number):  # by another worker, meanwhile
                continue
            began = time.monotonic()
            ids, encoded = _encoded(job, plan.rows_of(number))
            shard = build_shard(source, encoded.texts, counter.add)
            origin = _origin(job, time.monotonic() - began)
            write_part(job.folder, plan, number, shard.tensors, _facts(ids, encoded, shard), origin)
    return compact(job.folder)


def _encoded(job: IndexJob, rows: range) -> tuple[list[str], EncodedTexts]:
    examples = list(job.examples.iter_examples(rows.start, rows.stop))
    if len(examples) != len(rows):
        raise FingerprintMismatch(
            f"data set {job.dataset.dataset_id!r} has fewer examples than the {job.manifest.num_examples} that the "
            "index expects: its examples.parquet was changed. Import the data again."
        )
    return [example.train_id for example in examples], job.engine.encoder.encode_all(examples)


def _facts(ids: Sequence[str], encoded: EncodedTexts, shard: ShardTensors) -> ShardFacts:
    count = add_counts(map(count_tokens, encoded.texts))
    silent = [
        train_id
        for train_id, text in zip(ids, encoded.texts, strict=True)
        if not has_targets(text) and train_id not in encoded.unreadable
    ]
    return ShardFacts(
        num_truncated=sum(map(is_cut, encoded.texts)),
        num_without_targets=len(silent),
        kept_energy=shard.kept_energy,
        stored_energy=shard.stored_energy,
        total_energy=shard.total_energy,
        failed_ids=list(encoded.unreadable),
        failed_reasons=list(encoded.unreadable.values()),
        ids_without_targets=silent,
        num_tokens=count.whole,
        num_tokens_read=count.read,
        num_positions=count.positions,
    )


def _origin(job: IndexJob, seconds: float) -> Origin:
    worker = f"{platform.node()}:{os.getpid()}"
    return Origin(str(job.engine.loaded.device), torch.__version__, worker, seconds)


@dataclass
class _Counter:
    stage: str
    done: int
    total: int
    on_progress: ProgressSink

    def add(self, num_examples: int, num_tokens: int) -> None:
        self.done += num_examples
        self.on_progress(self.stage, self.done, self.total)


def is_worth_an_estimate(job: IndexJob) -> bool:
    """Whether a build is not about to find its index finished, or to go on with gradients that were begun."""
    is_resumed = is_begun(job.folder) and job.num_left > 0
    return not is_resumed and not _has_curvature(job, job.manifest)


def _has_curvature(job: IndexJob, manifest: Manifest) -> bool:
    """Whether the fitted preconditioner is the one that the settings ask for."""
    curvature = job.engine.method.curvature
    if manifest.status != "complete" or manifest.subspace_rank != curvature.subspace_rank:
        return False
    asked, kept = asdict(curvature.fitted), manifest.curvature or {}
    return all(kept.get(name) == asked[name] for name in ("damping_rule", "damping_ratio", "damping"))
