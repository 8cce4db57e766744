"""Build an index: gradients shard by shard, then a preconditioner. Interrupted, it resumes."""

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
import torch
from filelock import FileLock, Timeout

from lorif_core.catalog import DatasetRecord, IndexRecord, ModelRecord, PreconditionerRecord
from lorif_core.config import CurvatureConfig, IndexConfig
from lorif_core.data.encoding import EncodedExample
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ArtefactError, FingerprintMismatch, LorifError
from lorif_core.files import fingerprint_of_value
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import maps_digest
from lorif_core.linalg.preconditioner import SubspacePreconditioner, precondition
from lorif_core.passes.budget import allocate_ranks, measure_energies
from lorif_core.passes.fitting import damping_of, fit_module, self_influence
from lorif_core.passes.shards import ShardTensors, build_shard
from lorif_core.passes.second_moments import sample_positions
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import NUMBERS_BYTES, bytes_per_example
from lorif_core.store.manifest import (
    Manifest,
    adopt_format_1,
    bookkeeping_bytes,
    compact,
    fingerprint_of_manifest,
    is_begun,
    manifest_of_plan,
    plan_of_manifest,
    read_manifest,
    write_manifest,
)
from lorif_core.store.parts import Origin, ShardFacts, is_finished, missing_parts, sweep_leftovers, write_part
from lorif_core.store.plan import ONE_MODEL, Parents, Plan, read_plan, write_plan
from lorif_core.store.reader import StoreReader
from lorif_core.store.statistics import write_maps
from lorif_core.store.writer import write_self_influence, write_subspace
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.take_statistics import maps_of_statistics

SHARD_BYTES = 32 << 20
MIN_SHARD, MAX_SHARD = 64, 16384

ENERGY_EXAMPLES = 256
"""Sample on which a budget is divided among modules."""

SELF_INFLUENCE_BYTES = 4
OVERHEAD_BYTES = NUMBERS_BYTES + SELF_INFLUENCE_BYTES
"""Per example beside factors: norm, length and self-influence."""


@dataclass(frozen=True)
class IndexJob:
    """An index that is about to be built or resumed."""

    files: WorkspaceFiles
    dataset: DatasetRecord
    engine: Engine
    index_id: str
    manifest: Manifest
    """As on disk, or fresh."""

    @property
    def settings(self) -> IndexConfig:
        """Settings of the build."""
        return self.engine.settings

    @property
    def folder(self) -> Path:
        """Folder of the index."""
        return self.files.index_folder(self.index_id)

    @property
    def examples(self) -> ExampleTable:
        """The data set's examples."""
        return self.files.examples(self.dataset.dataset_id)

    @property
    def num_left(self) -> int:
        """Examples without stored gradients."""
        return self.manifest.num_examples - self.manifest.num_stored

    @property
    def bytes_per_example(self) -> int:
        """Codes and scales of one example."""
        if self.settings.budget_bytes is not None:
            return self.settings.budget_bytes - OVERHEAD_BYTES
        codec = column_codec(self.settings.codec)
        return bytes_per_example(self.engine.modules, codec, self.settings.factor_rank, self.engine.method.layout)


def plan_index(files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine) -> IndexJob:
    """The index that these settings name: a fresh one, or the one on disk.

    The id depends on everything that decides the stored gradients, not on curvature, batch or
    shard sizes: another rank or damping reuses the gradients. Texts are cut at what the model can read, so two
    settings that differ only beyond that name one index.

    Raises:
        ResourceError: The curvature would not fit into memory.
    """
    settings, loaded = engine.settings, engine.loaded
    method = engine.method
    method.check(engine.modules, psutil.virtual_memory().available)
    layout = method.layout
    codec = column_codec(settings.codec)
    rank = settings.factors.factor_rank or 1
    per_example = settings.budget_bytes or bytes_per_example(engine.modules, codec, rank, layout)
    fresh = Plan(
        layout=layout,
        codec=codec.name,
        factor_rank=rank,
        f=settings.f,
        seed=settings.factors.seed,
        max_length=engine.encoder.max_length,
        parents=Parents(dataset.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint),
        modules=engine.modules,
        maps_digest=maps_digest(engine.maps),
        budget_bytes=settings.budget_bytes,
        whitening=asdict(settings.whitening) if settings.is_whitened else None,
        num_examples=dataset.num_examples,
        shard_examples=settings.batches.shard_examples or shard_size(per_example),
    )
    index_id = index_id_of(fresh)
    return IndexJob(files, dataset, engine, index_id, _manifest_of(files.index_folder(index_id), fresh))


