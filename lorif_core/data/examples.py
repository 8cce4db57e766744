"""Examples of an imported data set in ``examples.parquet``, one row group in memory at a time.

An example is found by its row (0 to N - 1, the order of the store) inside the program, and by
its ``train_id`` outside of it. The file describes itself: its metadata hold the columns that make an example and
how they are read, the columns that contain JSON text, and the fingerprint of the content. All columns hold what the
data held; the example is made of them when it is read (``rows``).
"""

import base64
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from lorif_core.data.column_plan import OWN_COLUMNS, SHOWN_COLUMN, ColumnPlan
from lorif_core.data.columns import Columns, Storage
from lorif_core.data.example import Example
from lorif_core.data.plain_values import array_of, plain_values
from lorif_core.data.rows import read_row
from lorif_core.errors import ArtefactError, DamagedArtefact, DataError, FingerprintMismatch
from lorif_core.files import BLANK_SEAL, SEAL, check_file
from lorif_core.system_failures import refuse_if_of_the_machine

LAYOUT_KEY = "lorif_layout"
FINGERPRINT_KEY = "lorif_fingerprint"
IDS_PER_CHUNK = 65_536
ROWS_PER_GROUP = 2_000
BYTES_PER_GROUP = 16 << 20
REMEDY = "Restore it from a backup, or import the data again into another workspace."


