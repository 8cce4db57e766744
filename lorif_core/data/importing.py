"""From a person's files to ``examples.parquet``: every row checked, identified and typed.

The files are streamed twice. The first pass finds the columns and one type for each
(``column_types``); the second checks every row and writes it, or lists it in ``rejects.jsonl`` with a
reason. Rejected rows decide nothing: where the others alone have other columns or types, two more passes find and
write these. Memory is bounded by a row group; what has been seen so far lives in a temporary
database on the disk.

Ids and fingerprints are hashes of what is read (``row_ids``).
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa

from lorif_core.config import ImportConfig
from lorif_core.data.chat_turns import UnusableRowError
from lorif_core.data.column_plan import ColumnPlan, ToldType, plan_columns, plan_types
from lorif_core.data.columns import Columns, ColumnScan, RowProblem, looks_of
from lorif_core.data.example import Example
from lorif_core.data.examples import ExampleWriter
from lorif_core.data.find_columns import other_readings
from lorif_core.data.forms import describe
from lorif_core.data.record import EXCERPT_CHARACTERS, MAX_COLUMNS, Record
from lorif_core.data.row_ids import content_of_row, given_id, hash_of_row
from lorif_core.data.rows import read_row
from lorif_core.data.source_files import find_files, split_column_of
from lorif_core.data.sources import file_notes, iter_records, schema_of
from lorif_core.data.text_files import encoding_hint
from lorif_core.data.text_weights import WeightCount, suggestion, weight_of
from lorif_core.errors import ArtefactError, DataError, ResourceError
from lorif_core.files import disk_full_message, replace_file, replace_sealed
from lorif_core.system_failures import what_failed

EXAMPLES_FILE = "examples.parquet"
REJECTS_FILE = "rejects.jsonl"
ROWS_PER_REPORT = 1_000


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote."""

    num_examples: int
    """Rows of ``examples.parquet``."""

    num_rejected: int
    """Rows of ``rejects.jsonl``; with 0 there is no such file."""

    rejects_by_reason: dict[str, int]
    """Reason → number of rows, most frequent first."""

    num_duplicates: int
    """Examples of the same text as an earlier one, metadata aside. They are kept."""

    columns: Columns
    """The columns that were read, by their names in ``examples.parquet``."""

    metadata_columns: list[str]
    """Columns of the data that are neither read nor ids, by their names in ``examples.parquet``."""

    fingerprint: str
    """Hash of ids, values and the choice of columns, in order; independent of file name and format."""

    form: str
    """The form that was recognised, the columns that it reads by their names in the data, and what is a target."""

    other_forms: list[str]
    """What else the columns could have been read as, each with the flag that does so."""

    types: list[ToldType]
    """Every column that does not make the example, with its type and how it was found."""

    notes: list[str]
    """What was found out about the files, and how rows that are not UTF-8 may be read."""


def write_examples(
    paths: Sequence[Path],
    settings: ImportConfig,
    folder: Path,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    rejects_file: Path | None = None,
) -> ImportReport:
    """Check all rows of ``paths`` and write them to ``folder``: all of them, or nothing.

    Args:
        paths: Files that ``iter_records`` reads, and folders of them; their rows follow one another.
        settings: Which columns to read, and whether a bad row stops the import.
        folder: Made when it does not exist. An earlier import in it is replaced.
        on_progress: Called with the name of the pass, the rows finished so far, and all rows; the first pass finds
            out how many those are, and says 0.
        rejects_file: Where bad rows are listed, on the same disk. Unset: ``rejects.jsonl`` in ``folder``.

    Raises:
        DataError: A file or its columns cannot be used; or no row can (the rejects file is written
            then); or some row cannot and ``settings.strict`` is set (nothing is written then).
        ResourceError: The disk is full.
        ArtefactError: The folder cannot be written.
    """
    if not paths:
        raise DataError("an import needs at least one file, none was given: name a data file.")
    first = _Pass(records_of(paths, settings), "rows looked at", on_progress)
    scanned, schemas = scan_columns(first, settings), schemas_of(paths, settings)
    plan = plan_columns(scanned, settings, schemas)
    listed = rejects_file or folder / REJECTS_FILE
    with _folder_for_writing(folder), TemporaryDirectory(prefix=".import-", dir=folder) as scratch:
        with replace_sealed(folder / EXAMPLES_FILE) as partial:
            job = _Job(paths, settings, Path(scratch), partial, on_progress, first.num_rows)
            written = _write_pass(job, plan)
            if written.rejected and written.num_examples:
                accepted = _plan_of_accepted(job, plan, scanned, schemas, written.rejected)
                if accepted != plan:
                    written = _write_pass(job, accepted)
                plan = accepted
            # Before the examples, whose presence says that the import is complete.
            written.rejects.publish(listed)
            if not written.num_examples:
                raise DataError(written.rejects.all_bad_message(listed))
    return ImportReport(
        num_examples=written.num_examples,
        num_rejected=written.rejects.num_rows,
        rejects_by_reason=dict(written.rejects.by_reason.most_common()),
        num_duplicates=written.num_duplicates,
        columns=plan.stored,
        metadata_columns=plan.metadata_columns,
        fingerprint=written.fingerprint,
        form=describe(plan.source),
        other_forms=other_readings(looks_of(scanned), settings, plan.source),
        types=plan.told_types,
        notes=[
            *notes_of(paths, settings),
            *written.weights.notes,
            *suggestion(plan.source.weight, {name: kind.arrow for name, kind in plan.types.items()}),
            *hint_of_encoding(find_files(paths, settings).paths, written.rejects.by_reason, first.num_rows),
        ],
    )


