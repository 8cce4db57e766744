"""The Arrow type in which a column is stored, and how it was found.

A column of Parquet or Arrow files has the type that the files say, wherever DuckDB, Polars and Parquet hold it, and
the nearest exact one elsewhere. Cells of CSV files have the type that all of them have. JSON's values have theirs;
a text column whose every text is an ISO time is listed as times. ``--type`` overrides all of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lorif_core.data.cells import parse
from lorif_core.data.columns import ColumnScan, Storage
from lorif_core.errors import DataError

ARROW_TYPES: dict[Storage, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "wide int": pa.int64(),
    "uint": pa.uint64(),
    "float": pa.float64(),
    "string": pa.string(),
    "json": pa.string(),
}
USUAL_TYPES = (pa.bool_(), pa.int64(), pa.float64(), pa.string())
"""Types that plain values have by themselves: those of other columns belong to the fingerprint."""

NAMED_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
}
"""Name in ``--type`` → type; ``decimal(p,s)`` beside them."""

is_type = pa.types


@dataclass(frozen=True)
class ColumnType:
    """How the values of a column are stored."""

    arrow: pa.DataType
    """Type in ``examples.parquet``."""

    found: str = field(compare=False)
    """How it was found, in words: ``declared``, ``from 12 cells``."""

    is_json: bool = False
    """Whether the text is JSON."""

    is_mixed: bool = False
    """Whether that JSON holds scalars only."""

    is_times: bool = False
    """Whether every text is an ISO time."""

    has_plain_whole: bool = False
    """Whether whole numbers among those with fractions came without a point, as 1 and not 1.0."""

    is_named: bool = False
    """Whether a person named the type: a value that it does not hold rejects its row."""

    fields: Mapping[str, Storage] = field(default_factory=dict)
    """Path of a field of the column's objects → what its values are."""

    note: str = field(default="", compare=False)
    """What may surprise, in words; empty: nothing."""

    num_missing: int = field(default=0, compare=False)
    """Rows without a value."""

    example: str = field(default="", compare=False)
    """The first value."""

    @property
    def title(self) -> str:
        """The type in a word or two."""
        if self.is_json:
            return "mixed, compared as text" if self.is_mixed else "nested"
        return "times, as text" if self.is_times else word_of(self.arrow)

    @property
    def is_usual(self) -> bool:
        """Whether plain values have this type by themselves."""
        return self.arrow in USUAL_TYPES


def word_of(kind: pa.DataType) -> str:
    """A type as people call it."""
    if is_type.is_string(kind):
        return "text"
    if is_type.is_timestamp(kind):
        return f"time ({kind.tz})" if kind.tz else "time"
    words = {pa.int64(): "int", pa.float64(): "float", pa.bool_(): "bool", pa.date32(): "date"}
    return words.get(kind, str(kind))


def plan_type(scan: ColumnScan, declared: pa.DataType | None, *, is_read: bool) -> ColumnType:
    """The type of a column.

    Args:
        scan: What its values are.
        declared: What its files say; None: nothing, or not the same.
        is_read: Whether the column makes the example: its cells stay as they are.
    """
    if declared is not None and not is_nested(declared):
        kept = stored_type(declared)
        is_cut = is_type.is_decimal(declared) and is_type.is_string(kept)
        note = "decimals of more than 38 digits are compared as text" if is_cut else ""
        return ColumnType(kept, "declared by the file", note=note)
    if scan.cells is not None:
        return _type_of_cells(scan, is_read=is_read)
    storage = scan.storage or "string"
    count = scan.storages.total()
    if storage != "json":
        is_times = storage == "string" and scan.times.found and not is_read
        found = f"from {count:,} values"
        return ColumnType(ARROW_TYPES[storage], found, is_times=is_times, has_plain_whole=scan.has_plain_whole)
    note = _note_of_mixed(scan) if scan.is_mixed else ""
    return ColumnType(pa.string(), f"from {count:,} values", True, scan.is_mixed, fields=scan.fields.found, note=note)


def _note_of_mixed(scan: ColumnScan) -> str:
    said = [f"{value!r} in line {line}" for value, line in scan.first.values()]
    return f"it holds values of several types, such as {' and '.join(one[:60] for one in said[:2])}"


def _type_of_cells(scan: ColumnScan, *, is_read: bool) -> ColumnType:
    assert scan.cells is not None
    count = scan.cells.kinds.total()
    if is_read:
        return ColumnType(pa.string(), "it is read as text")
    found, note = scan.cells.found, scan.cells.note
    if scan.storages:  # other files give plain values
        same = found == ARROW_TYPES[scan.storage or "string"]
        found, note = (found, note) if same else (pa.string(), "some files give text, others numbers")
    has_plain_whole = is_type.is_floating(found) and "int" in scan.cells.kinds and not scan.cells.has_pointed_whole
    return ColumnType(found, f"from {count:,} cells", note=note, has_plain_whole=has_plain_whole)


