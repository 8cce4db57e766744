"""The columns of an export with the types that the data came with.

``examples.parquet`` holds a scalar in its own type, or in the nearest exact one, and nested values as JSON text
(``examples``). Where it knows the schema of the source, a column goes back to that type, with its nullability and
metadata. Otherwise it keeps the type that it is stored in; nested values get a type where one holds all of them
exactly, and stay JSON text where none does (``export_types``).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lorif_core.data.column_types import is_binary, is_nested, stored_type
from lorif_core.data.export_selection import Selection, iter_groups
from lorif_core.data.export_types import type_of_column
from lorif_core.data.plain_values import array_of, plain_values
from lorif_core.errors import DataError

is_type = pa.types
SMALL_INDEXES = {pa.int8(): 2**7, pa.uint8(): 2**8, pa.int16(): 2**15, pa.uint16(): 2**16}
"""Index types of dictionaries that may be too small for the values of several files, and how many they hold."""


@dataclass(frozen=True)
class ExportedColumn:
    """One column of the data, as it is stored and as it was."""

    stored_name: str
    """Name in ``examples.parquet``."""

    stored: pa.DataType
    """Its type there."""

    field: pa.Field
    """Name and type in the export, as far as the format has this type; JSON text: string."""

    is_json: bool = False
    """Whether it is stored as JSON text."""

    is_mixed: bool = False
    """Whether that JSON is scalars of several types, which are written as plain text where a column has one type."""

    is_utf8: bool = False
    """Whether bytes of the source are stored as the text they are; all others are stored as base64."""

    has_source_type: bool = False
    """Whether ``field`` is the source's."""

    has_plain_whole: bool = False
    """Whether whole numbers of a column of floats came without a point."""

    @property
    def name(self) -> str:
        """Name in the data."""
        return self.field.name

    def restored(self, column: pa.ChunkedArray) -> pa.Array:
        """The values in the type of ``field``.

        Raises:
            DataError: They do not fit it.
        """
        try:
            return self._restored(column)
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise DataError(
                f"column {self.name!r} must fit the type that its source had, {self.field.type}, and does not "
                f"({error}): import the data again, or choose `--format jsonl`."
            ) from error

    def plain(self, column: pa.ChunkedArray) -> list[Any]:
        """The values as JSON spells them; those that are stored as JSON text stay so."""
        values = plain_values(column if self.is_json else self.restored(column))
        return [_without_point(value) for value in values] if self.has_plain_whole else values

    def _restored(self, column: pa.ChunkedArray) -> pa.Array:
        kind = self.field.type
        if self.is_mixed:
            return pa.array(map(text_of_json, column.to_pylist()), pa.string()).cast(kind)
        if self.is_json and not is_type.is_string(kind):
            return array_of([None if text is None else json.loads(text) for text in column.to_pylist()], kind)
        if self.stored == kind:
            return column.combine_chunks()
        inner = innermost(kind)
        if self.is_utf8 and is_binary(inner):
            return _encoded(column.combine_chunks().cast(inner), kind)
        if is_type.is_string(self.stored) and not _is_text(inner):
            return array_of(column.to_pylist(), kind)
        return _encoded(column.combine_chunks().cast(inner), kind)


def text_of_json(text: str | None) -> str | None:
    """The plain text of a scalar that JSON spells: that of a string without quotes, any other as it is."""
    return json.loads(text) if text is not None and text.startswith('"') else None if text == "null" else text


def _without_point(value: float | None) -> float | None:
    return int(value) if value is not None and value.is_integer() else value