class _Job(NamedTuple):
    """What every pass of an import needs."""

    paths: Sequence[Path]
    settings: ImportConfig
    scratch: Path
    partial: Path
    on_progress: Callable[[str, int, int], None]
    num_rows: int


class _Written(NamedTuple):
    """What a pass wrote."""

    num_examples: int
    num_duplicates: int
    fingerprint: str
    rejects: "_RejectLog"
    rejected: set[int]
    """Numbers of the rejected rows that had values, from 0 over all files."""

    weights: WeightCount


def _write_pass(job: _Job, plan: ColumnPlan) -> _Written:
    """Check and write all rows; a pass before this one is forgotten.

    Raises:
        DataError: Rows are bad under ``strict``.
    """
    records = _Pass(records_of(job.paths, job.settings), "rows read", job.on_progress, job.num_rows)
    reading = Reading(plan, job.settings.keep_empty, job.settings.rules)
    rejected: set[int] = set()
    weights = WeightCount(plan.source.weight)
    with (
        closing(Ledger(job.scratch / "seen.sqlite")) as ledger,
        closing(_RejectLog(job.scratch / REJECTS_FILE)) as rejects,
        ExampleWriter(job.partial, plan) as writer,
    ):
        for number, (path, record) in enumerate(records):
            row = row_of(path, record, reading, ledger)
            if isinstance(row, UsableRow):
                writer.add(row.example, record.line, row.values, row.content)
                weights.add(row.example.weight)
                continue
            rejects.add(path, record, row)
            if record.values is not None:
                rejected.add(number)
        num_duplicates = ledger.num_duplicates
    if job.settings.strict and rejects.num_rows:
        raise DataError(rejects.strict_message(writer.num_examples))
    return _Written(writer.num_examples, num_duplicates, writer.fingerprint, rejects, rejected, weights)


def _plan_of_accepted(
    job: _Job,
    plan: ColumnPlan,
    scanned: Mapping[str, ColumnScan],
    schemas: Sequence[pa.Schema | None],
    rejected: set[int],
) -> ColumnPlan:
    """The plan that rows have which are no rejected ones."""
    records = records_of(job.paths, job.settings)
    found = scan_columns((one for number, one in enumerate(records) if number not in rejected), job.settings)
    needed = {*plan.source.trained_columns, plan.source.id, *plan.named}
    kept = {name: found.get(name, ColumnScan()) for name in scanned if name in found or name in needed}
    return plan_types(plan.source, kept, job.settings, schemas)


@contextmanager
def _folder_for_writing(folder: Path) -> Iterator[None]:
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        if is_new:
            with suppress(OSError):  # the rejects file is in it
                folder.rmdir()
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise ResourceError(disk_full_message(folder / EXAMPLES_FILE)) from error
        if isinstance(error, OSError):
            raise ArtefactError(
                f"{str(folder)!r} cannot be written {what_failed(error)}, or name another folder."
            ) from error
        raise


