"""What values each metadata column has among the examples of a filter, and how often.

The facet of a column ignores the choice made in that column itself, so that the other values stay
visible and their counts say what choosing them would give; it respects everything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from lorif_core.corpus.bins import float_edges, of_units, time_edges, unit_edges
from lorif_core.corpus.connection import Call, Column
from lorif_core.corpus.filters import Range, Value
from lorif_core.corpus.selection import Selection
from lorif_core.corpus.value_types import MICROSECONDS, SPREAD, TIMES, ColumnType, ValueType

MAX_VALUES = 50
"""Values that a facet lists. Whole numbers with more different ones than this get a histogram."""

HIGH_CARDINALITY = 0.5
"""Share of distinct values from which a column is taken for ids or free text."""


ALWAYS_SPREAD = tuple(kind for kind in SPREAD if kind != "int")
"""Types that get a histogram, however few values there are."""


@dataclass(frozen=True)
class ValueCount:
    """One value of a column."""

    value: Value
    """As it is stored; text, also of JSON."""

    count: int
    """Examples that have it."""


@dataclass(frozen=True)
class ValuesFacet:
    """The most frequent values of a column."""

    column: str
    """Its name."""

    type: ColumnType
    """Of the values."""

    values: tuple[ValueCount, ...]
    """At most ``MAX_VALUES``, most frequent first, equal counts by value."""

    num_other_values: int
    """Different values that are not listed."""

    num_others: int
    """Examples that have one of those."""

    num_missing: int
    """Examples without a value."""

    is_high_cardinality: bool
    """More than half of all values in the data are different: ids or free text, poor to choose from."""


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram."""

    range: Range
    """Its numbers or times, ready to be chosen; all but the last bin of numbers exclude their maximum."""

    count: int
    """Examples in it."""


@dataclass(frozen=True)
class HistogramFacet:
    """How the numbers or times of a column are spread."""

    column: str
    """Its name."""

    type: ColumnType
    """All but text and bool."""

    bins: tuple[Bin, ...]
    """Equally wide numbers from the smallest to the largest finite one, or whole minutes, days, months … that hold
    all times; none if there is no value."""

    minimum: Any
    """Smallest finite number, earliest time; an instant in the person's zone."""

    maximum: Any
    """Largest finite number, latest time."""

    num_missing: int
    """Examples without a value."""

    num_nan: int
    """Examples whose value is NaN."""

    num_infinite: int
    """Examples whose value is infinite."""


Facet = ValuesFacet | HistogramFacet


@dataclass(frozen=True)
class Profile:
    """What is true of a column in the whole file, so that a facet keeps its form under every filter."""

    num_values: int
    """Rows that have a value."""

    num_distinct: int
    """Different values; 0 for what always gets a histogram, where nobody asks."""

    @property
    def is_high_cardinality(self) -> bool:
        """Whether most values are different and there are too many to list."""
        return self.num_distinct > max(MAX_VALUES, HIGH_CARDINALITY * self.num_values)


def read_profile(call: Call, column: Column) -> Profile:
    """Counts over the whole file."""
    distinct = "0" if column.type in ALWAYS_SPREAD else f"count(DISTINCT {column.sql})"
    return Profile(*call.query(f"SELECT count({column.sql}), {distinct} FROM examples e").row(0))


def read_facet(
    call: Call, name: str, column: Column, profile: Profile, selection: Selection, zone: ZoneInfo
) -> Facet:
    """The facet of one column over a selection that ignores the column's own choice.

    Args:
        call: In which it is read.
        name: Of the column.
        column: Its expression and type.
        profile: From ``read_profile``.
        selection: What is counted.
        zone: Whose days and months instants are counted by.
    """
    is_spread = column.type in ALWAYS_SPREAD or (column.type == "int" and profile.num_distinct > MAX_VALUES)
    if is_spread:
        return _histogram(call, name, column, selection, zone)
    return _values(call, name, column, profile, selection)


