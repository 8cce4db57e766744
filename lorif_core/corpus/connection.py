"""One ``examples.parquet`` in this process's own in-memory DuckDB.

Nothing is locked: the file never changes, and each process has its own connection, which reads this
one file, no other, and never the network. Columns are called ``c0``, ``c1``, … inside, so that no name
from the data becomes SQL, and two names that differ in case only stay two columns.
"""

import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.errors import ArtefactError, DamagedArtefact, QueryError, ResourceError
from lorif_core.files import disk_full_message

MEMORY_LIMIT = "1GB"
"""What DuckDB may use; larger sorts and groups go to its temporary folder."""

ROW = "e.r"
"""SQL of the row number of an example, from 0."""

STOP_INTERVAL_S = 0.02

DUCKDB_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "preserve_insertion_order": False,  # every list has an order of its own
    "memory_limit": MEMORY_LIMIT,
}

DEFECTS = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.ConversionException)
"""What only a mistake in our SQL can cause."""

ColumnType = Literal["text", "bool", "int", "float"]
COLUMN_TYPES: dict[str, ColumnType] = {"VARCHAR": "text", "BOOLEAN": "bool", "BIGINT": "int", "DOUBLE": "float"}
"""By DuckDB's name; an import writes no others."""


@dataclass(frozen=True)
class ExamplesFile:
    """An ``examples.parquet`` and what is known about its columns."""

    path: Path
    """Where it is."""

    text_columns: tuple[str, ...]
    """Columns that hold the text: one, or prompt and completion."""

    metadata_columns: tuple[str, ...]
    """Columns that are neither text nor ids, in the order in which facets are shown."""

    json_columns: tuple[str, ...]
    """Columns whose text is JSON; a text column among them holds chat messages."""

    fingerprint: str
    """Hash of the content."""

    @property
    def message_columns(self) -> tuple[str, ...]:
        """Text columns that hold chat messages."""
        return tuple(name for name in self.text_columns if name in self.json_columns)


class Column(NamedTuple):
    """A column of the file, as queries see it."""

    sql: str
    """Its expression."""

    type: ColumnType
    """Of its values; JSON is text."""