def is_nested(kind: pa.DataType) -> bool:
    """Whether values of a type are lists or objects."""
    if isinstance(kind, pa.ExtensionType):
        return is_nested(kind.storage_type)
    return is_type.is_nested(kind) and not is_type.is_dictionary(kind)


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes."""
    if is_type.is_dictionary(kind):
        return is_binary(kind.value_type)  # pyright: ignore[reportAttributeAccessIssue]
    views = (is_type.is_binary, is_type.is_large_binary, is_type.is_fixed_size_binary, is_type.is_binary_view)
    return any(is_one(kind) for is_one in views)


def stored_type(kind: pa.DataType) -> pa.DataType:
    """The type that holds the same values in Parquet, DuckDB and Polars."""
    if isinstance(kind, pa.ExtensionType):
        return stored_type(kind.storage_type)
    if is_type.is_dictionary(kind) or is_type.is_run_end_encoded(kind):
        return stored_type(kind.value_type)  # pyright: ignore[reportAttributeAccessIssue]
    if is_type.is_float16(kind):
        return pa.float32()
    if is_type.is_date64(kind):
        return pa.date32()
    if is_type.is_time32(kind):
        return pa.time64("us")
    if is_type.is_decimal(kind):
        fits = kind.precision <= 38 and 0 <= kind.scale <= kind.precision
        return pa.decimal128(kind.precision, kind.scale) if fits else pa.string()
    is_kept = (
        is_type.is_boolean(kind)
        or is_type.is_integer(kind)
        or is_type.is_floating(kind)
        or is_type.is_date32(kind)
        or is_type.is_timestamp(kind)
        or is_type.is_duration(kind)
        or kind == pa.time64("us")
    )
    return kind if is_kept else pa.string()


def unified(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """The type that holds the values of all types exactly; None where none does."""
    told = list(dict.fromkeys(kind for kind in types if not is_type.is_null(kind)))
    if len(told) <= 1:
        return told[0] if told else pa.null()
    stored = list(dict.fromkeys(kind if is_nested(kind) else stored_type(kind) for kind in told))
    if len(stored) == 1:
        return stored[0]
    if all(map(is_type.is_integer, stored)):
        return _unified_whole(stored)
    if all(is_type.is_floating(kind) for kind in stored):
        return pa.float64()
    return None


def _unified_whole(kinds: Sequence[pa.DataType]) -> pa.DataType | None:
    signed = [kind for kind in kinds if is_type.is_signed_integer(kind)]
    if len(signed) in (0, len(kinds)):
        return max(kinds, key=lambda kind: kind.bit_width)
    return None if pa.uint64() in kinds else pa.int64()


def named_types(spelled: Sequence[str], names: Sequence[str]) -> dict[str, pa.DataType]:
    """Column → type, of what a person says.

    Args:
        spelled: Each as COLUMN=TYPE.
        names: Columns of the data.

    Raises:
        DataError: A column or a type is unknown.
    """
    found: dict[str, pa.DataType] = {}
    for one in spelled:
        name, is_given, said = one.rpartition("=")
        kind = named_type(said.strip().lower())
        if not is_given or kind is None:
            known = ", ".join(NAMED_TYPES)
            raise DataError(f"`--type` takes COLUMN=TYPE with a type of {known} or decimal(10,2); got {one!r}.")
        if name not in names:
            listed = ", ".join(f"`{column}`" for column in names[:20])
            raise DataError(f"`--type` must name a column of the data, got {name!r}; the columns are {listed}.")
        found[name] = kind
    return found


def named_type(word: str) -> pa.DataType | None:
    """The type that a word of ``--type`` stands for; None: it is none."""
    if found := re.fullmatch(r"decimal\(\s*([0-9]+)\s*,\s*([0-9]+)\s*\)", word):
        precision, scale = int(found[1]), int(found[2])
        return pa.decimal128(precision, scale) if 1 <= precision <= 38 and scale <= precision else None
    return NAMED_TYPES.get(word)


def converted(value: Any, kind: pa.DataType, *, has_comma: bool = False) -> Any:
    """A plain value in a type that a person named.

    Raises:
        ValueError: The type does not hold it.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return value if is_type.is_string(kind) else None
    if isinstance(value, (list, dict)):
        raise ValueError("it is a list or an object")
    text = value if isinstance(value, str) else repr(value).lower() if isinstance(value, bool) else repr(value)
    if is_type.is_decimal(kind):
        number = text.strip()
        return (
            pa.array([number.replace(".", "").replace(",", ".") if has_comma else number])
            .cast(kind)[0]
            .as_py()
            .__str__()
        )
    if is_type.is_integer(kind) and isinstance(value, float) and value.is_integer():
        return int(value)
    return parse(text, kind, has_comma=has_comma and isinstance(value, str))
