"""An index whose plan is decided, from nothing but its workspace and id: what any worker anywhere starts from.

Whoever makes parts needs neither the settings that somebody typed nor a word from another worker: the catalog has the
settings, ``plan.json`` the rest. Whoever comes when all parts are there fits the curvature, one at a time.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from lorif_core.catalog import IndexRecord
from lorif_core.config import ModelConfig
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.methods.make_method import make_method
from lorif_core.models.load import LoadedModel, load_model
from lorif_core.store.manifest import read_manifest
from lorif_core.store.parts import finished_parts
from lorif_core.store.place import Place
from lorif_core.store.plan import PLAN, Parents, Plan, read_plan
from lorif_core.store.reader import StoreReader
from lorif_core.workspace.folder.index_losses import knows_only_losses
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.engine import engine_of_index
from lorif_core.workspace.indexes.fit_index import (
    BeingBuilt,
    compact_checked,
    fit_index,
    has_curvature,
    only_builder,
)
from lorif_core.workspace.indexes.free_memory import free_host_bytes
from lorif_core.workspace.indexes.index_job import IndexJob
from lorif_core.workspace.indexes.index_records import register_complete
from lorif_core.workspace.indexes.index_settings import read_index_settings
from lorif_core.workspace.indexes.open_index import check_parents


class ModelPlace(NamedTuple):
    """Where a worker finds the model, and where it runs it."""

    device: str = "auto"
    model: str | None = None
    """None: where it lay when the index was planned."""


class Planned(NamedTuple):
    """An index whose plan is decided."""

    record: IndexRecord
    plan: Plan


def planned_index(files: WorkspaceFiles, index_id: str) -> Planned:
    """The index with that id.

    Raises:
        CatalogError: There is none.
        ArtefactError: Its plan is not decided yet, or it is of format 1.
    """
    record = files.catalog.index(index_id)
    place = files.index_place(record)
    if not place.has(PLAN):
        raise ArtefactError(
            f"index {index_id!r} has no plan yet, and parts are made by one: run its `lorif index` command with "
            "`--plan-only` first."
        )
    return Planned(record, read_plan(place))


def job_of(
    files: WorkspaceFiles,
    record: IndexRecord,
    place: ModelPlace,
    load: Callable[[ModelConfig], LoadedModel] = load_model,
) -> IndexJob:
    """A planned index with its model loaded, ready to make parts.

    Args:
        files: The workspace.
        record: Of the index.
        place: Where the model lies and runs.
        load: Loads it.

    Raises:
        ModelError: The model cannot be loaded.
        FingerprintMismatch: The model or the data is not the one that the index was planned for.
    """
    if knows_only_losses(record):
        raise ConfigError(
            f"index {record.index_id!r} holds losses, whose models one process reads one after the other: run its "
            "`lorif index` command again instead of making parts."
        )
    settings = read_index_settings(record.settings_json, place.model)
    settings = replace(settings, model=replace(settings.model, device=place.device))
    reader = StoreReader(files.index_place(record))
    engine = engine_of_index(load(settings.model), settings, reader)
    engine = replace(engine, stride=reader.manifest.stride)
    loaded, dataset = engine.loaded, files.catalog.dataset(record.dataset_id)
    found = Parents(files.examples(dataset.dataset_id).fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint)
    check_parents(record.index_id, reader.manifest.parents, found, loaded.name)
    return IndexJob(files, dataset, settings, engine, record.index_id, reader.manifest)


def finish_index(files: WorkspaceFiles, index_id: str, on_progress: ProgressSink) -> IndexRecord | None:
    """Compact and fit an index whose parts are all there; needs no model. None: another process is at it.

    The time of the build is that of all its parts together, whoever made them, and of the fit.

    Raises:
        ArtefactError: Parts are missing, or damaged.
        CaptureError: More texts failed than may.
        ResourceError: The disk is full, or the curvature does not fit into memory.
    """
    record, _ = planned_index(files, index_id)
    curvature = make_method(read_index_settings(record.settings_json).method).curvature
    stored_at, began = files.index_place(record), time.monotonic()
    try:
        with only_builder(files.index_folder(index_id)):
            manifest = read_manifest(stored_at)
            if has_curvature(manifest, curvature) and files.catalog.index(index_id).status == "complete":
                return files.catalog.index(index_id)
            if manifest.status == "building":
                manifest = compact_checked(stored_at)
            if not has_curvature(manifest, curvature):
                curvature.check(manifest.modules, free_host_bytes())
                manifest = fit_index(stored_at, manifest, curvature, on_progress)
            seconds = _seconds_of_parts(stored_at) + time.monotonic() - began
            return register_complete(files, index_id, manifest, curvature.fitted, seconds)
    except BeingBuilt:
        return None


def _seconds_of_parts(stored_at: Place) -> float:
    return sum(entry.origin.seconds for entry in finished_parts(stored_at).values() if entry.origin is not None)