def scan_columns(
    records: Iterable[tuple[Path, Record]],
    settings: ImportConfig = ImportConfig(),  # noqa: B008 - frozen
) -> dict[str, ColumnScan]:
    """Every column of the data, with what its values are.

    Raises:
        DataError: There are too many.
    """
    scanned: dict[str, ColumnScan] = {}
    for path, record in records:
        has_cells = record.has_cells and settings.rules > 1
        for name, value in (record.values or {}).items():
            if (scan := scanned.get(name)) is None:
                if len(scanned) == MAX_COLUMNS:
                    raise DataError(
                        f"data may have at most {MAX_COLUMNS:,} columns, {str(path)!r} has more by line "
                        f"{record.line}: its rows have different keys. Move such keys into one nested object."
                    )
                scan = scanned[name] = ColumnScan(settings.decimal_comma)
            if has_cells:
                scan.add_cell(value, record.line)
            else:
                scan.add(value, record.line)
    return scanned


def records_of(paths: Sequence[Path], settings: ImportConfig) -> Iterator[tuple[Path, Record]]:
    """Rows of several files and of those in folders, each with its file.

    Raises:
        DataError: A file or folder cannot be used.
    """
    split_column = split_column_of(settings)
    for part in find_files(paths, settings).parts:
        added: list[tuple[str, str, str]] = []
        if settings.file_column is not None:
            added.append((settings.file_column, part.path.name, "--file-column"))
        if split_column is not None:
            added.append((split_column, part.split, "--split-column"))
        for record in iter_records(part.path, part.how):
            yield part.path, _with_added(part.path, record, added)


def _with_added(path: Path, record: Record, added: Iterable[tuple[str, str, str]]) -> Record:
    """A row with columns more: name, value, and the flag that names it."""
    for name, value, flag in added:
        if record.values is None:
            return record
        if name in record.values:
            raise DataError(
                f"a column that is added must have a new name, {str(path)!r} has {name!r}: choose another one with "
                f"`{flag}`."
            )
        record = record._replace(values={**record.values, name: value})
    return record


def schemas_of(paths: Sequence[Path], settings: ImportConfig) -> list[pa.Schema | None]:
    """What every file says about its columns; None for one whose format says nothing."""
    return [schema_of(part.path, part.how) for part in find_files(paths, settings).parts]


def notes_of(paths: Sequence[Path], settings: ImportConfig) -> list[str]:
    """What is found out about files and was not said."""
    return [note for part in find_files(paths, settings).parts for note in file_notes(part.path, part.how)]


def hint_of_encoding(paths: Iterable[Path], by_reason: Mapping[str, int], num_rows: int) -> list[str]:
    """How rows that are not UTF-8 may be read, and how many those are."""
    num_bad = by_reason.get("not UTF-8", 0)
    texts = [path for path in paths if path.is_file() and schema_of(path) is None]
    if not num_bad or not texts:
        return []
    share = f"{num_bad:,} of {num_rows:,} rows ({num_bad / num_rows:.1%}) are not UTF-8"
    return [f"{share}: {encoding_hint(texts[0])}"]


class Reading(NamedTuple):
    """How rows are read."""

    plan: ColumnPlan
    keeps_empty: bool
    rules: int = 2


class UsableRow(NamedTuple):
    """A row that can be an example."""

    example: Example
    values: dict[str, Any]
    content: bytes
    """In its canonical spelling."""


class _Pass:
    """One pass over all rows, which says how far it has come."""

    def __init__(
        self,
        records: Iterator[tuple[Path, Record]],
        name: str,
        on_progress: Callable[[str, int, int], None],
        total: int = 0,
    ):
        self.num_rows = 0
        self._records = records
        self._report = lambda: on_progress(name, self.num_rows, total)

    def __iter__(self) -> Iterator[tuple[Path, Record]]:
        for found in self._records:
            yield found
            self.num_rows += 1
            if self.num_rows % ROWS_PER_REPORT == 0:
                self._report()
        self._report()


