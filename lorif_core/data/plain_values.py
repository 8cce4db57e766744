"""Values of Arrow columns as plain Python, as JSON spells them, and back to the same Arrow values.

All readers of files give plain values: None, bool, int, float, str, list, dict. What JSON has no type for is text:

* dates, times and durations as Arrow prints them (durations as their number of units), in the zone of their type
* decimals as their digits
* bytes as base64
* maps as a list of pairs, because their keys may be no text and may repeat

``array_of`` reads them back; nothing is lost on the way, nanoseconds and dictionaries included.
"""

import base64
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

is_type = pa.types


def plain_values(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column as JSON would spell them.

    Raises:
        UnicodeDecodeError: Text is not UTF-8.
    """
    if isinstance(array, pa.ChunkedArray):
        return [value for chunk in array.chunks for value in plain_values(chunk)]
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return plain_values(array.storage)
    if is_type.is_dictionary(kind):
        words = plain_values(array.dictionary)
        return [None if place is None else words[place] for place in array.indices.to_pylist()]
    if is_type.is_run_end_encoded(kind):
        return plain_values(pc.run_end_decode(array))  # pyright: ignore[reportAttributeAccessIssue]
    if _is_list(kind):
        return _plain_lists(array)
    if is_type.is_map(kind):
        return _plain_maps(array)
    if is_type.is_struct(kind):
        return _plain_structs(array)
    if is_type.is_temporal(kind):  # cast by Arrow, because Python's times have no nanoseconds
        return array.cast(pa.string()).to_pylist()
    return [_plain(value) for value in array.to_pylist()]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


def _plain_lists(array: Any) -> list[Any]:
    lengths = pc.list_value_length(array).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
    values = iter(plain_values(array.flatten()))  # of the lists that are there
    return [None if length is None else [next(values) for _ in range(length)] for length in lengths]


def _plain_maps(array: Any) -> list[Any]:
    entries = pa.StructArray.from_arrays([array.keys, array.items], names=["key", "value"])
    pairs = [[entry["key"], entry["value"]] for entry in plain_values(entries)]
    offsets = array.offsets.to_pylist()
    first = offsets[0] if offsets else 0
    return [
        pairs[start - first : stop - first] if is_there else None
        for start, stop, is_there in zip(offsets, offsets[1:], array.is_valid().to_pylist(), strict=False)
    ]


def _plain_structs(array: Any) -> list[Any]:
    names = [field.name for field in array.type]
    columns = [plain_values(column) for column in array.flatten()]
    rows = zip(*columns, strict=True) if columns else ((),) * len(array)
    return [
        dict(zip(names, row, strict=True)) if is_there else None
        for row, is_there in zip(rows, array.is_valid().to_pylist(), strict=True)
    ]


def array_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The Arrow values that ``plain_values`` made plain.

    Args:
        values: Plain values.
        kind: The type that they had.

    Raises:
        pa.ArrowInvalid, pa.ArrowTypeError, ValueError: A value is none of this type.
    """
    if isinstance(kind, pa.ExtensionType):
        return pa.ExtensionArray.from_storage(kind, array_of(values, kind.storage_type))
    if is_type.is_dictionary(kind):
        return _dictionary_of(values, kind)
    if is_type.is_map(kind):
        return _maps_of(values, kind)
    if _is_list(kind):
        return _lists_of(values, kind)
    if is_type.is_struct(kind):
        return _structs_of(values, kind)
    if _is_binary(kind):
        return pa.array([None if value is None else base64.b64decode(value, validate=True) for value in values], kind)
    if is_type.is_duration(kind):
        return pa.array([None if value is None else int(value) for value in values], pa.int64()).cast(kind)
    if is_type.is_date64(kind):
        return pa.array(values, pa.string()).cast(pa.date32()).cast(kind)
    if is_type.is_time(kind):  # Arrow reads no times of day, but moments of the first day
        moments = pa.array([None if value is None else f"1970-01-01 {value}" for value in values], pa.string())
        return moments.cast(pa.timestamp(kind.unit)).cast(kind)
    if is_type.is_temporal(kind) or is_type.is_decimal(kind):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


def _is_list(kind: pa.DataType) -> bool:
    return is_type.is_list(kind) or is_type.is_large_list(kind) or is_type.is_fixed_size_list(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return is_type.is_binary(kind) or is_type.is_large_binary(kind) or is_type.is_fixed_size_binary(kind)


def _dictionary_of(values: Sequence[Any], kind: Any) -> pa.Array:
    encoded = array_of(values, kind.value_type).dictionary_encode()
    indices = encoded.indices.cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered)


def _lists_of(values: Sequence[Any], kind: Any) -> pa.Array:
    if is_type.is_fixed_size_list(kind):
        padding = [None] * kind.list_size
        inner = array_of([one for value in values for one in (padding if value is None else value)], kind.value_type)
        return pa.FixedSizeListArray.from_arrays(inner, type=kind, mask=_missing(values))
    inner = array_of([one for value in values for one in value or ()], kind.value_type)
    is_large = is_type.is_large_list(kind)
    offsets = pa.array(_offsets(values), pa.int64() if is_large else pa.int32())
    list_class = pa.LargeListArray if is_large else pa.ListArray
    return list_class.from_arrays(offsets, inner, type=kind, mask=_missing(values))


def _maps_of(values: Sequence[Any], kind: Any) -> pa.Array:
    pairs = [pair for value in values for pair in value or ()]
    keys = array_of([key for key, _ in pairs], kind.key_type)
    items = array_of([item for _, item in pairs], kind.item_type)
    offsets = pa.array(_offsets(values), pa.int32())
    return pa.MapArray.from_arrays(offsets, keys, items, type=kind, mask=_missing(values))


def _structs_of(values: Sequence[Any], kind: Any) -> pa.Array:
    fields = list(kind)
    columns = [array_of([(value or {}).get(field.name) for value in values], field.type) for field in fields]
    if not columns:
        return pa.array([None if value is None else {} for value in values], kind)
    return pa.StructArray.from_arrays(columns, fields=fields, mask=_missing(values))


def _offsets(values: Iterable[Any]) -> list[int]:
    return list(accumulate((len(value or ()) for value in values), initial=0))


def _missing(values: Iterable[Any]) -> pa.Array:
    return pa.array([value is None for value in values], pa.bool_())
