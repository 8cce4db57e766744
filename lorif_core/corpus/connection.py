"""One ``examples.parquet`` in this process's own in-memory DuckDB.

Nothing is locked: the file never changes, and each process has its own connection, which reads this
one file, no other, and never the network. Columns are called ``c0``, ``c1``, … inside, so that no name
from the data becomes SQL, and two names that differ in case only stay two columns.

Each column has a type that its values are compared, sorted and counted by. A type that nothing is known of is text,
as DuckDB prints it, so that no column vanishes.
"""

import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.corpus.value_types import BOOL, FLOAT, MICROSECONDS, TEXT, ColumnType, ValueType, type_of
from lorif_core.errors import ArtefactError, DamagedArtefact, QueryError, ResourceError
from lorif_core.files import disk_full_message
from lorif_core.system_failures import refuse_if_of_the_machine

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

_SPACE = " ([Z+-][0-9:]*)$"
"""A space before a zone, which DuckDB does not read."""

_SECONDS = "^(.{10}[T ][0-9]{2}:[0-9]{2})([^:]|$)"
"""A time to the minute, which DuckDB reads with seconds only."""


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

    time_columns: tuple[str, ...] = ()
    """Text columns that hold ISO dates or times only, and are compared as such."""

    mixed_columns: tuple[str, ...] = ()
    """Those JSON columns that hold no list or object, but scalars of several types: they are read as text."""

    field_types: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    """JSON column → path of a field of its objects, such as ``author.name`` → how it would be stored."""

    @property
    def message_columns(self) -> tuple[str, ...]:
        """Text columns that hold chat messages."""
        return tuple(name for name in self.text_columns if name in self.json_columns)


class Column(NamedTuple):
    """A column of the file, or a field of its objects, as queries see it."""

    sql: str
    """Expression of what is compared."""

    value: ValueType
    """Of what is compared; JSON is text."""

    shown: str
    """Expression of what a page shows."""

    @property
    def type(self) -> ColumnType:
        """What its values are, as people call them."""
        return self.value.kind


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
        schema, self.num_rows = _description_of(file.path)
        self._lock = threading.Lock()
        self._connection = _connect(self._path, schema.names)
        expected = ["train_id", *file.text_columns, *file.metadata_columns]
        absent = [name for name in expected if name not in schema.names]
        if absent:
            raise ArtefactError(
                f"{str(file.path)!r} must hold the columns of its data set, {absent[0]!r} is absent: the file was "
                "replaced. Restore it, or import the data again."
            )
        with self.call(None) as call:
            described = call.query("DESCRIBE SELECT * EXCLUDE (r) FROM examples")["column_type"]
            self.columns = {
                field.name: self._column(call, f"e.c{number}", field, sql_type)
                for number, (field, sql_type) in enumerate(zip(schema, described, strict=True))
            }
            """All columns by name, in the order of the file."""

        self.fields = {
            f"{name}.{path}": _field_of(self.columns[name].shown, path, storage)
            for name, types in file.field_types.items()
            if name in self.columns
            for path, storage in types.items()
        }
        """Fields of the objects of JSON columns by column and path, such as ``meta.author.name``."""

    def _column(self, call: "Call", sql: str, field: pa.Field, sql_type: str) -> Column:
        value = type_of(sql_type, field.type)
        if value is None:
            return Column(f"CAST({sql} AS VARCHAR)", TEXT, f"CAST({sql} AS VARCHAR)")
        if field.name in self.file.mixed_columns:
            text = f"json_extract_string({sql}, '$')"
            return Column(text, TEXT, text)
        if field.name in self.file.time_columns and value.kind == "text":
            first = call.query(f"SELECT {sql} FROM examples e WHERE {sql} IS NOT NULL LIMIT 1").to_series()
            return _time_column(sql, first[0] if len(first) else "")
        if value.kind == "time":  # DuckDB makes no time of the day from a number
            return Column(f"epoch_{'us' if value.unit == MICROSECONDS else 'ns'}({sql})", value, sql)
        return Column(sql, value, sql)

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


def _time_column(sql: str, first: str) -> Column:
    """A text column of ISO times, which all have a zone, like the first, or none of them has."""
    has_zone = re.search(r"[0-9:. ]([Zz]|[+-][0-9:]+)$", first[10:]) is not None
    sql_type = "TIMESTAMP WITH TIME ZONE" if has_zone else "TIMESTAMP"
    plain = f"regexp_replace(translate({sql}, 'tz,', 'TZ.'), '{_SPACE}', '\\1')"
    plain = f"regexp_replace({plain}, '{_SECONDS}', '\\1:00\\2')"
    # The usual spelling is cast as it is, which takes a third of the time.
    moment = f"coalesce(TRY_CAST({sql} AS {sql_type}), TRY_CAST({plain} AS {sql_type}))"
    return Column(moment, ValueType("instant" if has_zone else "moment", sql_type, MICROSECONDS), sql)


_FIELD_VALUES: dict[str, ValueType] = {
    "bool": BOOL,
    "int": ValueType("int", "HUGEINT"),
    "wide int": ValueType("int", "HUGEINT"),
    "uint": ValueType("int", "HUGEINT"),
    "float": FLOAT,
}


def _field_of(sql: str, path: str, storage: str) -> Column:
    """A field of the objects of a JSON column; what is no scalar stays JSON."""
    escaped = path.replace("~", "~0").replace("/", "~1")
    pointers = dict.fromkeys(["/" + escaped.replace(".", "/"), "/" + escaped])  # a key may have a dot of its own
    text = f"coalesce({', '.join(f'json_extract_string({sql}, {_quoted(one)})' for one in pointers)})"
    value = _FIELD_VALUES.get(storage, TEXT)
    typed = text if value.kind == "text" else f"TRY_CAST({text} AS {value.sql})"
    return Column(typed, value, text)


def _description_of(path: Path) -> tuple[pa.Schema, int]:
    """The columns, and the number of rows."""
    try:
        metadata = pq.read_metadata(path)
        return metadata.schema.to_arrow_schema(), metadata.num_rows
    except FileNotFoundError as error:
        raise missing(path) from error
    except (pa.ArrowException, OSError) as error:
        refuse_if_of_the_machine(error, path)
        raise damaged(path, error) from error


def _connect(path: Path, names: Sequence[str]) -> duckdb.DuckDBPyConnection:
    temporary = Path(tempfile.gettempdir()) / f"lorif-browsing-{uuid.uuid4().hex}"  # made and removed by DuckDB
    # Where the data have a column of the name that DuckDB gives its row numbers, the rows are counted as they come.
    is_taken = "file_row_number" in (name.lower() for name in names)
    settings = {"temp_directory": str(temporary), "preserve_insertion_order": is_taken}
    connection = duckdb.connect(config={**DUCKDB_CONFIG, **settings})
    pattern = re.sub(r"[\[*?]", lambda match: f"[{match[0]}]", str(path))  # DuckDB reads a path as a glob
    connection.execute(f"SET allowed_paths = [{_quoted(str(path))}, {_quoted(pattern)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    inside = ", ".join(f"c{number}" for number in range(len(names)))
    options = "hive_partitioning = false" if is_taken else "hive_partitioning = false, file_row_number = true"
    count = ", row_number() OVER () - 1" if is_taken else ""
    connection.execute(
        f"CREATE VIEW examples({inside}, r) AS SELECT *{count} FROM read_parquet({_quoted(pattern)}, {options})"
    )
    return connection


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
