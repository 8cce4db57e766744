"""Import data files as a data set of a workspace."""

import json
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ImportConfig
from lorif_core.corpus.versions import VersionChanges, compare_versions
from lorif_core.data.importing import ImportReport, write_examples
from lorif_core.files import checksum_of_file
from lorif_core.workspace.browsing import build_search
from lorif_core.workspace.files import WorkspaceFiles


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


def import_data(
    files: WorkspaceFiles,
    paths: Sequence[Path],
    settings: ImportConfig,
    on_progress: Callable[[int], None] = lambda num_rows: None,
) -> ImportResult:
    """Read data files into the workspace; importing the same examples again adds nothing.

    Other examples under the name of a data set that is there become its next version.

    Raises:
        DataError: A file or its columns cannot be used, or rows are bad under ``strict``.
    """
    name = _name(paths, settings)
    incoming = files.root / "datasets" / f".incoming-{uuid.uuid4().hex}"
    rejects = files.rejects_file(name)
    incoming.mkdir(parents=True)
    changes = None
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
        _move_in(incoming, files.dataset_folder(dataset_id))
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    kept_rejects = rejects if rejects.exists() else None
    if known is not None:
        return ImportResult(known, report, False, None, kept_rejects)
    record = _record(files, dataset_id, paths, settings, report)
    if parent is not None:
        record = replace(record, corpus_id=parent.corpus_id, parent_id=parent.dataset_id, version=parent.version + 1)
    build_search(files, dataset_id)
    files.catalog.put_dataset(record)
    return ImportResult(record, report, True, changes, kept_rejects)


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
    files: WorkspaceFiles, dataset_id: str, paths: Sequence[Path], settings: ImportConfig, report: ImportReport
) -> DatasetRecord:
    return DatasetRecord(
        dataset_id=dataset_id,
        name=_name(paths, settings),
        fingerprint=report.fingerprint,
        kind=report.columns.kind,
        num_examples=report.num_examples,
        num_rejected=report.num_rejected,
        num_duplicates=report.num_duplicates,
        size_bytes=files.examples_file(dataset_id).stat().st_size,
        source_files=tuple(str(path.absolute()) for path in paths),
        source_checksums=tuple(checksum_of_file(path) for path in paths if path.is_file()),
        settings_json=json.dumps(asdict(settings)),
    )
