"""An index that is about to be built: its plan, its name, and what of it is on disk already."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorif_core.capture.precision import possible_precisions
from lorif_core.catalog import DatasetRecord, IndexRecord
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ConfigError
from lorif_core.files import fingerprint_of_value
from lorif_core.linalg.codecs import scales_of
from lorif_core.linalg.maps import maps_digest
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.settings_json import settings_to_json
from lorif_core.store.blocks import NUMBERS_BYTES, WEIGHT_BYTES, bytes_per_example
from lorif_core.store.json_files import Folder
from lorif_core.store.manifest import Manifest, is_begun, manifest_of_plan, read_manifest
from lorif_core.store.place import Place
from lorif_core.store.plan import ONE_MODEL, Parents, Plan, values_to_keep
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.free_memory import free_host_bytes

SHARD_BYTES = 32 << 20
MIN_SHARD, MAX_SHARD = 64, 16384

SELF_INFLUENCE_BYTES = 4
OVERHEAD_BYTES = NUMBERS_BYTES + SELF_INFLUENCE_BYTES
"""Per example beside factors: norm, length and self-influence."""


@dataclass(frozen=True)
class IndexJob:
    """An index that is about to be built or resumed."""

    files: WorkspaceFiles
    dataset: DatasetRecord
    settings: IndexConfig
    engine: Engine
    index_id: str
    manifest: Manifest
    """As on disk, or fresh."""

    @property
    def folder(self) -> Path:
        """Folder of the index in the workspace."""
        return self.files.index_folder(self.index_id)

    @property
    def place(self) -> Place:
        """Where the index's files lie: that folder, or where it is stored."""
        return self.files.place_in(self.settings.storage, self.index_id)

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
        return codes_bytes(self.engine)


def plan_index(files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig, engine: Engine) -> IndexJob:
    """The index that these settings name: a fresh one, or the one on disk.

    The id depends on everything that decides the stored gradients, not on curvature, batch or
    shard sizes: another rank or damping reuses the gradients. Texts are cut at what the model can read, so two
    settings that differ only beyond that name one index. One that was begun in another precision than this processor
    would choose goes on in it, unless the settings name a precision; so does one with the scales of older versions.

    Raises:
        ResourceError: The curvature would not fit into memory.
    """
    engine = engine.with_windows_for(next(files.examples(dataset.dataset_id).iter_examples(0, 1), None))
    loaded, method = engine.loaded, engine.method
    method.curvature.check(engine.stored, free_host_bytes())
    per_example = method.budget_bytes or _coded_bytes(engine)
    fresh = Plan(
        layout=method.feature.layout,
        codec=method.feature.codec,
        factor_rank=method.feature.factor_rank,
        f=engine.f,
        seed=method.projection.seed,
        max_length=engine.encoder.max_length,
        parents=Parents(dataset.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint),
        modules=engine.stored,
        captured=None if method.projection.joint(engine.modules) is None else engine.modules,
        objective=None if method.train_objective == "loss" else method.train_objective,
        maps_digest=maps_digest(engine.maps),
        members=tuple(member.name for member in method.members),
        budget_bytes=method.budget_bytes,
        whitening=method.projection.recorded(engine.modules),
        num_examples=dataset.num_examples,
        shard_examples=settings.batches.shard_examples or shard_size(per_example),
        stride=engine.stride,
        scales=scales_of(method.feature.codec, method.feature.layout),
    )
    own = None if method.shares_gradients else settings_to_json(settings.method)
    plans = [
        replace(fresh, precision=precision, scales=scales)
        for precision in possible_precisions(settings.model.precision, loaded.model)
        for scales in dict.fromkeys((fresh.scales, None))  # an index from before goes on with the scales that it has
    ]
    known = {one.index_id: one for one in files.catalog.indexes()}
    begun = [one for one in plans if is_begun(_place_known(files, index_id_of(one, own), known, settings))]
    plan = (begun or plans)[0]
    index_id, engine = index_id_of(plan, own), engine.as_begun(plan)
    if begun and index_id in known:
        settings = replace(settings, storage=_same_storage(known[index_id], settings.storage))
    manifest = manifest_on_disk(files.place_in(settings.storage, index_id), plan)
    return IndexJob(files, dataset, settings, engine, index_id, manifest)


def _place_known(
    files: WorkspaceFiles, index_id: str, known: Mapping[str, IndexRecord], settings: IndexConfig
) -> Place:
    """Where an index lies that the catalog knows; of another, where the settings want it."""
    return files.index_place(known[index_id]) if index_id in known else files.place_in(settings.storage, index_id)


def _same_storage(record: IndexRecord, asked: str | None) -> str | None:
    """Where an index is stored that was begun, unless settings ask for another storage.

    Raises:
        ConfigError: They do.
    """
    if asked is not None and asked != record.storage:
        where = "in the workspace" if record.storage is None else f"in {record.storage!r}"
        raise ConfigError(
            f"an index is in one place, and index {record.index_id!r} is {where}, not in {asked!r}: leave "
            "`--storage` out, or copy the index first with `lorif indexes WORKSPACE INDEX --copy-to`."
        )
    return record.storage


def codes_bytes(engine: Engine) -> int:
    """Codes and scales of one example; under a budget all that it may take of them."""
    budget = engine.method.budget_bytes
    return _coded_bytes(engine) if budget is None else budget - OVERHEAD_BYTES


def _coded_bytes(engine: Engine) -> int:
    feature = engine.method.feature
    weight = 0 if engine.method.train_objective == "loss" else WEIGHT_BYTES
    return weight + bytes_per_example(engine.stored, engine.codec, feature.rank_of, feature.layout)


def index_id_of(plan: Plan, method: dict[str, Any] | None = None) -> str:
    """Name of the index that a plan asks for, before the build decides on maps and ranks.

    Args:
        plan: What decides the stored gradients.
        method: Settings of a method whose scores rest on more than these and a curvature.
    """
    identity = values_to_keep(plan)
    for name in ("shard_examples", "maps", "ranks"):
        identity.pop(name)
    if plan.members == ONE_MODEL:
        identity.pop("members")
    for name in ("whitening", "budget_bytes", "stride"):
        if identity[name] is None:
            identity.pop(name)
    if method is not None:
        identity["method"] = method
    return f"ix-{fingerprint_of_value(identity)[:12]}"


def manifest_on_disk(folder: Folder, fresh: Plan) -> Manifest:
    """The manifest of an index that is begun, or of a plan that nothing was built by."""
    return read_manifest(folder) if is_begun(folder) else manifest_of_plan(fresh)


def shard_size(bytes_per_example: int) -> int:
    """Examples per shard of about 32 MB."""
    return min(max(SHARD_BYTES // bytes_per_example, MIN_SHARD), MAX_SHARD)
