"""Where everything of a workspace lies, and its catalog."""

import os
import re
import shutil
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lorif_core.catalog import Catalog, DatasetRecord, DuckDBCatalog, IndexRecord
from lorif_core.catalog.last_seen_catalog import LastSeenCatalog
from lorif_core.errors import ArtefactError, CatalogError, ResourceError
from lorif_core.files import put_json, read_json, write_json
from lorif_core.journal.journal import Journal
from lorif_core.journal.last_seen import LastSeen
from lorif_core.journal.locations import plain_place
from lorif_core.journal.own_journal import OwnJournal
from lorif_core.system_failures import what_failed
from lorif_core.workspace.folder.index_members import linked_ids

if TYPE_CHECKING:
    from lorif_core.data.examples import ExampleTable
    from lorif_core.store.manifest import Manifest
    from lorif_core.store.place import Place
    from lorif_core.store.reader import StoreReader

FORMAT_VERSION = 1
MARKER = "workspace.json"
CATALOG, JOURNAL = "catalog.duckdb", "journal.sqlite"
JOURNAL_VARIABLE = "LORIF_JOURNAL"

IDENTITY = "workspace-id.json"
LAST_SEEN = "last-seen.json"
"""Neither is named after the journal: who deletes that by a pattern does not delete the memory of it."""

STATES_FOLDER = "states"
"""Copies of where the texts stand; the journal can make them anew."""


