"""The types that a Parquet file or a ``datasets`` folder gives back, found by asking the libraries themselves.

A column is written in its own type where the format has it; else in the type of the values of its encoding, or in
the type that its extension is stored in, or in a wider decimal; else as JSON text.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.data.export_columns import ExportedColumn, innermost
from lorif_core.data.export_selection import Selection
from lorif_core.errors import DataError

HUB_KEY = b"huggingface"
"""Metadata of a schema where ``datasets`` keeps its features."""


class HeldField(NamedTuple):
    """A column as a format holds it."""

    written: pa.Field
    """As it is written."""

    read: pa.Field
    """As readers find it."""


def held_fields(columns: Sequence[ExportedColumn], file_format: str, metadata: Any = None) -> list[HeldField]:
    """What a format of Arrow types makes of each column.

    Args:
        columns: The columns.
        file_format: ``parquet`` or ``hf``.
        metadata: Of the source's schema: the features of ``datasets`` are in it.

    Raises:
        DataError: ``datasets`` is not installed.
    """
    read_back = _through_parquet if file_format == "parquet" else _through_features(metadata)
    return [_held(column.field, read_back) for column in columns]


def schema_of(selection: Selection, columns: Sequence[ExportedColumn], file_format: str) -> pa.Schema:
    """Names, types and metadata of an export; added columns come last."""
    source = selection.table.source_schema
    metadata = None if source is None else source.metadata
    held = held_fields(columns, file_format, metadata)
    is_hub = file_format == "hf"
    fields = [field.read if is_hub else field.written for field in held]
    schema = pa.schema([*fields, *(pa.field(name, pa.string()) for name in selection.added_names)], metadata=metadata)
    if not is_hub:
        return schema
    return _datasets().Features.from_arrow_schema(schema).arrow_schema


def _held(field: pa.Field, read_back: Callable[[pa.Field], pa.Field]) -> HeldField:
    for kind in _nearest(field.type):
        written = field.with_type(kind)
        try:
            return HeldField(written, read_back(written))
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, ValueError):
            continue
    raise AssertionError("every format holds text")


def _nearest(kind: Any) -> Iterator[pa.DataType]:
    yield kind
    if innermost(kind) != kind:
        yield innermost(kind)
    if isinstance(kind, pa.BaseExtensionType):
        yield kind.storage_type
    if pa.types.is_decimal(kind):
        yield pa.decimal128(min(kind.precision, 38), kind.scale)
    yield pa.string()


def _through_parquet(field: pa.Field) -> pa.Field:
    file = io.BytesIO()
    pq.write_table(pa.schema([field]).empty_table(), file)
    return pq.read_schema(file).field(0)


def _through_features(metadata: Any) -> Callable[[pa.Field], pa.Field]:
    features_of = _datasets().Features.from_arrow_schema
    kept = {HUB_KEY: metadata[HUB_KEY]} if metadata and HUB_KEY in metadata else None
    return lambda field: features_of(pa.schema([field], metadata=kept)).arrow_schema.field(0)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "a `datasets` folder is written with that library, which is not installed: run "
            "`pip install 'lorif-studio[datasets]'`, or choose another `--format`."
        ) from error
    return datasets