def row_of(path: Path, record: Record, reading: Reading, ledger: "Ledger") -> UsableRow | RowProblem:
    """What a row of a file comes to; the ledger takes note of its id and content."""
    source = reading.plan.source
    if record.values is None:
        return RowProblem(record.problem or "unreadable", record.detail)
    values = reading.plan.with_texts(record.values)
    if isinstance(values, RowProblem):
        return values
    example = read_row("", values, reading.plan.texts, keeps_empty=reading.keeps_empty)
    if isinstance(example, RowProblem):
        return example
    # Ids come from the values as they are: 007 in a cell is another id than 7.
    given = None if source.id is None else given_id(values.get(source.id), reading.rules)
    typed = reading.plan.converted(values, are_cells=record.has_cells and reading.rules > 1)
    if isinstance(typed, RowProblem):
        return typed
    if source.weight is not None:
        try:
            weight = weight_of(typed.get(source.weight), source.weight, has_comma=reading.plan.has_comma)
        except UnusableRowError as error:
            return error.problem
        example = example._replace(weight=weight)
    try:
        content = content_of_row(typed, source)
        hashed = hash_of_row(values, source, content, reading.rules)
    except RecursionError:
        return RowProblem("nested too deeply")
    except UnicodeEncodeError:  # in messages that arrived as JSON text
        return RowProblem("half a surrogate pair", "such as \\ud800, which is no character")
    if isinstance(given, RowProblem):
        return given
    if given is not None and (first := ledger.claim(given, f"line {record.line} of {str(path)!r}")):
        return RowProblem("id repeated", f"{given!r}, first at {first}")
    nth = ledger.count(hashed)
    return UsableRow(example._replace(train_id=given or (hashed if nth == 1 else f"{hashed}-{nth}")), typed, content)


class Ledger:
    """Ids and contents seen so far, in a database on the disk so that memory stays bounded; it begins empty."""

    def __init__(self, path: Path):
        self.num_duplicates = 0
        path.unlink(missing_ok=True)  # of a pass before this one
        self._database = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = OFF",  # the file is thrown away after any failure
            "PRAGMA synchronous = OFF",
            "PRAGMA cache_size = -65536",  # 64 MiB: hashes arrive in random order
            "CREATE TABLE content (digest TEXT PRIMARY KEY, seen INTEGER) WITHOUT ROWID",
            "CREATE TABLE id (id TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID",
            "BEGIN",
        ):
            self._database.execute(statement)

    def count(self, digest: str) -> int:
        """How often a content has been seen, this time included."""
        ((seen,),) = self._database.execute(
            "INSERT INTO content VALUES (?, 1) ON CONFLICT DO UPDATE SET seen = seen + 1 RETURNING seen", (digest,)
        ).fetchall()
        self.num_duplicates += seen > 1
        return seen

    def claim(self, train_id: str, place: str) -> str | None:
        """Take an id; when it was taken before, the place that has it."""
        taken = self._database.execute("INSERT OR IGNORE INTO id VALUES (?, ?)", (train_id, place)).rowcount
        if taken:
            return None
        return self._database.execute("SELECT place FROM id WHERE id = ?", (train_id,)).fetchone()[0]

    def close(self) -> None:
        """Let go of the file, whose folder is about to be removed."""
        self._database.close()


class _RejectLog:
    """Rejected rows, one JSON object per line, kept aside until ``publish``."""

    def __init__(self, path: Path):
        self.by_reason: Counter[str] = Counter()
        self._first: list[str] = []
        self._path = path
        self._handle = path.open("w", encoding="utf-8")

    @property
    def num_rows(self) -> int:
        """How many rows were rejected."""
        return self.by_reason.total()

    def add(self, path: Path, record: Record, problem: RowProblem) -> None:
        """List a row."""
        self.by_reason[problem.reason] += 1
        if len(self._first) < 3:
            self._first.append(f"{str(path)!r} line {record.line}: {problem.reason}")
        raw = record.excerpt
        if record.values is not None:
            with suppress(RecursionError):
                raw = json.dumps(record.values, ensure_ascii=False)
        entry = {"file": str(path), "line": record.line, "reason": problem.reason, "row": raw[:EXCERPT_CHARACTERS]}
        if problem.detail:
            entry["detail"] = problem.detail
        self._handle.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Write out what is buffered."""
        self._handle.close()

    def publish(self, path: Path) -> None:
        """Move the list to ``path``; without rejected rows, remove that of an earlier import."""
        if not self.num_rows:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(exist_ok=True)
        with replace_file(path) as partial:
            self._path.replace(partial)

    def strict_message(self, num_examples: int) -> str:
        """What stops a strict import."""
        return (
            f"with `--strict` every row must be usable, {self.num_rows:,} of {self.num_rows + num_examples:,} are "
            f"not: {'; '.join(self._first)}. Nothing was written. Correct the rows, or leave out `--strict` to set "
            "them aside."
        )

    def all_bad_message(self, path: Path) -> str:
        """What stops an import without a single example."""
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in self.by_reason.most_common(5))
        return (
            f"an import needs at least one usable row, all {self.num_rows:,} were rejected: {reasons}. "
            f"They are listed in {str(path)!r}; correct them, or name other columns."
        )
