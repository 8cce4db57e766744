"""What the values of a column are, and their comparison in DuckDB SQL.

All types but text, yes/no and floats are whole numbers of a smallest unit: cents of a DECIMAL(10,2), days of a date,
microseconds of a time. What a person types is a ``Span`` of them: one value, all moments of a day, or nothing, where
the column cannot hold it: ``2019.5`` lies between two whole numbers, so that it equals none and still has an order.
Comparing with the two ends of a span is exact, whatever the number of digits.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa

ColumnType = Literal["text", "bool", "int", "float", "decimal", "date", "time", "moment", "instant", "duration"]
"""``time`` is one of the day, ``moment`` a date and time without a zone, ``instant`` one with a zone."""

HOLDS: dict[ColumnType, str] = {
    "text": "text",
    "bool": "true or false",
    "int": "whole numbers",
    "float": "numbers",
    "decimal": "decimal numbers",
    "date": "days",
    "time": "times of the day",
    "moment": "times without a zone",
    "instant": "times with a zone",
    "duration": "durations",
}
NUMBERS: tuple[ColumnType, ...] = ("int", "float", "decimal")
TIMES: tuple[ColumnType, ...] = ("date", "time", "moment", "instant")
SPREAD: tuple[ColumnType, ...] = tuple(kind for kind in get_args(ColumnType) if kind not in ("text", "bool"))
"""Types that have an order people read as sizes: ranges and histograms are of them."""

WHOLE_BITS = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "HUGEINT": (-(2**127), 2**127 - 1),
    "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UINTEGER": (0, 2**32 - 1),
    "UBIGINT": (0, 2**64 - 1),
    "UHUGEINT": (0, 2**128 - 1),
}
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MOST_DAYS = 5_000_000
_MOST_TICKS = 2**63 - 2  # the ends of int64 stand for infinity

_MARKS: dict[ColumnType, str] = {
    "int": "CAST(? AS {sql})",
    "float": "CAST(? AS {sql})",
    "decimal": "CAST(? AS {sql})",
    "date": "(DATE '1970-01-01' + CAST(? AS INTEGER))",
    "time": "CAST(? AS BIGINT)",
    "duration": "CAST(? AS BIGINT)",
    "instant": "make_timestamptz(CAST(? AS BIGINT))",
}
_MOMENT_MARKS = {
    10**6: "make_timestamp(CAST(? AS BIGINT))",
    10**9: "make_timestamp_ns(CAST(? AS BIGINT))",
}


class ValueType(NamedTuple):
    """Of the values of one SQL expression."""

    kind: ColumnType
    """What people call them."""

    sql: str = "VARCHAR"
    """DuckDB's name."""

    unit: int = 1
    """Smallest units of one: of a second (times, durations) or of the number (decimals)."""

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest number of units, of all but text, yes/no and floats."""
        if self.kind == "int":
            return WHOLE_BITS[self.sql]
        if self.kind == "decimal":
            most = 10 ** int(re.findall(r"\d+", self.sql)[0]) - 1
            return -most, most
        most = _MOST_DAYS if self.kind == "date" else _MOST_TICKS
        return -most, most

    @property
    def mark(self) -> str:
        """SQL of one parameter of this type."""
        if self.kind == "moment":
            return _MOMENT_MARKS[self.unit]
        return _MARKS.get(self.kind, "?").format(sql=self.sql)

    def param(self, number: Any) -> Any:
        """What is bound to ``mark`` for a number of units."""
        return _decimal_text(number, self.unit) if self.kind == "decimal" else number


TEXT = ValueType("text")
BOOL = ValueType("bool", "BOOLEAN")
FLOAT = ValueType("float", "DOUBLE")
WHOLE = ValueType("int", "BIGINT")
MICROSECONDS = UNITS["us"]


def type_of(sql: str, stored: pa.DataType) -> ValueType | None:
    """The type of a column; None if nothing is known of it but its text.

    Args:
        sql: DuckDB's name of its type.
        stored: Its Arrow type, which knows what is a duration.
    """
    if pa.types.is_duration(stored):
        return ValueType("duration", "BIGINT", UNITS[stored.unit])
    if sql in WHOLE_BITS:
        return ValueType("int", sql)
    if found := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", sql):
        return ValueType("decimal", sql, 10 ** int(found[2]))
    return _OTHERS.get(sql)


_OTHERS: dict[str, ValueType] = {
    "VARCHAR": TEXT,
    "BOOLEAN": BOOL,
    "FLOAT": ValueType("float", "FLOAT"),
    "DOUBLE": FLOAT,
    "DATE": ValueType("date", "DATE"),
    "TIME": ValueType("time", "TIME", UNITS["us"]),
    "TIME_NS": ValueType("time", "TIME_NS", UNITS["ns"]),
    "TIMESTAMP": ValueType("moment", "TIMESTAMP", UNITS["us"]),
    "TIMESTAMP_NS": ValueType("moment", "TIMESTAMP_NS", UNITS["ns"]),
    "TIMESTAMP WITH TIME ZONE": ValueType("instant", "TIMESTAMP WITH TIME ZONE", UNITS["us"]),
}


class Span(NamedTuple):
    """What of a column's values something typed stands for: from ``first`` to ``last``, none if that is smaller.

    Nothing the column holds lies between ``last`` and ``first`` where they are the wrong way round.
    """

    first: Any
    """Smallest value, in units; a float of float columns."""

    last: Any
    """Largest value."""


class Compared(NamedTuple):
    """SQL that is true or false, never null."""

    sql: str
    """One ``?`` for each parameter."""

    params: list[Any]
    """In the order of their ``?``."""


def present(x: str, value: ValueType) -> str:
    """SQL of a value that is null where it counts as missing: DuckDB orders NaN above every number."""
    return f"(CASE WHEN isnan({x}) THEN NULL ELSE {x} END)" if value.kind == "float" else f"({x})"


def compared(x: str, value: ValueType, operator: str, spans: Sequence[Span]) -> Compared:
    """A comparison of an expression with spans.

    Args:
        x: The expression, from ``present``.
        value: Its type.
        operator: =, !=, <, <=, >, >=, in, not in or between.
        spans: Two of ``between``, any number of ``in`` and ``not in``, else one.
    """
    if operator in ("!=", "not in"):
        sql, params = compared(x, value, "in", spans)
        return Compared(f"(NOT {sql})", params)
    if operator in ("=", "in"):
        points = [span.first for span in spans if span.first == span.last and _is_within(value, span.first)]
        pieces = [_both(x, value, span, span) for span in spans if span.first < span.last]
        if points:
            marks = ", ".join([value.mark] * len(points))
            pieces.append(Compared(f"{x} IN ({marks})", [value.param(one) for one in points]))
        return _never_null(" OR ".join(piece.sql for piece in pieces) or "false", pieces)
    if operator == "between":
        pieces = [_both(x, value, spans[0], spans[1])]
    else:
        end = "last" if operator in (">", "<=") else "first"
        pieces = [_one_sided(x, value, operator, getattr(spans[0], end))]
    return _never_null(pieces[0].sql, pieces)


def _never_null(sql: str, pieces: Sequence[Compared]) -> Compared:
    return Compared(f"coalesce({sql}, false)", [param for piece in pieces for param in piece.params])


def _both(x: str, value: ValueType, low: Span, high: Span) -> Compared:
    above = _one_sided(x, value, ">=", low.first)
    below = _one_sided(x, value, "<=", high.last)
    return Compared(f"({above.sql} AND {below.sql})", above.params + below.params)


def _one_sided(x: str, value: ValueType, operator: str, number: Any) -> Compared:
    if not _is_within(value, number):
        is_all = (operator[0] == ">") == (number < 0)
        return Compared(f"{x} IS NOT NULL" if is_all else "false", [])
    return Compared(f"{x} {operator} {value.mark}", [value.param(number)])


def _is_within(value: ValueType, number: Any) -> bool:
    return value.kind == "float" or value.limits[0] <= number <= value.limits[1]


def _decimal_text(number: int, unit: int) -> str:
    whole, part = divmod(abs(number), unit)
    digits = len(str(unit)) - 1
    return f"{'-' if number < 0 else ''}{whole}" + (f".{part:0{digits}}" if digits else "")