def _values(call: Call, name: str, column: Column, profile: Profile, selection: Selection) -> ValuesFacet:
    groups = selection.sql(f"{column.sql} AS value, count(*) AS n", f"GROUP BY {column.sql}")
    found = call.query(
        f"WITH groups AS MATERIALIZED ({groups}), "
        f"listed AS (SELECT * FROM groups WHERE value IS NOT NULL ORDER BY n DESC, value LIMIT {MAX_VALUES}) "
        "SELECT value, n, 0 AS part FROM listed "
        "UNION ALL SELECT NULL, coalesce(sum(n), 0)::BIGINT, 1 FROM groups WHERE value IS NOT NULL "
        "UNION ALL SELECT NULL, count(*), 2 FROM groups WHERE value IS NOT NULL "
        "UNION ALL SELECT NULL, coalesce(sum(n), 0)::BIGINT, 3 FROM groups WHERE value IS NULL "
        "ORDER BY part, n DESC, value",
        selection.params,
    ).rows()
    *listed, (_, num_present, _), (_, num_distinct, _), (_, num_missing, _) = found
    values = tuple(ValueCount(value, count) for value, count, _ in listed)
    num_listed = sum(value.count for value in values)
    return ValuesFacet(
        column=name,
        type=column.type,
        values=values,
        num_other_values=num_distinct - len(values),
        num_others=num_present - num_listed,
        num_missing=num_missing,
        is_high_cardinality=profile.is_high_cardinality,
    )


def _histogram(call: Call, name: str, column: Column, selection: Selection, zone: ZoneInfo) -> HistogramFacet:
    x, value = column.sql, column.value
    is_float = value.kind == "float"
    is_finite = f"isfinite({x})" if is_float else f"{x} IS NOT NULL"
    is_nan = f"isnan({x})" if is_float else "false"
    is_infinite = f"isinf({x})" if is_float else "false"
    minimum, maximum, num_missing, num_nan, num_infinite = call.query(
        selection.sql(
            f"{_units_sql(f'min({x}) FILTER ({is_finite})', value)}, "
            f"{_units_sql(f'max({x}) FILTER ({is_finite})', value)}, count(*) - count({x}), "
            f"count(*) FILTER ({is_nan}), count(*) FILTER ({is_infinite})"
        ),
        selection.params,
    ).row(0)
    if value.kind == "decimal" and minimum is not None:
        minimum, maximum = int(minimum * value.unit), int(maximum * value.unit)
    edges = [] if minimum is None else _edges(minimum, maximum, value, zone)
    return HistogramFacet(
        column=name,
        type=column.type,
        bins=_bins(call, column, is_finite, edges, selection, zone),
        minimum=_value_of(minimum, value, zone),
        maximum=_value_of(maximum, value, zone),
        num_missing=num_missing,
        num_nan=num_nan,
        num_infinite=num_infinite,
    )


def _units_sql(x: str, value: ValueType) -> str:
    """SQL of a value in units, of a time as a whole number."""
    if value.kind == "date":
        return f"({x} - DATE '1970-01-01')"
    if value.kind in ("moment", "instant"):
        return f"epoch_{'us' if value.unit == MICROSECONDS else 'ns'}({x})"
    return x


def _value_of(number: Any, value: ValueType, zone: ZoneInfo) -> Any:
    return number if number is None or value.kind == "float" else of_units(number, value, zone)


def _edges(minimum: Any, maximum: Any, value: ValueType, zone: ZoneInfo) -> list[Any]:
    if value.kind in TIMES:
        return time_edges(minimum, maximum, value, zone)
    return float_edges(minimum, maximum) if value.kind == "float" else unit_edges(minimum, maximum)


def _bins(
    call: Call, column: Column, is_finite: str, edges: Sequence[Any], selection: Selection, zone: ZoneInfo
) -> tuple[Bin, ...]:
    if not edges:
        return ()
    value, inner = column.value, edges[1:-1]
    below = [f"count(*) FILTER (x < {value.mark})" for _ in inner]
    present = selection.sql(f"{column.sql} AS x", f"AND {is_finite}")
    counts = call.query(
        f"WITH present AS MATERIALIZED ({present}) SELECT {', '.join([*below, 'count(*)'])} FROM present",
        [*selection.params, *(value.param(edge) for edge in inner)],
    ).row(0)
    starts = [0, *counts]
    last = len(edges) - 2
    has_last = value.kind not in TIMES or value.kind == "time"
    ends = [_value_of(edge, value, zone) for edge in edges]
    return tuple(
        Bin(Range(low, high, includes_maximum=has_last and place == last), counts[place] - starts[place])
        for place, (low, high) in enumerate(pairwise(ends))
    )
