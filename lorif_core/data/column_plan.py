"""How every column of a data set is stored in ``examples.parquet``, and under which name.

Columns keep their names, behind some of the file's own: ``train_id``, ``source_line``, and ``lorif_text``, what
people read, where no column of the data holds just that. A column of the data with such a name becomes
``original_train_id`` and so on, and one without a name becomes ``unnamed``.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from lorif_core.config import ImportConfig
from lorif_core.data.column_types import (
    ColumnType,
    converted,
    is_binary,
    named_types,
    plan_type,
    unified,
    word_of,
)
from lorif_core.data.columns import Columns, ColumnScan, RowProblem, looks_of
from lorif_core.data.find_columns import find_columns
from lorif_core.errors import DataError, UnclearColumns

OWN_COLUMNS = ("train_id", "source_line")
SHOWN_COLUMN = "lorif_text"


@dataclass(frozen=True)
class ColumnPlan:
    """How every column of the data is stored. Keys are the names in the data."""

    source: Columns
    """The columns that make the example and the ids, by their names in the data."""

    types: dict[str, ColumnType]
    """Name → how the values are stored."""

    stored_names: dict[str, str]
    """Name → name in ``examples.parquet``."""

    schema: pa.Schema | None = None
    """What the files say about their columns, where all of them do."""

    has_comma: bool = False
    """Whether numbers in cells have a decimal comma."""

    @cached_property
    def texts(self) -> Columns:
        """Those of ``source`` that make a text; the weight is read from values in the types of their columns."""
        return replace(self.source, weight=None)

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Columns of the file that the data did not have; they come first."""
        return own_columns_of(self.source)

    @property
    def stored(self) -> Columns:
        """The same by their names in ``examples.parquet``."""
        return self.source.renamed(self.stored_names)

    @property
    def metadata_columns(self) -> list[str]:
        """Names in ``examples.parquet`` of the columns that are neither read nor ids."""
        taken = {*self.source.read_columns, self.source.id}
        return [stored for name, stored in self.stored_names.items() if name not in taken]

    @property
    def json_columns(self) -> list[str]:
        """Names in ``examples.parquet`` of the columns that hold JSON text."""
        return [self.stored_names[name] for name, kind in self.types.items() if kind.is_json]

    @property
    def source_schema(self) -> str | None:
        """The schema of the files as text."""
        return None if self.schema is None else base64.b64encode(self.schema.serialize()).decode()

    @property
    def opening(self) -> bytes:
        """The start of the hash over all examples: other types than the usual ones belong to it."""
        told = {name: str(kind.arrow) for name, kind in sorted(self.types.items()) if not kind.is_usual}
        return self.source.opening + (json.dumps(told, sort_keys=True).encode() if told else b"")

    def with_texts(self, values: dict[str, Any]) -> dict[str, Any] | RowProblem:
        """The values of a row with bytes read as UTF-8 where they are text or ids, or what is wrong with it."""
        if not self.binary:
            return values
        found = dict(values)
        for name in self.binary:
            try:
                found[name] = None if found.get(name) is None else base64.b64decode(found[name]).decode()
            except UnicodeDecodeError as error:
                return RowProblem("not UTF-8", f"byte 0x{error.object[error.start]:02x} in `{name}`")
        return found

    def converted(self, values: dict[str, Any], *, are_cells: bool) -> dict[str, Any] | RowProblem:
        """The values of a row in the types of their columns, or what keeps one of them from it."""
        types = self.cell_types if are_cells else self.named
        if not types:
            return values
        found = dict(values)
        for name, kind in types.items():
            if (value := values.get(name)) is None:
                continue
            if are_cells and not value.strip():
                found[name] = None
                continue
            try:
                found[name] = converted(value, kind, has_comma=self.has_comma and are_cells)
            except (ValueError, ArithmeticError, pa.ArrowException):
                detail = f"{str(value)[:80]!r} in `{name}` is no {word_of(kind)}"
                return RowProblem("not of the type of its column", detail)
        return found

    @cached_property
    def named(self) -> dict[str, pa.DataType]:
        """Name → type, of those that a person named."""
        return {name: kind.arrow for name, kind in self.types.items() if kind.is_named}

    @cached_property
    def cell_types(self) -> dict[str, pa.DataType]:
        """Name → type, of all columns whose cells do not stay as they are."""
        return {name: kind.arrow for name, kind in self.types.items() if name not in self.source.read_columns}

    @cached_property
    def binary(self) -> list[str]:
        """Columns of bytes that are text or ids."""
        read = {*self.source.read_columns, self.source.id}
        return [one.name for one in self.schema or () if one.name in read and is_binary(one.type)]

    @property
    def told_types(self) -> list["ToldType"]:
        """Every column that does not make the example, with its type."""
        told = ((name, kind) for name, kind in self.types.items() if name not in self.source.read_columns)
        return [
            ToldType(name, kind.title, kind.found, kind.num_missing, kind.example, kind.note) for name, kind in told
        ]


class ToldType(NamedTuple):
    """What people are told about a column."""

    name: str
    """In the data."""

    type: str
    """In a word or two."""

    found: str
    """How it was found."""

    num_missing: int
    """Rows without a value, as far as rows with the column were looked at."""

    example: str
    """The first value, shortened."""

    note: str
    """What may surprise; empty: nothing."""


