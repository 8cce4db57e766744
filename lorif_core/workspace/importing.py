"""Import data files as a data set of a workspace."""

import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ImportConfig
from lorif_core.data.importing import ImportReport, write_examples
from lorif_core.workspace.files import WorkspaceFiles


@dataclass(frozen=True)
class ImportResult:
    """What an import brought."""

    dataset: DatasetRecord
    report: ImportReport

    is_new: bool
    """False when the same examples were there already; nothing was added then."""

    rejects_file: Path | None
    """Lists the rows that could not be used; the next import of that name replaces it."""


def import_data(
    files: WorkspaceFiles,
    paths: Sequence[Path],
    settings: ImportConfig,
    on_progress: Callable[[int], None] = lambda num_rows: None,
) -> ImportResult:
    """Read data files into the workspace; importing the same examples again adds nothing.

    Raises:
        DataError: A file or its columns cannot be used, or rows are bad under ``strict``.
    """
    incoming = files.root / "datasets" / f".incoming-{uuid.uuid4().hex}"
    rejects = files.rejects_file(_name(paths, settings))
    incoming.mkdir(parents=True)
    try:
        report = write_examples(paths, settings, incoming, on_progress, rejects)
        dataset_id = f"ds-{report.fingerprint[:12]}"
        folder = files.dataset_folder(dataset_id)
        is_new = not folder.exists()
        if is_new:
            incoming.rename(folder)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    known = [record for record in files.catalog.datasets() if record.dataset_id == dataset_id]
    record = known[0] if known else _record(files, dataset_id, paths, settings, report)
    if not known:
        files.catalog.put_dataset(record)
    return ImportResult(record, report, is_new and not known, rejects if rejects.exists() else None)


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
        size_bytes=(files.dataset_folder(dataset_id) / "examples.parquet").stat().st_size,
        source_files=tuple(str(path) for path in paths),
    )
