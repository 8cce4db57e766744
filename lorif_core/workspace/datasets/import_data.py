"""Import data files as a data set of a workspace."""

import json
import re
import shutil
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ImportConfig, NextVersion
from lorif_core.corpus.version_changes import VersionChanges, compare_versions
from lorif_core.data.importing import ImportReport, write_examples
from lorif_core.data.source_files import find_files
from lorif_core.errors import DataError
from lorif_core.files import checksum_of_file
from lorif_core.workspace.datasets.import_folder import import_turn, working_folder
from lorif_core.workspace.datasets.next_version import Carried, Comparison, Foreseen, compare_next, take_along
from lorif_core.workspace.datasets.view import build_search_beside
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

MOST_COMPARISONS = 3
"""How often an import is compared with what is there; the last time nobody else can add anything."""


@dataclass(frozen=True)
class ImportResult:
    """What an import brought."""

    dataset: DatasetRecord
    report: ImportReport

    is_new: bool
    """False when the same examples were there already; nothing was added then."""

    changes: VersionChanges | None
    """How it differs from the version that it replaces; None for a first version, or when nothing was added."""

    rejects_file: Path | None
    """Lists the rows that could not be used; the next import of that name replaces it."""

    skipped_files: tuple[str, ...] = ()
    """What lies in the folders that were named and was not read."""

    carried: Carried | None = None
    """What the new version did to decisions; None for a first version, or when nothing was added."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self.dataset) | {
            "created_at": self.dataset.created_at.isoformat(),
            "is_new": self.is_new,
            "rejects_by_reason": self.report.rejects_by_reason,
            "rejects_file": None if self.rejects_file is None else str(self.rejects_file),
            "changes": None if self.changes is None else asdict(self.changes),
            "columns": self.report.columns.to_dict(),
            "metadata_columns": self.report.metadata_columns,
            "form": self.report.form,
            "other_forms": self.report.other_forms,
            "types": [told._asdict() for told in self.report.types],
            "notes": self.report.notes,
            "skipped_files": list(self.skipped_files),
            "carried": None if self.carried is None else self.carried.to_dict(),
        }


def import_data(
    files: WorkspaceFiles,
    paths: Sequence[Path],
    settings: ImportConfig,
    on_progress: ProgressSink = no_progress,
    said: NextVersion = NextVersion(),  # noqa: B008 - frozen
) -> ImportResult:
    """Read data files into the workspace; importing the same examples again adds nothing.

    Other examples under the name of a data set that is there become its next version, into which decisions follow
    their texts.

    Raises:
        DataError: A file or its columns cannot be used, rows are bad under ``strict``, most texts are other ones than
            those of the data set of that name, or decided texts are missing.
        RoleError: The person is a viewer.
    """
    require_curator(files, "import data")
    name = _name(paths, settings)
    found_files = find_files(paths, settings)
    skipped = tuple(map(str, found_files.skipped))
    rejects = files.rejects_file(name)
    with working_folder(files) as incoming:
        report = write_examples(paths, settings, incoming, on_progress, rejects)
        source = _Source(name, found_files.paths, _checksums(found_files.paths), settings, report)
        kept_rejects = rejects if rejects.exists() else None
        settled = _settle(files, incoming, source, said)
    return ImportResult(
        settled.record, report, settled.is_new, settled.changes, kept_rejects, skipped, settled.carried
    )


@dataclass(frozen=True)
class _Source:
    """What was read, and from where."""

    name: str
    paths: Sequence[Path]
    checksums: tuple[str, ...]
    settings: ImportConfig
    report: ImportReport

    @property
    def dataset_id(self) -> str:
        return f"ds-{self.report.fingerprint[:12]}"


class _Settled(NamedTuple):
    record: DatasetRecord
    is_new: bool
    changes: VersionChanges | None = None
    carried: Carried | None = None


class _Before(NamedTuple):
    """What an import follows; what it does to decisions holds for exactly this."""

    known: DatasetRecord | None
    """The same examples, if they are there already."""

    line: tuple[DatasetRecord, ...]
    """The versions of that name, the newest first."""

    revision: int | None
    """Of the journal; None where no decisions can follow."""

    @property
    def parent(self) -> DatasetRecord | None:
        return self.line[0] if self.line else None


def _before(files: WorkspaceFiles, source: _Source) -> _Before:
    found = files.catalog.datasets()
    known = next((record for record in found if record.dataset_id == source.dataset_id), None)
    if known is not None:
        return _Before(known, (), None)
    latest = latest_version(found, source.name)
    line = [record for record in found if latest is not None and record.corpus_id == latest.corpus_id]
    line.sort(key=lambda record: (record == latest, record.version), reverse=True)
    return _Before(None, tuple(line), files.journal.revision() if line else None)


def _settle(files: WorkspaceFiles, incoming: Path, source: _Source, said: NextVersion) -> _Settled:
    """Become the next version of what is there.

    The comparison may be long and goes on beside other imports and decisions. If one of them changed what was
    compared with, it is done again, in the end within the turn, where no other import can.
    """
    is_searchable = False
    for attempt in range(MOST_COMPARISONS):
        with ExitStack() as stack:
            if attempt == MOST_COMPARISONS - 1:
                stack.enter_context(import_turn(files))
            before = _before(files, source)
            try:
                compared = _compare(files, incoming, source, before, said)
            except DataError:
                if before == _before(files, source):
                    raise
                continue  # refused for what is not so any more
            if before.known is None and not is_searchable:
                build_search_beside(incoming / "examples.parquet")
                is_searchable = True
            if attempt < MOST_COMPARISONS - 1:
                stack.enter_context(import_turn(files))
                if before != _before(files, source):
                    continue
            return _add(files, incoming, source, before, compared)
    raise AssertionError("the last comparison is made in the turn")


class _Compared(NamedTuple):
    changes: VersionChanges
    comparison: Comparison
    carried: Carried


def _compare(
    files: WorkspaceFiles, incoming: Path, source: _Source, before: _Before, said: NextVersion
) -> _Compared | None:
    """How the data differ from those that they follow; refuses what a person has not said to want."""
    if before.parent is None:
        return None
    files.examples(before.parent.dataset_id)  # refuses a missing or damaged one
    new = incoming / "examples.parquet"
    changes = compare_versions(files.examples_file(before.parent.dataset_id), new, incoming / "changes.parquet")
    comparison = compare_next(files, before.parent, new)
    comparison.require(said, files.lost_file(source.name))
    return _Compared(changes, comparison, comparison.carried())


def _add(
    files: WorkspaceFiles, incoming: Path, source: _Source, before: _Before, compared: _Compared | None
) -> _Settled:
    folder = files.dataset_folder(source.dataset_id)
    _move_in(incoming, folder, replaces=before.known is None)
    if before.known is not None:
        return _Settled(before.known, False)
    record = _record(files, source)
    if compared is None or before.parent is None:
        files.catalog.put_dataset(record)
        return _Settled(record, True)
    parent = before.parent
    record = replace(record, corpus_id=parent.corpus_id, parent_id=parent.dataset_id, version=parent.version + 1)
    moved = replace(compared.comparison, new=files.examples_file(source.dataset_id))
    carried = take_along(files, moved, record, compared.carried)
    files.catalog.put_dataset(record)
    return _Settled(record, True, compared.changes, carried)


def compare_import(
    files: WorkspaceFiles, paths: Sequence[Path], settings: ImportConfig, on_progress: ProgressSink = no_progress
) -> Foreseen | None:
    """What an import would do to decisions; None if there is no data set of that name, or it is this one.

    Raises as ``import_data``, but not because of what it finds. Nothing of it stays.
    """
    parent = latest_version(files.catalog.datasets(), _name(paths, settings))
    if parent is None:
        return None
    with working_folder(files) as incoming:
        report = write_examples(paths, settings, incoming, on_progress)
        if any(record.fingerprint == report.fingerprint for record in files.catalog.datasets()):
            return None
        files.examples(parent.dataset_id)
        return compare_next(files, parent, incoming / "examples.parquet").foreseen()


def _move_in(incoming: Path, folder: Path, *, replaces: bool) -> None:
    """Fill the folder of a data set; examples that are there stay, and lost ones come back.

    Args:
        incoming: What comes.
        folder: The folder.
        replaces: Whether other files that are there, of an import that was killed, are replaced.
    """
    folder.mkdir(exist_ok=True)
    for file in sorted(incoming.iterdir(), key=lambda file: (file.name == "examples.parquet", file.name)):
        is_there = (folder / file.name).exists()  # the examples come last: they make it a data set
        if not is_there or (replaces and file.name != "examples.parquet"):
            file.replace(folder / file.name)


def latest_version(records: Sequence[DatasetRecord], name: str) -> DatasetRecord | None:
    """The newest version of the data set with that name."""
    versions = [record for record in records if record.name == name]
    return max(versions, key=lambda record: record.version, default=None)


def _name(paths: Sequence[Path], settings: ImportConfig) -> str:
    return settings.name or (paths[0].stem if paths else "")


def _checksums(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(map(checksum_of_file, paths)) if all(path.is_file() for path in paths) else ()


def _record(files: WorkspaceFiles, source: _Source) -> DatasetRecord:
    report, paths = source.report, source.paths
    return DatasetRecord(
        dataset_id=source.dataset_id,
        name=source.name,
        fingerprint=report.fingerprint,
        kind=report.columns.kind,
        num_examples=report.num_examples,
        num_rejected=report.num_rejected,
        num_duplicates=report.num_duplicates,
        size_bytes=files.examples_file(source.dataset_id).stat().st_size,
        source_files=tuple(str(path.absolute()) if path.exists() else path.as_posix() for path in paths),
        source_checksums=source.checksums,
        settings_json=json.dumps(asdict(source.settings)),
    )


def read_rejects(files: WorkspaceFiles, name: str, limit: int) -> list[dict[str, Any]]:
    """The first rows that the latest import under a name could not use: file, line, reason, detail, row."""
    path = files.rejects_file(name)
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as handle:
        return [json.loads(line) for line in islice(handle, limit)]


def keep_upload(files: WorkspaceFiles, name: str, content: BufferedIOBase) -> Path:
    """The path of an uploaded file, kept in the workspace: imports and exports read it again.

    Args:
        files: The workspace.
        name: As the browser says; its folder and odd characters are dropped.
        content: Read from its present place to its end.
    """
    folder = files.root / "uploads"
    folder.mkdir(exist_ok=True)
    plain = re.sub(r"[^\w.-]+", "-", Path(name.replace("\\", "/")).name).lstrip(".") or "upload"
    partial = folder / f".{uuid.uuid4().hex}"
    try:
        with partial.open("wb") as handle:
            shutil.copyfileobj(content, handle)
        place = folder / checksum_of_file(partial)[:12]
        place.mkdir(exist_ok=True)
        return partial.replace(place / plain)
    finally:
        partial.unlink(missing_ok=True)