@dataclass(frozen=True)
class WorkspaceFiles:
    """A workspace folder: data sets, indexes and the catalog of both."""

    root: Path

    @cached_property
    def catalog(self) -> Catalog:
        """Facts about everything in the workspace."""
        return DuckDBCatalog(self.catalog_file, last_seen=self.last_seen_catalog)

    @property
    def catalog_file(self) -> Path:
        """Where the catalog is kept."""
        return self.root / CATALOG

    @property
    def last_seen_catalog(self) -> LastSeenCatalog:
        """Which catalog the workspace knows as its own, and how far it had come."""
        has_data = any((self.root / "datasets").glob("ds-*/examples.parquet"))
        return LastSeenCatalog(self.root / f"{CATALOG}.last-seen.json", has_data=has_data)

    @property
    def journal_location(self) -> Path | str:
        """Where people's decisions are kept: a file of the workspace, unless a database was chosen for it.

        The environment variable LORIF_JOURNAL, which may carry a password, goes before what the workspace says.
        """
        chosen = os.environ.get(JOURNAL_VARIABLE) or read_json(self.root / MARKER).get("journal")
        return chosen or self.own_file

    def choose_journal(self, url: str | None) -> None:
        """Keep decisions in the database at ``url`` from now on; None: in a file of the workspace."""
        marker = read_json(self.root / MARKER)
        marker.pop("journal", None)
        write_json(self.root / MARKER, marker if url is None else marker | {"journal": url})

    @cached_property
    def journal(self) -> Journal:
        """People's decisions, in the journal that the workspace knows as its own."""
        return Journal(self.journal_location, self.root / STATES_FOLDER, self.own_journal())

    @property
    def workspace_id(self) -> str:
        """What tells this workspace from others; drawn when it is first asked for, and copied with the folder.

        Empty for one that has none yet and lies on a disk that cannot be written: it is read all the same.
        """
        path = self.root / IDENTITY
        if path.exists():
            return str(read_json(path, "workspace_id")["workspace_id"])
        try:
            return str(put_json(path, {"workspace_id": uuid.uuid4().hex})["workspace_id"])
        except (OSError, ResourceError):
            return ""

    @property
    def own_file(self) -> Path:
        """Where decisions are kept if no other place was chosen for them."""
        return self.root / JOURNAL

    @property
    def last_seen(self) -> LastSeen:
        """Which journal the workspace knows as its own, and how far it had come."""
        return LastSeen(self.root / LAST_SEEN)

    def own_journal(self) -> OwnJournal:
        """What the workspace remembers of its journal, to compare the one at ``journal_location`` with."""
        location = self.journal_location
        place = plain_place(location)
        is_chosen = location != self.own_file
        return OwnJournal(self.last_seen, self.root, self.workspace_id, place, is_chosen=is_chosen)

    def scores_file(self, fingerprint: str) -> Path:
        """Where the scores of every example on one question are kept."""
        return self.root / "scores" / f"{fingerprint}.parquet"

    def map_file(self, index_id: str) -> Path:
        """Where the map of an index is kept."""
        return self.root / "maps" / f"{index_id}.parquet"

    def states_of_texts(self, index_id: str) -> Path:
        """Folder of what the model of an index makes of its texts."""
        return self.root / "states-of-texts" / index_id

    def dataset_folder(self, dataset_id: str) -> Path:
        """Folder of a data set."""
        return self.root / "datasets" / dataset_id

    def rejects_file(self, name: str) -> Path:
        """Where an import under that name lists the rows that it could not use."""
        plain = re.sub(r"[^\w-]+", "-", name) or "rows"
        return self.root / "rejects" / f"{plain}.jsonl"

    def lost_file(self, name: str) -> Path:
        """Where an import under that name lists decided texts that the new version lacks or has changed."""
        return self.rejects_file(name).with_suffix(".decided.jsonl")

    def index_folder(self, index_id: str) -> Path:
        """Folder of an index; everything of it lies there, unless it is stored elsewhere."""
        return self.root / "indexes" / index_id

    def index_place(self, record: IndexRecord) -> "Place":
        """Where the files of an index lie.

        Raises:
            ConfigError: A package that its storage needs is not installed.
        """
        return self.place_in(record.storage, record.index_id)

    def place_in(self, storage: str | None, index_id: str) -> "Place":
        """Where the files of an index lie that is stored there; None: in the workspace.

        Raises:
            ConfigError: A package that the storage needs is not installed.
        """
        from lorif_core.store.local_place import LocalPlace
        from lorif_core.store.open_place import open_place

        return LocalPlace(self.index_folder(index_id)) if storage is None else open_place(storage, index_id)

    def examples_file(self, dataset_id: str) -> Path:
        """The Parquet file of a data set; whoever reads it without ``examples`` checks it first."""
        return self.dataset_folder(dataset_id) / "examples.parquet"

    def examples(self, dataset_id: str) -> "ExampleTable":
        """The imported examples of a data set."""
        from lorif_core.data.examples import ExampleTable

        return ExampleTable(self.examples_file(dataset_id))

    def open_index(self, index_id: str) -> "StoreReader":
        """An index for reading."""
        from lorif_core.store.reader import StoreReader  # loads torch, which deciding and browsing do without

        return StoreReader(self.index_place(self.catalog.index(index_id)))

    def index_manifest(self, index_id: str) -> "Manifest":
        """What an index says of itself; unlike ``open_index`` it loads no torch.

        Raises:
            ArtefactError: The index has none, or it is not what was written.
        """
        from lorif_core.store.manifest import read_manifest

        return read_manifest(self.index_place(self.catalog.index(index_id)))

    def choose_dataset(self, name_or_id: str | None) -> DatasetRecord:
        """The version with that id, the latest version with that name, or the latest of the only data set.

        Raises:
            CatalogError: There is none, it is unknown, or several fit.
        """
        found = self.catalog.datasets()
        if name_or_id is not None:
            found = [record for record in found if name_or_id in (record.dataset_id, record.name)]
        latest = {record.corpus_id: record for record in sorted(found, key=lambda record: record.version)}
        if len(latest) == 1:
            return next(iter(latest.values()))
        known = ", ".join(
            f"{record.name} version {record.version} ({record.dataset_id})" for record in self.catalog.datasets()
        )
        if not known:
            raise CatalogError(f"workspace {str(self.root)!r} holds no data set yet. Add one with `lorif import`.")
        asked = (
            "several data sets are there" if name_or_id is None else f"{len(found)} data sets match {name_or_id!r}"
        )
        raise CatalogError(f"one data set must be meant, but {asked}: {known}. Pass `--dataset` with an id.")

    def choose_index(self, name_or_id: str | None) -> IndexRecord:
        """The index with that id or name, or the newest complete one that is no member of another one's scores.

        Raises:
            CatalogError: There is none, or several have the name.
        """
        if name_or_id is not None:
            from lorif_core.workspace.folder.index_names import index_called

            return index_called(self.root, self.catalog, name_or_id)
        complete = [record for record in self.catalog.indexes() if record.status == "complete"]
        if not complete:
            raise CatalogError(
                f"workspace {str(self.root)!r} holds no complete index. Build one with "
                f"`lorif index {self.root} --model FOLDER`."
            )
        linked = linked_ids(self.root / "indexes")
        complete = [record for record in complete if record.index_id not in linked] or complete
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
            f"{str(path)!r} cannot be made a workspace {what_failed(error)}. Or choose another folder."
        ) from error
    return WorkspaceFiles(path)


def open_or_begin(path: Path) -> tuple[WorkspaceFiles, bool]:
    """The workspace at ``path``, and whether it was made now, of a folder that is new or empty.

    Raises:
        ArtefactError: The folder above is missing, the folder holds something else, or it cannot be written.
    """
    if (path / MARKER).is_file():
        return open_files(path), False
    above = path.absolute().parent
    if not above.is_dir():
        raise ArtefactError(
            f"{str(path)!r} cannot be made a workspace: there is no folder {str(above)!r}. Check the path, or make "
            "that folder first."
        )
    return create_files(path), True
