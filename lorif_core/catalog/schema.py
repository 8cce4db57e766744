"""Tables of ``catalog.duckdb``, one per kind of artefact, made from the records: a field is a column.

Four habits come from DuckDB. There are no foreign keys: updating a referenced row may fail. Ids are given
strings: its SERIAL needs a sequence. Times are UTC without a zone: fetching a TIMESTAMPTZ needs pytz.
Integers have 64 bits and floats are doubles, by name: a plain ``Integer`` or ``REAL`` has 32 bits here.

``index`` needs no quotes in DuckDB's SQL; SQLAlchemy adds them where it must.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Double, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from lorif_core.catalog.records import (
    KINDS,
    DatasetRecord,
    EvaluationRecord,
    HitRecord,
    IndexRecord,
    ModelRecord,
    PreconditionerRecord,
    QueryRecord,
    Record,
)

FORMAT_VERSION = 4
"""Raised with every change of these tables, together with a migration."""


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware time, stored as UTC without a zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware to stored."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Stored to aware."""
        return None if value is None else value.replace(tzinfo=UTC)


class TextTuple(TypeDecorator[tuple[str, ...]]):
    """Several strings that are only ever shown together, stored as a JSON array.

    Escaped to ASCII, which also carries file names that are not valid Unicode.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        """Tuple to text."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        """Text to tuple."""
        return None if value is None else tuple(json.loads(value))


COLUMN_TYPES: Mapping[Any, type[TypeEngine[Any]]] = {
    str: Text,
    int: BigInteger,
    float: Double,
    datetime: UtcTimestamp,
    tuple[str, ...]: TextTuple,
}
"""How a field is stored, by its annotation."""

DATASET_COLUMNS_OF_FORMAT_3 = ("source_checksums", "settings_json", "corpus_id", "parent_id", "version")
"""Nullable, because DuckDB cannot add a column that is not; all but the parent always hold a value."""

METADATA = MetaData()

CATALOG_VERSION = Table(
    "catalog_version", METADATA, Column("format_version", BigInteger, primary_key=True, autoincrement=False)
)
"""The single row that says which format the file has."""

CATALOG_IDENTITY = Table(
    "catalog_identity", METADATA, Column("identity", Text, primary_key=True), Column("generation", BigInteger)
)
"""The single row that says which catalog it is, and how often it was written; since format 4."""


def _table(name: str, kind: type[Record]) -> Table:
    hints = get_type_hints(kind)
    names = sorted((field.name for field in fields(kind)), key=lambda field: field == "created_at")  # which goes last
    return Table(name, METADATA, *(_column(name, field, hints[field], KINDS[kind].id_field) for field in names))


def _column(table: str, name: str, annotation: Any, id_field: str) -> Column[Any]:
    given = [one for one in get_args(annotation) if one is not NoneType] if _is_optional(annotation) else [annotation]
    kind = str if get_origin(given[0]) is Literal else given[0]
    is_nullable = _is_optional(annotation) or (table == "dataset" and name in DATASET_COLUMNS_OF_FORMAT_3)
    return Column(name, COLUMN_TYPES[kind], primary_key=name == id_field, nullable=is_nullable)


def _is_optional(annotation: Any) -> bool:
    return NoneType in get_args(annotation)


TABLES: Mapping[type[Record], Table] = {
    kind: _table(name, kind)
    for name, kind in (
        ("dataset", DatasetRecord),
        ("model", ModelRecord),
        ("index", IndexRecord),
        ("preconditioner", PreconditionerRecord),
        ("evaluation", EvaluationRecord),  # since format 2
        ("query", QueryRecord),  # since format 3, as are the hits
        ("hit", HitRecord),
    )
}
