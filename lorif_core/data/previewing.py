"""What an import would bring, from the first rows of the files: columns, texts, rejects, duplicates."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from lorif_core.config import ImportConfig
from lorif_core.data.column_plan import ToldType, plan_columns
from lorif_core.data.columns import Columns, looks_of
from lorif_core.data.find_columns import other_readings
from lorif_core.data.forms import describe
from lorif_core.data.importing import (
    Ledger,
    Reading,
    UsableRow,
    hint_of_encoding,
    notes_of,
    records_of,
    row_of,
    scan_columns,
    schemas_of,
)
from lorif_core.data.record import EXCERPT_CHARACTERS, Record
from lorif_core.data.source_files import find_files
from lorif_core.errors import DataError

SHOWN_ROWS = 20
SCANNED_ROWS = 10_000
MAX_REJECTS = 200
MAX_CELL = 400


class PreviewRow(NamedTuple):
    """A row as it would be imported."""

    train_id: str
    line: int
    text: str
    """As people read it, shortened; a mark between prompt and completion."""

    metadata: dict[str, Any]
    """All other columns."""


@dataclass(frozen=True)
class ImportPreview:
    """The first rows of some data files, read as the settings say."""

    names: list[str]
    """Every column that was seen."""

    columns: Columns | None
    """Which of them hold text and ids; None: they cannot be told."""

    problem: str | None
    """Why they cannot be told."""

    num_scanned: int
    """Rows that were looked at."""

    is_whole: bool
    """Whether these are all rows."""

    form: str = ""
    """The form that was recognised, the columns that it reads, and what is a target."""

    other_forms: list[str] = field(default_factory=list)
    """What else the columns could be read as, each with the flag that does so."""

    skipped_files: list[str] = field(default_factory=list)
    """What lies in the folders that were named and is not read."""

    rows: list[PreviewRow] = field(default_factory=list)
    """The first usable ones."""

    rejects: list[dict[str, Any]] = field(default_factory=list)
    """The first rows that cannot be used: file, line, reason, detail, row."""

    num_rejected: int = 0
    rejects_by_reason: dict[str, int] = field(default_factory=dict)
    """Most frequent first."""

    num_duplicates: int = 0
    """Rows of the same text as an earlier one, metadata aside; an import keeps them."""

    types: list[ToldType] = field(default_factory=list)
    """Every column that does not make the example, with its type and how it was found."""

    notes: list[str] = field(default_factory=list)
    """What was found out about the files, and how rows that are not UTF-8 may be read."""

    @property
    def id_rule(self) -> str:
        """Where ids come from, in words."""
        known = self.columns is not None and self.columns.id
        return f"the column {known}" if known else "a hash of the text that is trained on"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self) | {
            "rows": [row._asdict() for row in self.rows],
            "types": [told._asdict() for told in self.types],
            "id_rule": self.id_rule,
        }


def preview_files(paths: Sequence[Path], settings: ImportConfig, max_rows: int = SCANNED_ROWS) -> ImportPreview:
    """Read the first rows twice, as an import reads them all: for their columns, then for their problems.

    Args:
        paths: Data files, as an import takes them.
        settings: Which columns to read.
        max_rows: Rows to look at.

    Raises:
        DataError: A file cannot be read.
    """
    if not paths:
        raise DataError("a preview needs at least one file, none was given: name a data file.")
    num_scanned = 0
    schemas = schemas_of(paths, settings)

    def counted() -> Iterator[tuple[Path, Record]]:
        nonlocal num_scanned
        for found in islice(records_of(paths, settings), max_rows + 1):
            num_scanned += 1
            yield found

    known = scan_columns(counted(), settings)
    looks = looks_of(known)
    scanned = min(num_scanned, max_rows)
    is_whole = num_scanned <= max_rows
    try:
        plan = plan_columns(known, settings, schemas)
    except DataError as error:
        notes = notes_of(paths, settings)
        return ImportPreview(list(looks), None, str(error), scanned, is_whole, notes=notes)
    columns = plan.source
    reading = Reading(plan, settings.keep_empty, settings.rules)
    found = _read(islice(records_of(paths, settings), max_rows), reading, columns)
    files = find_files(paths, settings)
    return ImportPreview(
        names=list(looks),
        columns=columns,
        problem=None,
        form=describe(columns),
        other_forms=other_readings(looks, settings, columns) if looks else [],
        skipped_files=[str(path) for path in files.skipped],
        num_scanned=scanned,
        is_whole=is_whole,
        rows=found.rows,
        rejects=found.rejects,
        num_rejected=found.reasons.total(),
        rejects_by_reason=dict(found.reasons.most_common()),
        num_duplicates=found.num_duplicates,
        types=plan.told_types,
        notes=[*notes_of(paths, settings), *hint_of_encoding(files.paths, found.reasons, scanned)],
    )


class _Read(NamedTuple):
    """What some rows came to."""

    rows: list[PreviewRow]
    rejects: list[dict[str, Any]]
    reasons: Counter[str]
    num_duplicates: int


def _read(records: Iterable[tuple[Path, Record]], reading: Reading, columns: Columns) -> _Read:
    rows: list[PreviewRow] = []
    rejects: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    with TemporaryDirectory(prefix="lorif-preview-") as scratch, closing(Ledger(Path(scratch) / "seen")) as ledger:
        for path, record in records:
            found = row_of(path, record, reading, ledger)
            if isinstance(found, UsableRow):
                if len(rows) < SHOWN_ROWS:
                    rows.append(_shown(found, record, columns))
                continue
            reasons[found.reason] += 1
            if len(rejects) < MAX_REJECTS:
                raw = record.excerpt if record.values is None else str(record.values)
                entry = {"file": str(path), "line": record.line, "reason": found.reason, "detail": found.detail}
                rejects.append(entry | {"row": raw[:EXCERPT_CHARACTERS]})
        return _Read(rows, rejects, reasons, ledger.num_duplicates)


def _shown(row: UsableRow, record: Record, columns: Columns) -> PreviewRow:
    one = row.example
    text = one.plain_text if one.prompt is None else f"{one.prompt} ⏐ {one.completion}"
    others = {name: value for name, value in row.values.items() if name not in (*columns.read_columns, columns.id)}
    return PreviewRow(one.train_id, record.line, text[:MAX_CELL], others)
