"""Where everything of a workspace lies, and its catalog."""

import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lorif_core.catalog import Catalog, DatasetRecord, DuckDBCatalog, IndexRecord
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ArtefactError, CatalogError
from lorif_core.files import read_json, write_json
from lorif_core.store.reader import StoreReader

FORMAT_VERSION = 1
MARKER = "workspace.json"


@dataclass(frozen=True)
class WorkspaceFiles:
    """A workspace folder: data sets, indexes and the catalog of both."""

    root: Path

    @cached_property
    def catalog(self) -> Catalog:
        """Facts about everything in the workspace."""
        return DuckDBCatalog(self.root / "catalog.duckdb")

    def dataset_folder(self, dataset_id: str) -> Path:
        """Folder of a data set."""
        return self.root / "datasets" / dataset_id

    def rejects_file(self, name: str) -> Path:
        """Where an import under that name lists the rows that it could not use."""
        plain = re.sub(r"[^\w-]+", "-", name) or "rows"
        return self.root / "rejects" / f"{plain}.jsonl"

    def index_folder(self, index_id: str) -> Path:
        """Folder of an index."""
        return self.root / "indexes" / index_id

    def examples(self, dataset_id: str) -> ExampleTable:
        """The imported examples of a data set."""
        return ExampleTable(self.dataset_folder(dataset_id) / "examples.parquet")

    def open_index(self, index_id: str) -> StoreReader:
        """An index for reading."""
        return StoreReader(self.index_folder(index_id))

    def choose_dataset(self, name_or_id: str | None) -> DatasetRecord:
        """The named data set, or the only one.

        Raises:
            CatalogError: There is none, it is unknown, or several fit.
        """
        found = self.catalog.datasets()
        if name_or_id is not None:
            found = [record for record in found if name_or_id in (record.dataset_id, record.name)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{record.name} ({record.dataset_id})" for record in self.catalog.datasets())
        if not known:
            raise CatalogError(f"workspace {str(self.root)!r} holds no data set yet. Add one with `lorif import`.")
        asked = (
            "several data sets are there" if name_or_id is None else f"{len(found)} data sets match {name_or_id!r}"
        )
        raise CatalogError(f"one data set must be meant, but {asked}: {known}. Pass `--dataset` with an id.")

    def choose_index(self, index_id: str | None) -> IndexRecord:
        """The given index, or the newest complete one.

        Raises:
            CatalogError: There is none.
        """
        if index_id is not None:
            return self.catalog.index(index_id)
        complete = [record for record in self.catalog.indexes() if record.status == "complete"]
        if not complete:
            raise CatalogError(
                f"workspace {str(self.root)!r} holds no complete index. Build one with "
                f"`lorif index {self.root} --model FOLDER`."
            )
        return max(complete, key=lambda record: (record.updated_at, record.index_id))

    def free_bytes(self) -> int:
        """Free space on the workspace's disk."""
        return shutil.disk_usage(self.root).free


def open_files(path: Path) -> WorkspaceFiles:
    """An existing workspace.

    Raises:
        ArtefactError: There is none, or it is from a newer version.
    """
    if not (path / MARKER).is_file():
        raise ArtefactError(
            f"{str(path)!r} is not a workspace: it holds no {MARKER}. Make one with `lorif import {path} FILE`, or "
            "`lorif demo`."
        )
    version = read_json(path / MARKER).get("format")
    if version != FORMAT_VERSION:
        raise ArtefactError(
            f"workspace {str(path)!r} has format {version}, this version of LoRIF Studio reads {FORMAT_VERSION}. "
            "Update LoRIF Studio."
        )
    return WorkspaceFiles(path)


def create_files(path: Path) -> WorkspaceFiles:
    """The workspace at ``path``, made if it is not there yet.

    Raises:
        ArtefactError: The folder holds something else, or cannot be written.
    """
    if (path / MARKER).is_file():
        return open_files(path)
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ArtefactError(
                f"a workspace needs a new or empty folder, {str(path)!r} holds something else. Choose another folder."
            )
        path.mkdir(parents=True, exist_ok=True)
        for folder in ("datasets", "indexes"):
            (path / folder).mkdir(exist_ok=True)
        write_json(path / MARKER, {"format": FORMAT_VERSION})
    except OSError as error:
        raise ArtefactError(
            f"{str(path)!r} cannot be made a workspace: {error.strerror}. Choose another folder."
        ) from error
    return WorkspaceFiles(path)