def index_id_of(plan: Plan) -> str:
    """Name of the index that a plan asks for, before the build decides on maps and ranks."""
    identity = asdict(plan)
    for name in ("shard_examples", "maps", "ranks"):
        identity.pop(name)
    if plan.members == ONE_MODEL:
        identity.pop("members")
    for name in ("whitening", "budget_bytes"):
        if identity[name] is None:
            identity.pop(name)
    return f"ix-{fingerprint_of_value(identity)[:12]}"


def _manifest_of(folder: Path, fresh: Plan) -> Manifest:
    """As on disk, or of a plan that nothing was built by."""
    return read_manifest(folder) if is_begun(folder) else manifest_of_plan(fresh)


def shard_size(bytes_per_example: int) -> int:
    """Examples per shard of about 32 MB."""
    return min(max(SHARD_BYTES // bytes_per_example, MIN_SHARD), MAX_SHARD)


def build_index(job: IndexJob, on_progress: ProgressSink = no_progress) -> IndexRecord:
    """Build or resume an index; a complete one with the same curvature is left alone.

    Raises:
        ResourceError: The disk is full, or the curvature does not fit into memory.
        ArtefactError: Another process builds the same index.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with _only_builder(job.folder):
        adopt_format_1(job.folder)
        manifest = _manifest_of(job.folder, plan_of_manifest(job.manifest))
        started = time.monotonic()
        if _has_curvature(job, manifest) and (known := _registered(job, manifest)):
            return known
        _register(job, manifest)
        try:
            job, manifest = _prepare(job, manifest, on_progress)
            if manifest.ranks is not None:  # fewer modules than were registered
                _register(job, manifest)
            if manifest.status == "building":
                manifest = _store_gradients(job, manifest, on_progress)
            if not _has_curvature(job, manifest):
                manifest = _fit(job, manifest.without_preconditioner(), on_progress)
        except LorifError:
            job.files.catalog.set_index_status(job.index_id, "failed")
            raise
        return _finish(job, manifest, time.monotonic() - started)


def _registered(job: IndexJob, manifest: Manifest) -> IndexRecord | None:
    """The catalog's record of a complete index, if it speaks of this very manifest."""
    named = {record.fingerprint: record for record in job.files.catalog.indexes() if record.index_id == job.index_id}
    record = named.get(fingerprint_of_manifest(manifest))
    return record if record is not None and record.status == "complete" else None


@contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise ArtefactError(
            f"index {folder.name!r} is being built by another process. Wait for it, or stop it; the build resumes."
        ) from error


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
    engine, settings = job.engine, job.settings
    if settings.is_whitened:
        engine = engine.with_maps(maps_of_statistics(job.files, job.dataset, engine, on_progress))
    if settings.budget_bytes is not None:
        engine = engine.with_ranks(_ranks(job, engine, settings.budget_bytes))
        plan = replace(plan, modules=list(engine.modules), ranks=dict(engine.ranks or {}))
    return replace(plan, maps=write_maps(job.folder, engine.maps)) if settings.is_whitened else plan


def _ranks(job: IndexJob, engine: Engine, budget_bytes: int) -> dict[str, int]:
    positions = sample_positions(job.dataset.num_examples, ENERGY_EXAMPLES, job.settings.factors.seed)
    sample = [engine.encoder.encode(example) for example in job.examples.examples_at(positions)]
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
            examples = _encoded(job, plan.rows_of(number))
            shard = build_shard(source, examples, counter.add)
            origin = _origin(job, time.monotonic() - began)
            write_part(job.folder, plan, number, shard.tensors, _facts(examples, shard), origin)
    return compact(job.folder)


def _encoded(job: IndexJob, rows: range) -> list[EncodedExample]:
    encoder = job.engine.encoder
    examples = [encoder.encode(example) for example in job.examples.iter_examples(rows.start, rows.stop)]
    if len(examples) != len(rows):
        raise FingerprintMismatch(
            f"data set {job.dataset.dataset_id!r} has fewer examples than the {job.manifest.num_examples} that the "
            "index expects: its examples.parquet was changed. Import the data again."
        )
    return examples


def _facts(examples: Sequence[EncodedExample], shard: ShardTensors) -> ShardFacts:
    return ShardFacts(
        num_truncated=sum(example.is_truncated for example in examples),
        num_without_targets=sum(not example.has_targets for example in examples),
        kept_energy=shard.kept_energy,
        total_energy=shard.total_energy,
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


def _has_curvature(job: IndexJob, manifest: Manifest) -> bool:
    """Whether the fitted preconditioner is the one that the settings ask for."""
    return (
        manifest.status == "complete"
        and manifest.curvature == asdict(job.settings.curvature)
        and manifest.subspace_rank == job.engine.method.subspace_rank
    )


def _fit(job: IndexJob, manifest: Manifest, on_progress: ProgressSink) -> Manifest:
    method, curvature = job.engine.method, job.settings.curvature
    write_manifest(job.folder, manifest)
    reader = StoreReader(job.folder)
    subspaces, damping = [], {}
    for position, module in enumerate(reader.modules):
        on_progress("curvature", position, len(reader.modules))
        subspace = fit_module(reader, method, module)
        damping[module.name] = damping_of(subspace, curvature)
        subspaces.append(write_subspace(job.folder, position, subspace))
    on_progress("curvature", len(reader.modules), len(reader.modules))
    manifest = replace(manifest, curvature=asdict(curvature), subspaces=subspaces, damping=damping)
    manifest = manifest.as_complete(method.subspace_rank)
    return _store_self_influence(job, manifest, on_progress)


def _store_self_influence(job: IndexJob, manifest: Manifest, on_progress: ProgressSink) -> Manifest:
    reader = StoreReader(job.folder, manifest)

    def preconditioner_of(module: ModuleShape) -> SubspacePreconditioner:
        return precondition(reader.subspace(module), manifest.damping[module.name])

    entries = []
    for position, shard in enumerate(reader.iter_shards()):
        values = self_influence(shard, reader.modules, preconditioner_of)
        entries.append(write_self_influence(job.folder, position, values))
        on_progress("self-influence", position + 1, len(manifest.shards))
    manifest = replace(manifest, self_influences=entries)
    write_manifest(job.folder, manifest)
    return manifest


def _register(job: IndexJob, manifest: Manifest) -> None:
    """Name the model and the index in the catalog before the work starts."""
    loaded, settings = job.engine.loaded, job.settings
    catalog = job.files.catalog
    model_id = f"lm-{loaded.fingerprint[:12]}"
    catalog.put_model(
        ModelRecord(
            model_id=model_id,
            name=loaded.name,
            fingerprint=loaded.fingerprint,
            tokenizer_fingerprint=loaded.tokenizer_fingerprint,
            architecture=loaded.architecture,
            num_parameters=loaded.num_parameters,
        )
    )
    catalog.put_index(
        IndexRecord(
            index_id=job.index_id,
            dataset_id=job.dataset.dataset_id,
            model_id=model_id,
            method=settings.method,
            status="building",
            factor_rank=settings.factors.factor_rank if manifest.layout == "factors" else None,
            f=settings.f,
            codec=settings.codec,
            num_examples=manifest.num_examples,
            num_modules=len(manifest.modules),
            total_dim=sum(module.dim for module in manifest.modules),
            max_length=manifest.max_length,
            settings_json=json.dumps(asdict(settings)),
        )
    )


def _finish(job: IndexJob, manifest: Manifest, seconds: float) -> IndexRecord:
    catalog, curvature = job.files.catalog, job.settings.curvature
    fingerprint = fingerprint_of_manifest(manifest)
    _register_preconditioner(job, manifest, curvature)
    return catalog.set_index_status(
        job.index_id,
        "complete",
        num_truncated=sum(shard.num_truncated for shard in manifest.shards),
        shard_bytes=manifest.shard_bytes,
        total_bytes=manifest.total_bytes + bookkeeping_bytes(job.folder),
        fingerprint=fingerprint,
        build_seconds=seconds,
    )


def _register_preconditioner(job: IndexJob, manifest: Manifest, curvature: CurvatureConfig) -> None:
    job.files.catalog.put_preconditioner(
        PreconditionerRecord(
            preconditioner_id=f"pc-{fingerprint_of_value([job.index_id, asdict(curvature)])[:12]}",
            index_id=job.index_id,
            subspace_rank=job.settings.subspace_rank if manifest.subspace_rank is None else manifest.subspace_rank,
            damping_rule=curvature.damping_rule,
            damping_ratio=None if curvature.damping_rule == "absolute" else curvature.ratio,
            damping=curvature.damping,
            size_bytes=sum(entry.size_bytes for entry in manifest.subspaces),
            fingerprint=fingerprint_of_value([asdict(entry) for entry in manifest.subspaces]),
        )
    )