def columns_of(selection: Selection) -> list[ExportedColumn]:
    """All columns of the data in their order; JSON text without a known type has type string."""
    stored = pq.read_schema(selection.path)
    layout, source = selection.table.layout, selection.table.source_schema
    texts = {*layout.columns.read_columns, layout.columns.id}
    found = []
    for stored_name, name in selection.source_names.items():
        kind = stored.field(stored_name).type
        is_json = stored_name in layout.json_columns
        column = ExportedColumn(
            stored_name=stored_name,
            stored=kind,
            field=pa.field(name, kind),
            is_json=is_json,
            is_mixed=stored_name in layout.mixed_columns,
            is_utf8=stored_name in texts,
            has_plain_whole=stored_name in layout.whole_columns,
        )
        place = -1 if source is None else source.get_field_index(name)
        if source is not None and place >= 0 and _is_stored_as(column, source.field(place).type):
            column = replace(column, field=_with_room(selection, column, source.field(place)), has_source_type=True)
        found.append(column)
    return found


def typed_columns_of(selection: Selection) -> list[ExportedColumn]:
    """As ``columns_of``, and JSON text gets the type that holds all its values exactly, where there is one."""
    return [_with_found_type(selection, column) for column in columns_of(selection)]


def _with_found_type(selection: Selection, column: ExportedColumn) -> ExportedColumn:
    if not column.is_json or column.is_mixed or column.has_source_type:
        return column
    found = type_of_column(_values_of(selection, column.stored_name))
    return column if found is None else replace(column, field=pa.field(column.name, found))


def _values_of(selection: Selection, stored_name: str) -> Iterator[Any]:
    for table in iter_groups(selection.path, [stored_name]):
        yield from table[stored_name].to_pylist()


def innermost(kind: Any) -> Any:
    """The type of the values of an encoded column, such as a dictionary's; any other type itself."""
    return kind.value_type if is_type.is_dictionary(kind) or is_type.is_run_end_encoded(kind) else kind


def _is_stored_as(column: ExportedColumn, wanted: pa.DataType) -> bool:
    """Whether a column of the source with this type is stored so; not where a person chose another type."""
    if is_nested(wanted):
        return column.is_json or is_type.is_string(column.stored)  # text: all values are missing
    expected = stored_type(wanted)
    if is_type.is_timestamp(expected) and is_type.is_timestamp(column.stored):
        return expected.tz == column.stored.tz  # Parquet has no timestamps of whole seconds
    return not column.is_json and column.stored == expected


def _with_room(selection: Selection, column: ExportedColumn, field: pa.Field) -> pa.Field:
    """The field; a dictionary whose index is too small for the values of all files gets a wider index."""
    kind = field.type
    if not is_type.is_dictionary(kind) or kind.index_type not in SMALL_INDEXES:
        return field
    num_values = len(set(_values_of(selection, column.stored_name)))
    if num_values <= SMALL_INDEXES[kind.index_type]:
        return field
    return field.with_type(pa.dictionary(pa.int32(), kind.value_type, kind.ordered))


def _encoded(array: pa.Array, kind: Any) -> pa.Array:
    if is_type.is_run_end_encoded(kind):
        return pc.run_end_encode(array, run_end_type=kind.run_end_type)  # pyright: ignore[reportAttributeAccessIssue]
    if not is_type.is_dictionary(kind):
        return array
    encoded = array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
    )


def _is_text(kind: pa.DataType) -> bool:
    return is_type.is_string(kind) or is_type.is_large_string(kind) or is_type.is_string_view(kind)


def table_of(table: pa.Table, columns: Sequence[ExportedColumn], schema: pa.Schema) -> pa.Table:
    """The columns in the types of a schema, whose further fields are taken from the table as they are."""
    arrays = [_held(column.restored(table[column.name]), column, schema, table) for column in columns]
    arrays += [table[name].combine_chunks() for name in schema.names[len(columns) :]]
    return pa.Table.from_arrays(arrays, schema=schema)


def _held(array: pa.Array, column: ExportedColumn, schema: pa.Schema, table: pa.Table) -> pa.Array:
    """The array in the type that the format has for it: the same, a simpler encoding, or JSON text."""
    kind = schema.field(column.name).type
    if array.type == kind:
        return array
    if is_type.is_string(kind) and is_type.is_nested(column.field.type):
        return table[column.name].combine_chunks()  # JSON text as it is stored
    return array_of(plain_values(array), kind)