class Call:
    """Queries of one call, on a cursor of their own; made by ``OpenExamples.call``."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, plain_errors: Callable[[duckdb.Error], Exception]) -> None:
        self._cursor = cursor
        self._plain_errors = plain_errors

    def register(self, name: str, frame: pl.DataFrame) -> None:
        """Let the queries of this call read a frame by a name; a later frame replaces an earlier one."""
        self._cursor.register(name, frame)

    def query(self, sql: str, params: Sequence[Any] = ()) -> pl.DataFrame:
        """Rows of one statement.

        Raises:
            QueryError: The time of the call is over.
            ArtefactError: The file is gone or damaged.
        """
        try:
            return self._cursor.sql(sql, params=list(params)).pl()
        except DEFECTS:
            raise
        except duckdb.Error as error:
            raise self._plain_errors(error) from error

    def reason_against(self, pattern: str) -> str | None:
        """Why a text is no regular expression, or None if it is one.

        Raises:
            QueryError: The time of the call is over.
        """
        try:
            self._cursor.sql("SELECT regexp_matches('', ?)", params=[pattern]).fetchall()
        except duckdb.Error as error:
            if _is_interrupt(error):
                raise self._plain_errors(error) from error
            return str(error).partition(": ")[2]
        return None


class OpenExamples:
    """An ``examples.parquet`` that threads may query at the same time, each in calls of its own."""

    def __init__(self, file: ExamplesFile) -> None:
        """Read the description of the file, none of its rows.

        Raises:
            ArtefactError: It is missing, damaged, or has other columns than expected.
        """
        self.file = file
        self._path = file.path.resolve()
        names, self.num_rows = _description_of(file.path)
        self._lock = threading.Lock()
        self._connection = _connect(self._path, len(names))
        with self.call(None) as call:
            described = call.query("DESCRIBE SELECT * EXCLUDE (r) FROM examples")
        columns = {
            name: Column(f"e.c{number}", COLUMN_TYPES[written])
            for number, (name, written) in enumerate(zip(names, described["column_type"], strict=True))
            if written in COLUMN_TYPES
        }
        expected = ["train_id", *file.text_columns, *file.metadata_columns]
        absent = [name for name in expected if name not in columns]
        if absent:
            raise ArtefactError(
                f"{str(file.path)!r} must hold the columns of its data set, {absent[0]!r} is absent or of another "
                "type: the file was replaced. Restore it, or import the data again."
            )
        self.columns = columns
        """All columns by name, in the order of the file."""

    def close(self) -> None:
        """Give back memory and temporary files; calls in progress must have ended."""
        self._connection.close()

    @contextmanager
    def call(self, time_limit_s: float | None) -> Iterator[Call]:
        """A cursor for the queries of one call, which together may take ``time_limit_s`` seconds."""
        with self._lock:
            cursor = self._connection.cursor()
        try:
            with stop_after(time_limit_s, cursor.interrupt) as is_late:
                yield Call(cursor, lambda error: self._explained(error, is_late.is_set(), time_limit_s))
        finally:
            cursor.close()

    def readable(self, name: str) -> str:
        """SQL of a text column as people read it: of chat messages the contents, a line break between them."""
        column = self.columns[name]
        if name in self.file.message_columns:
            return f"array_to_string(json_extract_string({column.sql}, '$[*].content'), chr(10))"
        return column.sql

    def check_name(self, name: str) -> None:
        """Refuse a name that is no column.

        Raises:
            QueryError: It is none; lists the columns.
        """
        if name not in self.columns:
            known = ", ".join(f"`{column}`" for column in self.columns)
            raise QueryError(f"there is no column {name!r}: the columns are {known}.")

    def _explained(self, error: duckdb.Error, is_late: bool, time_limit_s: float | None) -> Exception:
        message = str(error).splitlines()[0]
        if _is_interrupt(error):
            return too_slow(time_limit_s) if is_late and time_limit_s is not None else error
        if isinstance(error, duckdb.OutOfMemoryException) and "No space left" not in message:
            return ResourceError(
                f"this needs more than the {MEMORY_LIMIT} of memory that browsing may use: filter to fewer examples, "
                "or sort by another column."
            )
        if "No space left" in message:
            return ResourceError(disk_full_message(Path(tempfile.gettempdir()) / "sorted examples"))
        if not self._path.is_file():
            return missing(self.file.path)
        return damaged(self.file.path, message)


def _is_interrupt(error: duckdb.Error) -> bool:
    """Whether a query was stopped; while its result is fetched, DuckDB says so in another exception."""
    return isinstance(error, duckdb.InterruptException) or "INTERRUPT Error" in str(error)


def missing(path: Path) -> ArtefactError:
    """The error for examples that are not there."""
    return ArtefactError(f"{str(path)!r} is missing: import the data with `lorif import`.")


def damaged(path: Path, cause: object) -> DamagedArtefact:
    """The error for examples that cannot be read."""
    return DamagedArtefact(f"{str(path)!r} is not a readable Parquet file ({cause}): import the data again.")


def too_slow(time_limit_s: float) -> QueryError:
    """The error for a search that was stopped."""
    return QueryError(
        f"a search may take {time_limit_s:g} s, this one took longer and was stopped: search for rarer whole words, "
        "which have an index, or for a simpler pattern."
    )


@contextmanager
def stop_after(seconds: float | None, stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Stop what the block runs once its time is over; the event says whether that happened.

    ``stop`` is called again and again, because an interrupt between two queries is lost.
    """
    is_late, is_done = threading.Event(), threading.Event()
    if seconds is None:
        yield is_late
        return

    def watch() -> None:
        if is_done.wait(seconds):
            return
        is_late.set()
        while not is_done.wait(STOP_INTERVAL_S):
            stop()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield is_late
    finally:
        is_done.set()
        watcher.join()


def _description_of(path: Path) -> tuple[list[str], int]:
    """Names of the columns, and the number of rows."""
    try:
        metadata = pq.read_metadata(path)
        names = metadata.schema.to_arrow_schema().names
    except FileNotFoundError as error:
        raise missing(path) from error
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error
    if "file_row_number" in (name.lower() for name in names):
        raise ArtefactError(
            f"{str(path)!r} has a column `file_row_number`, a name that DuckDB keeps for itself: rename it in the "
            "data and import that."
        )
    return names, metadata.num_rows


def _connect(path: Path, num_columns: int) -> duckdb.DuckDBPyConnection:
    temporary = Path(tempfile.gettempdir()) / f"lorif-browsing-{uuid.uuid4().hex}"  # made and removed by DuckDB
    connection = duckdb.connect(config={**DUCKDB_CONFIG, "temp_directory": str(temporary)})
    pattern = re.sub(r"[\[*?]", lambda match: f"[{match[0]}]", str(path))  # DuckDB reads a path as a glob
    connection.execute(f"SET allowed_paths = [{_quoted(str(path))}, {_quoted(pattern)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    names = ", ".join(f"c{number}" for number in range(num_columns))
    connection.execute(
        f"CREATE VIEW examples({names}, r) AS FROM read_parquet({_quoted(pattern)}, file_row_number = true)"
    )
    return connection


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
