"""The part of a workspace that imports data, builds indexes and opens them with their model."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorif_core.catalog import DatasetRecord, IndexRecord
from lorif_core.config import (
    BatchConfig,
    CurvatureConfig,
    FactorConfig,
    ImportConfig,
    IndexConfig,
    ModelConfig,
    WhiteningConfig,
)
from lorif_core.errors import FingerprintMismatch
from lorif_core.models.load import load_model
from lorif_core.models.modules import ModuleEntry, list_modules
from lorif_core.store.manifest import Parents
from lorif_core.workspace.asking import OpenIndex
from lorif_core.workspace.engine import Engine, build_engine
from lorif_core.workspace.estimate import IndexEstimate, estimate_index
from lorif_core.workspace.files import WorkspaceFiles
from lorif_core.workspace.importing import ImportResult, import_data
from lorif_core.workspace.indexing import IndexJob, build_index, plan_index
from lorif_core.workspace.keeping import Keeper
from lorif_core.workspace.progress import ProgressSink, no_progress


class Builder(Keeper):
    """The part of a workspace that needs models: builds indexes, and keeps the last opened one in memory."""

    def __init__(self, files: WorkspaceFiles) -> None:
        super().__init__(files)
        self._opened: dict[tuple[str, str | None], OpenIndex] = {}
        self._loading = threading.Lock()
        """Held while a model is loaded, so that two threads do not load it twice."""

    @property
    def path(self) -> Path:
        """The workspace's folder."""
        return self.files.root

    def datasets(self) -> list[DatasetRecord]:
        """Every imported data set, oldest first."""
        return self.files.catalog.datasets()

    def indexes(self) -> list[IndexRecord]:
        """Every index, oldest first, whatever its status."""
        return self.files.catalog.indexes()

    def import_data(
        self,
        *paths: str | Path,
        settings: ImportConfig | None = None,
        on_progress: Callable[[int], None] = lambda num_rows: None,
    ) -> ImportResult:
        """Read data files into the workspace; importing the same examples again adds nothing.

        Raises:
            DataError: A file or its columns cannot be used.
        """
        return import_data(self.files, [Path(path) for path in paths], settings or ImportConfig(), on_progress)

    def index(
        self,
        settings: IndexConfig,
        *,
        dataset: str | None = None,
        on_estimate: Callable[[str, IndexEstimate], None] | None = None,
        on_progress: ProgressSink = no_progress,
    ) -> IndexRecord:
        """Build the index that the settings name, or resume it, or find it complete.

        Args:
            settings: Model, method, factors, curvature.
            dataset: Name or id; may be left out when there is only one.
            on_estimate: Receives the index id and what the build will cost, before it starts.
            on_progress: Receives (stage, done, total).

        Raises:
            LorifError: The model, the data or the machine does not fit the settings.
        """
        job = self._plan(settings, dataset)
        if on_estimate is not None:
            on_estimate(job.index_id, estimate_index(job))
        return build_index(job, on_progress)

    def estimate(self, settings: IndexConfig, *, dataset: str | None = None) -> tuple[str, IndexEstimate]:
        """Id of the index that the settings name, and what building it would cost.

        Raises:
            LorifError: The model, the data or the machine does not fit the settings.
        """
        job = self._plan(settings, dataset)
        return job.index_id, estimate_index(job)

    def explained_energy(self, index_id: str) -> float:
        """Share of the squared gradient norm that the stored rank-c form keeps, over all modules."""
        return self.files.open_index(index_id).manifest.total_explained_energy()

    def ranks(self, index_id: str) -> dict[str, int] | None:
        """Rank-one terms per module that a budget bought; None for an index without a budget."""
        return self.files.open_index(index_id).manifest.ranks

    def open_index(self, index_id: str | None = None, *, model: str | None = None) -> OpenIndex:
        """A complete index with its model in memory.

        Args:
            index_id: Unset: the newest complete index.
            model: Where the model lies now, if it was moved since the index was built.

        Raises:
            FingerprintMismatch: The model or the data is not the one the index was built from.
        """
        record = self.files.choose_index(index_id)
        key = (record.index_id, model)
        with self._loading:
            if key not in self._opened:
                self._opened = {key: self._open(record, model)}
            return self._opened[key]

    def has_open(self, index_id: str) -> bool:
        """Whether an index and its model are in memory."""
        return any(opened == index_id for opened, _ in list(self._opened))

    def _plan(self, settings: IndexConfig, dataset: str | None) -> IndexJob:
        record = self.files.choose_dataset(dataset)
        if Path(settings.model.model).is_dir():  # so that the index can be asked from another folder
            placed = replace(settings.model, model=str(Path(settings.model.model).resolve()))
            settings = replace(settings, model=placed)
        return plan_index(self.files, record, build_engine(load_model(settings.model), settings))

    def _open(self, record: IndexRecord, model: str | None) -> OpenIndex:
        reader = self.files.open_index(record.index_id)
        reader.require_complete()
        examples = self.files.examples(record.dataset_id)
        settings = settings_from_json(record.settings_json, model)
        engine = build_engine(load_model(settings.model), settings, reader.maps())
        if reader.manifest.ranks is not None:
            engine = engine.with_ranks(reader.manifest.ranks)
        loaded = engine.loaded
        _check_parents(
            record.index_id,
            reader.manifest.parents,
            Parents(examples.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint),
            loaded.name,
        )
        # What was fitted, not what the catalog says was asked for: a build may have stopped in between.
        fitted = CurvatureConfig(**(reader.manifest.curvature or {}))
        return OpenIndex(record.index_id, reader, engine, examples, fitted)


def list_model_modules(settings: IndexConfig) -> tuple[list[ModuleEntry], Engine]:
    """Every module of a model that owns weights, and the engine that would track some of them."""
    loaded = load_model(settings.model)
    return list_modules(loaded.model, settings.model.include, settings.model.exclude), build_engine(loaded, settings)


def settings_from_json(text: str, model: str | None) -> IndexConfig:
    """The settings an index was built with, for a model that may lie elsewhere now."""
    raw: dict[str, Any] = json.loads(text)
    chosen = raw["model"] | ({"model": model} if model else {})
    chosen |= {"include": tuple(chosen["include"]), "exclude": tuple(chosen["exclude"]), "device": "auto"}
    return IndexConfig(
        model=ModelConfig(**chosen),
        method=raw["method"],
        factors=FactorConfig(**raw["factors"]),
        curvature=CurvatureConfig(**raw["curvature"]),
        whitening=WhiteningConfig(**raw.get("whitening", {})),
        batches=BatchConfig(**raw["batches"]),
        budget=raw.get("budget"),
    )


def _check_parents(index_id: str, built: Parents, found: Parents, model: str) -> None:
    """Refuse other data, another model or another tokenizer than the index was built from."""
    moved = "Pass the right folder with `--model`, or build a new index."
    for kind, was, now, holder, remedy in (
        ("data", built.dataset, found.dataset, "examples.parquet", "Restore the file, or import and index again."),
        ("a model", built.model, found.model, repr(model), moved),
        ("a tokenizer", built.tokenizer, found.tokenizer, repr(model), moved),
    ):
        if now != was:
            raise FingerprintMismatch(
                f"index {index_id!r} was built from {kind} with fingerprint {was[:8]}…, {holder} has {now[:8]}…. "
                f"{remedy}"
            )
