"""Tables of ``catalog.duckdb``, one per kind of artefact.

Four habits come from DuckDB. There are no foreign keys: updating a referenced row may fail. Ids are given
strings: its SERIAL needs a sequence. Times are UTC without a zone: fetching a TIMESTAMPTZ needs pytz.
Integers have 64 bits and floats are doubles, by name: a plain ``Integer`` or ``REAL`` has 32 bits here.

``index`` needs no quotes in DuckDB's SQL; SQLAlchemy adds them where it must.
"""

import json
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Double, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from lorif_core.catalog.records import (
    DatasetRecord,
    EvaluationRecord,
    HitRecord,
    IndexRecord,
    ModelRecord,
    PreconditionerRecord,
    QueryRecord,
    Record,
)

FORMAT_VERSION = 3
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


class Row(DeclarativeBase):
    """Base of every table."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        float: Double,
        datetime: UtcTimestamp,
        tuple[str, ...]: TextTuple,
    }


class CatalogVersionRow(Row):
    """The single row that says which format the file has."""

    __tablename__ = "catalog_version"

    format_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class DatasetRow(Row):
    """Table of ``DatasetRecord``."""

    __tablename__ = "dataset"

    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    fingerprint: Mapped[str]
    kind: Mapped[str]
    num_examples: Mapped[int]
    num_rejected: Mapped[int]
    num_duplicates: Mapped[int]
    size_bytes: Mapped[int]
    source_files: Mapped[tuple[str, ...]]
    created_at: Mapped[datetime]
    # Since format 3. Nullable, as DuckDB cannot add a column that is not; they always hold a value.
    source_checksums: Mapped[tuple[str, ...]] = mapped_column(nullable=True)
    settings_json: Mapped[str] = mapped_column(nullable=True)
    corpus_id: Mapped[str] = mapped_column(nullable=True)
    parent_id: Mapped[str | None]
    version: Mapped[int] = mapped_column(nullable=True)


class ModelRow(Row):
    """Table of ``ModelRecord``."""

    __tablename__ = "model"

    model_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    fingerprint: Mapped[str]
    tokenizer_fingerprint: Mapped[str]
    architecture: Mapped[str]
    num_parameters: Mapped[int]
    created_at: Mapped[datetime]


class IndexRow(Row):
    """Table of ``IndexRecord``."""

    __tablename__ = "index"

    index_id: Mapped[str] = mapped_column(primary_key=True)
    dataset_id: Mapped[str]
    model_id: Mapped[str]
    method: Mapped[str]
    status: Mapped[str]
    factor_rank: Mapped[int | None]
    f: Mapped[int]
    codec: Mapped[str]
    num_examples: Mapped[int]
    num_modules: Mapped[int]
    total_dim: Mapped[int]
    max_length: Mapped[int]
    num_truncated: Mapped[int | None]
    shard_bytes: Mapped[int | None]
    total_bytes: Mapped[int | None]
    fingerprint: Mapped[str | None]
    settings_json: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    build_seconds: Mapped[float | None]


class PreconditionerRow(Row):
    """Table of ``PreconditionerRecord``."""

    __tablename__ = "preconditioner"

    preconditioner_id: Mapped[str] = mapped_column(primary_key=True)
    index_id: Mapped[str]
    subspace_rank: Mapped[int]
    damping_rule: Mapped[str]
    damping_ratio: Mapped[float | None]
    damping: Mapped[float | None]
    size_bytes: Mapped[int]
    fingerprint: Mapped[str]
    build_seconds: Mapped[float | None]
    created_at: Mapped[datetime]


class EvaluationRow(Row):
    """Table of ``EvaluationRecord``, since format 2."""

    __tablename__ = "evaluation"

    evaluation_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    dataset_id: Mapped[str]
    settings_json: Mapped[str]
    result_json: Mapped[str]
    created_at: Mapped[datetime]


class QueryRow(Row):
    """Table of ``QueryRecord``, since format 3."""

    __tablename__ = "query"

    query_id: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    index_id: Mapped[str]
    dataset_id: Mapped[str]
    prompt: Mapped[str]
    completion: Mapped[str]
    contrast: Mapped[str | None]
    tokens_json: Mapped[str | None]
    objective: Mapped[str]
    normalisation: Mapped[str]
    settings_json: Mapped[str]
    objective_value: Mapped[float]
    num_scored: Mapped[int]
    positive_total: Mapped[float]
    k: Mapped[int]
    num_opposing: Mapped[int]
    elapsed_s: Mapped[float]
    plans_json: Mapped[str]
    asked_by: Mapped[str]
    created_at: Mapped[datetime]


class HitRow(Row):
    """Table of ``HitRecord``, since format 3."""

    __tablename__ = "hit"

    hit_id: Mapped[str] = mapped_column(primary_key=True)
    query_id: Mapped[str]
    side: Mapped[str]
    rank: Mapped[int]
    train_id: Mapped[str]
    score: Mapped[float]
    tokens_json: Mapped[str]
    created_at: Mapped[datetime]


ROWS: dict[type[Record], type[Row]] = {
    DatasetRecord: DatasetRow,
    ModelRecord: ModelRow,
    IndexRecord: IndexRow,
    PreconditionerRecord: PreconditionerRow,
    EvaluationRecord: EvaluationRow,
    QueryRecord: QueryRow,
    HitRecord: HitRow,
}
