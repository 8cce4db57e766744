"""Import data files as a data set of a workspace."""

import json
import re
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import Any

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ImportConfig, NextVersion
from lorif_core.corpus.version_changes import VersionChanges, compare_versions
from lorif_core.data.importing import ImportReport, write_examples
from lorif_core.data.source_files import find_files
from lorif_core.files import checksum_of_file
from lorif_core.workspace.datasets.next_version import Carried, Foreseen, compare_next, take_along
from lorif_core.workspace.datasets.view import build_search
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles


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
    incoming = files.root / "datasets" / f".incoming-{uuid.uuid4().hex}"
    rejects = files.rejects_file(name)
    incoming.mkdir(parents=True)
    changes = compared = carried = None
    try:
        report = write_examples(paths, settings, incoming, on_progress, rejects)
        dataset_id = f"ds-{report.fingerprint[:12]}"
        found = files.catalog.datasets()
        known = next((record for record in found if record.dataset_id == dataset_id), None)
        parent = latest_version(found, name) if known is None else None
        if parent is not None:
            files.examples(parent.dataset_id)  # refuses a missing or damaged one
            changes = compare_versions(
                files.examples_file(parent.dataset_id), incoming / "examples.parquet", incoming / "changes.parquet"
            )
            compared = compare_next(files, parent, incoming / "examples.parquet")
            compared.require(said, files.lost_file(name))
            carried = compared.carried()
        _move_in(incoming, files.dataset_folder(dataset_id))
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    kept_rejects = rejects if rejects.exists() else None
    if known is not None:
        return ImportResult(known, report, False, None, kept_rejects, skipped)
    record = _record(files, dataset_id, name, found_files.paths, settings, report)
    if parent is not None:
        record = replace(record, corpus_id=parent.corpus_id, parent_id=parent.dataset_id, version=parent.version + 1)
    build_search(files, dataset_id)
    if compared is not None and carried is not None:
        carried = take_along(files, compared, record, carried)
    files.catalog.put_dataset(record)
    return ImportResult(record, report, True, changes, kept_rejects, skipped, carried)


def compare_import(
    files: WorkspaceFiles, paths: Sequence[Path], settings: ImportConfig, on_progress: ProgressSink = no_progress
) -> Foreseen | None:
    """What an import would do to decisions; None if there is no data set of that name, or it is this one.

    Raises as ``import_data``, but not because of what it finds. Nothing of it stays.
    """
    parent = latest_version(files.catalog.datasets(), _name(paths, settings))
    if parent is None:
        return None
    incoming = files.root / "datasets" / f".incoming-{uuid.uuid4().hex}"
    incoming.mkdir(parents=True)
    try:
        report = write_examples(paths, settings, incoming, on_progress)
        if any(record.fingerprint == report.fingerprint for record in files.catalog.datasets()):
            return None
        files.examples(parent.dataset_id)
        return compare_next(files, parent, incoming / "examples.parquet").foreseen()
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _move_in(incoming: Path, folder: Path) -> None:
    """Fill the folder of a data set; examples that are there stay, and lost ones come back."""
    folder.mkdir(exist_ok=True)
    for file in sorted(incoming.iterdir()):  # the examples last: they make it a data set
        if file.name != "examples.parquet" or not (folder / file.name).exists():
            file.replace(folder / file.name)


def latest_version(records: Sequence[DatasetRecord], name: str) -> DatasetRecord | None:
    """The newest version of the data set with that name."""
    versions = [record for record in records if record.name == name]
    return max(versions, key=lambda record: record.version, default=None)


def _name(paths: Sequence[Path], settings: ImportConfig) -> str:
    return settings.name or (paths[0].stem if paths else "")


def _record(
    files: WorkspaceFiles,
    dataset_id: str,
    name: str,
    paths: Sequence[Path],
    settings: ImportConfig,
    report: ImportReport,
) -> DatasetRecord:
    return DatasetRecord(
        dataset_id=dataset_id,
        name=name,
        fingerprint=report.fingerprint,
        kind=report.columns.kind,
        num_examples=report.num_examples,
        num_rejected=report.num_rejected,
        num_duplicates=report.num_duplicates,
        size_bytes=files.examples_file(dataset_id).stat().st_size,
        source_files=tuple(str(path.absolute()) if path.exists() else path.as_posix() for path in paths),
        source_checksums=tuple(map(checksum_of_file, paths)) if all(path.is_file() for path in paths) else (),
        settings_json=json.dumps(asdict(settings)),
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