def own_columns_of(columns: Columns) -> tuple[str, ...]:
    """Columns that a file with such examples has of its own."""
    return OWN_COLUMNS if columns.is_verbatim else (*OWN_COLUMNS, SHOWN_COLUMN)


def plan_columns(
    scanned: Mapping[str, ColumnScan], settings: ImportConfig, schemas: Sequence[pa.Schema | None] = ()
) -> ColumnPlan:
    """Names and types of all columns, from those that a scan of all rows found.

    Args:
        scanned: What the values are.
        settings: Which columns to read, and types that a person names.
        schemas: What every file says about its columns.

    Raises:
        DataError: The columns to read cannot be told, or a type is named that is none.
    """
    # Without one readable row there are no names: any plan will do to list what is wrong with the rows.
    try:
        source = find_columns(looks_of(scanned), settings) if scanned else Columns("text", text="text")
    except DataError as error:
        raise UnclearColumns(str(error), list(scanned)) from error
    return plan_types(source, scanned, settings, schemas)


def plan_types(
    source: Columns,
    scanned: Mapping[str, ColumnScan],
    settings: ImportConfig,
    schemas: Sequence[pa.Schema | None] = (),
) -> ColumnPlan:
    """The same where the columns to read are known."""
    declared = _declared(schemas) if settings.rules > 1 else {}
    named = named_types(settings.type, list(scanned)) if scanned else {}
    types: dict[str, ColumnType] = {}
    for name, scan in scanned.items():
        is_read = name in source.read_columns
        if name in named and is_read:
            raise DataError(f"`--type` is for metadata, `{name}` is read as text: leave `--type {name}=…` out.")
        types[name] = plan_type(scan, declared.get(name), is_read=is_read)
        if name in named:
            types[name] = ColumnType(_zoned_as(scan, named[name]), "as you chose", is_named=True)
        note = types[name].note or _disagreement(name, declared, schemas)
        types[name] = replace(types[name], num_missing=scan.num_missing, example=scan.example, note=note)
    if source.is_verbatim:  # whatever rejected rows hold, this is what accepted ones hold
        types |= {name: ColumnType(pa.string(), "it is read as text") for name in source.read_columns}
    schema = _schema_of(declared, schemas, list(scanned))
    names = _stored_names(types, own_columns_of(source))
    return ColumnPlan(source, types, names, schema, settings.decimal_comma)


def _declared(schemas: Sequence[pa.Schema | None]) -> dict[str, pa.DataType]:
    """Column → the one type that holds what all files say."""
    told = [schema for schema in schemas if schema is not None]
    if not told or len(told) < len(schemas):
        return {}
    names = dict.fromkeys(name for schema in told for name in schema.names)
    found = {name: unified([schema.field(name).type for schema in told if name in schema.names]) for name in names}
    return {name: kind for name, kind in found.items() if kind is not None}


def _disagreement(name: str, declared: Mapping[str, pa.DataType], schemas: Sequence[pa.Schema | None]) -> str:
    """How files say different types of a column; empty where they do not."""
    told = dict.fromkeys(str(schema.field(name).type) for schema in schemas if schema and name in schema.names)
    if len(told) < 2:
        return ""
    said = f"its files say {' and '.join(told)}"
    return f"{said}, {word_of(declared[name])} holds both" if name in declared else said


def _schema_of(
    declared: Mapping[str, pa.DataType], schemas: Sequence[pa.Schema | None], names: Sequence[str]
) -> pa.Schema | None:
    if not declared:
        return None
    told = [schema for schema in schemas if schema is not None]
    fields: dict[str, pa.Field] = {}
    for schema in told:
        for one in schema:
            if one.name in declared and one.name in names:
                is_nullable = one.nullable or (one.name in fields and fields[one.name].nullable)
                fields.setdefault(one.name, one)
                fields[one.name] = fields[one.name].with_type(declared[one.name]).with_nullable(is_nullable)
    is_whole = all(one.name in schema.names for one in fields.values() for schema in told)
    kept = list(fields.values()) if is_whole else [one.with_nullable(True) for one in fields.values()]
    return pa.schema(kept, metadata=told[0].metadata)


def _zoned_as(scan: ColumnScan, kind: pa.DataType) -> pa.DataType:
    """A named time, in UTC where the texts have zones."""
    if not pa.types.is_timestamp(kind):
        return kind
    kinds = scan.cells.kinds if scan.cells is not None else {}
    is_zoned = scan.times.kinds == {"instant"} or kinds.get("instant", 0) > kinds.get("moment", 0)
    return pa.timestamp("us", "UTC") if is_zoned else kind


def _stored_names(names: Iterable[str], own: tuple[str, ...]) -> dict[str, str]:
    stored_names: dict[str, str] = {}
    taken = {*names, *own, ""}
    for name in names:
        stored = name
        if name in own or not name:
            stored = name or "unnamed"
            while stored in taken:
                stored = f"original_{stored}"
            taken.add(stored)
        stored_names[name] = stored
    return stored_names