@dataclass(frozen=True)
class FileLayout:
    """What an ``examples.parquet`` says about its columns."""

    columns: Columns
    """The columns that make an example, and the ids."""

    metadata_columns: list[str]
    """Columns of the data that are neither read nor ids."""

    json_columns: list[str]
    """Columns whose text is JSON: nested or mixed values."""

    own_columns: tuple[str, ...] = OWN_COLUMNS
    """Columns that the data did not have; they come first."""

    source_schema: str | None = None
    """The Arrow schema that the data came with, by their own names: base64 of its IPC message; None: JSON or text."""

    time_columns: tuple[str, ...] = ()
    """Text columns whose every value is an ISO date or time: they are compared as such."""

    mixed_columns: tuple[str, ...] = ()
    """Those JSON columns that hold no list or object, but scalars of several types: they are compared as text."""

    field_types: dict[str, dict[str, Storage]] = field(default_factory=dict)
    """JSON column → path of a field of its objects, such as ``author.name`` → what all its values are."""

    source_names: dict[str, str] | None = None
    """Name in this file → name in the data, of renamed columns; None: an older file, which does not say."""

    whole_columns: tuple[str, ...] = ()
    """Float columns whose whole numbers came without a point, as 1 and not 1.0."""

    def to_json(self) -> str:
        """Everything, as text for the metadata of the file."""
        return json.dumps(asdict(self) | {"columns": self.columns.to_dict()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "FileLayout":
        """Inverse of ``to_json``."""
        values = json.loads(text)
        values |= {"columns": Columns.from_dict(values["columns"])}
        lists = ("own_columns", "time_columns", "mixed_columns", "whole_columns")
        values |= {name: tuple(values[name]) for name in lists if name in values}  # older files lack some of them
        return cls(**values)


def layout_of(plan: ColumnPlan) -> FileLayout:
    """What a file with these columns says about them."""
    types = {plan.stored_names[name]: kind for name, kind in plan.types.items()}
    return FileLayout(
        plan.stored,
        plan.metadata_columns,
        plan.json_columns,
        plan.own_columns,
        plan.source_schema,
        tuple(name for name, kind in types.items() if kind.is_times),
        tuple(name for name, kind in types.items() if kind.is_mixed),
        {name: dict(kind.fields) for name, kind in types.items() if kind.fields},
        {stored: name for name, stored in plan.stored_names.items() if stored != name},
        tuple(name for name, kind in types.items() if kind.has_plain_whole),
    )


class ExampleWriter:
    """Streams examples into a Parquet file and hashes them on the way; after its block it lacks only its seal."""

    def __init__(self, path: Path, plan: ColumnPlan):
        self.num_examples = 0
        self._plan = plan
        self._pending: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._pending_bytes = 0
        self._digest = xxhash.xxh3_128(plan.opening)
        types = {name: pa.int64() if name == "source_line" else pa.string() for name in plan.own_columns}
        types |= {stored: plan.types[name].arrow for name, stored in plan.stored_names.items()}
        self._schema = pa.schema(types, metadata={LAYOUT_KEY: layout_of(plan).to_json(), SEAL: BLANK_SEAL})
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)

    def __enter__(self) -> "ExampleWriter":
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is None:
            self._flush()
            self._writer.add_key_value_metadata({FINGERPRINT_KEY: self.fingerprint})
        self._writer.close()

    @property
    def fingerprint(self) -> str:
        """Hash of the names of the columns that are read, of how they are, and of the examples added so far."""
        return self._digest.hexdigest()

    def add(self, example: Example, line: int, values: dict[str, Any], content: bytes) -> None:
        """Append one example with the values that it is made of; ``content`` is their canonical spelling."""
        if not values.keys() <= self._plan.types.keys():
            raise DataError("a file got new columns while it was read: import it again.")
        self._digest.update(json.dumps(example.train_id).encode() + content)
        own = {"train_id": example.train_id, "source_line": line}
        if SHOWN_COLUMN in self._plan.own_columns:
            own[SHOWN_COLUMN] = example.plain_text
        self._pending.append((own, values))
        self._pending_bytes += len(content)
        self.num_examples += 1
        if len(self._pending) >= ROWS_PER_GROUP or self._pending_bytes >= BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        own, rows = zip(*self._pending, strict=True)
        columns: list[Sequence[Any]] = [[row[name] for row in own] for name in self._plan.own_columns]
        for name, kind in self._plan.types.items():
            values = [row.get(name) for row in rows]
            if kind.is_json:
                values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
            columns.append(values)
        try:
            arrays = [array_of(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            raise DataError(f"a file changed while it was read ({error}): import it again.") from error
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(rows))
        self._pending, self._pending_bytes = [], 0


class ExampleTable:
    """An ``examples.parquet``; holds its description only, and opens the file for each call."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise ArtefactError(f"{str(path)!r} is missing: import the data with `lorif import`.")
        self._path = path
        with self._damage_named():
            check_file(path, remedy=REMEDY)
        with self._damage_named(), pq.ParquetFile(path) as file:
            self._metadata = file.metadata
            self.column_names: list[str] = file.schema_arrow.names
            """All columns: those of the file itself, then those of the data."""
        described: dict[bytes, bytes] = self._metadata.metadata or {}
        try:
            self._layout = FileLayout.from_json(described[LAYOUT_KEY.encode()])
            self.fingerprint = described[FINGERPRINT_KEY.encode()].decode()
            """Hash of the content."""
        except KeyError as error:
            raise ArtefactError(
                f"{str(path)!r} is a Parquet file without the description that an import writes: import it with "
                "`lorif import`."
            ) from error
        sizes = (self._metadata.row_group(group).num_rows for group in range(self._metadata.num_row_groups))
        self._starts = list(accumulate(sizes, initial=0))

    @property
    def num_examples(self) -> int:
        """Number of examples, N."""
        return self._starts[-1]

    @property
    def columns(self) -> Columns:
        """The columns that make an example, and the ids."""
        return self._layout.columns

    @property
    def data_columns(self) -> list[str]:
        """The data's own columns, in their order."""
        return self.column_names[len(self._layout.own_columns) :]

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Columns that hold what people read."""
        return (SHOWN_COLUMN,) if SHOWN_COLUMN in self._layout.own_columns else self.columns.read_columns

    @property
    def metadata_columns(self) -> list[str]:
        """Columns of the data that are neither read nor ids."""
        return self._layout.metadata_columns

    @property
    def json_columns(self) -> list[str]:
        """Columns whose text is JSON: nested or mixed values."""
        return self._layout.json_columns

    @property
    def layout(self) -> FileLayout:
        """Everything that the file says about its columns."""
        return self._layout

    @property
    def source_schema(self) -> pa.Schema | None:
        """The Arrow schema that the data came with, by their own names; None: JSON or text."""
        said = self._layout.source_schema
        return None if said is None else pa.ipc.read_schema(pa.BufferReader(base64.b64decode(said)))

    def iter_examples(self, start: int = 0, stop: int | None = None) -> Iterator[Example]:
        """Examples of the rows from ``start`` to before ``stop``, without reading the groups before."""
        stop = self.num_examples if stop is None else min(stop, self.num_examples)
        if start < 0:
            raise DataError(f"rows start at 0, got {start}.")
        while start < stop:
            group = bisect_right(self._starts, start) - 1
            first, end = self._starts[group], min(stop, self._starts[group + 1])
            table = self._read_group(group, ["train_id", *self.columns.trained_columns])
            yield from self._examples_of(table.slice(start - first, end - start))
            start = end

    def examples_at(self, rows: Sequence[int]) -> list[Example]:
        """Examples of the given rows, in the given order."""
        return list(self._examples_of(self._table_at(rows, ["train_id", *self.columns.trained_columns])))

    def frame_at(self, rows: Sequence[int]) -> pl.DataFrame:
        """All columns of the given rows, in the given order; nested and mixed values as JSON text."""
        frame = pl.from_arrow(self._table_at(rows, self.column_names))
        assert isinstance(frame, pl.DataFrame)  # a table with columns becomes no series
        return frame

    def values_at(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The data's own columns of the given rows, their values as they were before the import."""
        return list(self._values_of(self._table_at(rows, self.data_columns)))

    def column(self, name: str) -> pl.Series:
        """One column of all rows; nested and mixed values as JSON text."""
        parts = [self._read_group(group, [name]) for group in range(len(self._starts) - 1)]
        frame = pl.from_arrow(pa.concat_tables([self._schema_of([name]).empty_table(), *parts]))
        assert isinstance(frame, pl.DataFrame)  # a table with columns becomes no series
        return frame[name]

    def iter_ids(self, chunk: int = IDS_PER_CHUNK) -> Iterator[list[str]]:
        """All ids in order, in lists of ``chunk`` (the last one may be shorter)."""
        ids: list[str] = []
        for group in range(len(self._starts) - 1):
            ids += self._read_group(group, ["train_id"])["train_id"].to_pylist()
            while len(ids) >= chunk:
                yield ids[:chunk]
                ids = ids[chunk:]
        if ids:
            yield ids

    def rows_of(self, ids: Sequence[str]) -> list[int]:
        """Rows of the given ids, in the given order.

        Raises:
            DataError: An id is not in the table. Names the first few.
        """
        row_of: dict[str, int | None] = dict.fromkeys(ids)
        wanted = pl.Series(list(row_of), dtype=pl.String)
        for group, start in enumerate(self._starts[:-1] if row_of else ()):
            column = pl.Series(self._read_group(group, ["train_id"])["train_id"])
            for place in column.is_in(wanted.implode()).arg_true():
                row_of[column[place]] = start + place
        unknown = [train_id for train_id, row in row_of.items() if row is None]
        if unknown:
            raise DataError(
                f"ids must be those of the imported data, {len(unknown):,} of {len(row_of):,} are not, such as "
                f"{', '.join(map(repr, unknown[:3]))}: check that they come from this data set."
            )
        return [row for train_id in ids if (row := row_of[train_id]) is not None]

    def check_content(self, fingerprint: str) -> None:
        """Read everything, which compares every page with its checksum.

        Raises:
            FingerprintMismatch: The file holds other examples than expected.
            DamagedArtefact: A page is damaged.
        """
        if self.fingerprint != fingerprint:
            raise FingerprintMismatch(
                f"{str(self._path)!r} holds examples with fingerprint {self.fingerprint[:8]}…, the catalog expects "
                f"{fingerprint[:8]}…: the file was replaced. Restore it, or import the data again."
            )
        for group in range(len(self._starts) - 1):
            self._read_group(group, self.column_names)

    def _examples_of(self, table: pa.Table) -> Iterator[Example]:
        for row in self._values_of(table):
            example = read_row(row["train_id"], row, self.columns, keeps_empty=True)
            if not isinstance(example, Example):
                raise ArtefactError(
                    f"{str(self._path)!r} holds a row that is no example ({example.reason}, id {row['train_id']!r}): "
                    "it was imported by another version of LoRIF Studio. Import the data again."
                )
            yield example

    def _values_of(self, table: pa.Table) -> Iterator[dict[str, Any]]:
        nested = set(self.json_columns) & set(table.column_names)
        columns = [self._as_they_came(name, table[name]) for name in table.column_names]
        for row in zip(*columns, strict=True):
            yield {
                name: json.loads(value) if name in nested and value is not None else value
                for name, value in zip(table.column_names, row, strict=True)
            }

    def _as_they_came(self, name: str, column: pa.ChunkedArray) -> list[Any]:
        """Plain values in the type that the data had: a time of whole seconds has no fraction of zeros."""
        kind = self._source_types.get(name)
        return plain_values(column if kind is None or kind == column.type else column.cast(kind))

    @cached_property
    def _source_types(self) -> dict[str, pa.DataType]:
        """Column → the type that the data came with, of times that Parquet keeps in other units."""
        renamed = {name: stored for stored, name in (self._layout.source_names or {}).items()}
        types = {renamed.get(str(one.name), str(one.name)): one.type for one in self.source_schema or ()}
        is_moment = (pa.types.is_timestamp, pa.types.is_time, pa.types.is_duration)
        return {name: kind for name, kind in types.items() if any(is_one(kind) for is_one in is_moment)}

    def _table_at(self, rows: Sequence[int], names: list[str]) -> pa.Table:
        """Columns ``names`` of the given rows; each row group that is needed is read once."""
        outside = [row for row in rows if not 0 <= row < self.num_examples]
        if outside:
            raise DataError(
                f"rows go from 0 to {self.num_examples - 1}, got {outside[0]}: was this data set imported again?"
            )
        places_of: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            places_of.setdefault(bisect_right(self._starts, row) - 1, []).append(place)
        parts = [self._schema_of(names).empty_table()]
        order: list[int] = []
        for group, places in sorted(places_of.items()):
            table = self._read_group(group, names)
            parts.append(table.take([rows[place] - self._starts[group] for place in places]))
            order += places
        found = pa.concat_tables(parts)
        if order == sorted(order):
            return found
        back = [0] * len(order)
        for position, place in enumerate(order):
            back[place] = position
        return found.take(back)

    def _schema_of(self, names: list[str]) -> pa.Schema:
        schema = self._metadata.schema.to_arrow_schema()
        return pa.schema([schema.field(name) for name in names])

    def _read_group(self, group: int, names: list[str]) -> pa.Table:
        with (
            self._damage_named(),
            pq.ParquetFile(self._path, metadata=self._metadata, page_checksum_verification=True) as file,
        ):
            return file.read_row_group(group, columns=names).replace_schema_metadata(None)

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ArtefactError(f"{str(self._path)!r} is missing: import the data with `lorif import`.") from error
        except (pa.ArrowException, OSError) as error:
            refuse_if_of_the_machine(error, self._path)
            raise DamagedArtefact(
                f"{str(self._path)!r} is not a readable Parquet file ({error}): import the data again."
            ) from error
