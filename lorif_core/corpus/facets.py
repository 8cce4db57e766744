"""What values each metadata column has among the examples of a filter, and how often.

The facet of a column ignores the choice made in that column itself, so that the other values stay
visible and their counts say what choosing them would give; it respects everything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lorif_core.corpus.connection import Call, Column, ColumnType
from lorif_core.corpus.filters import Range, Value
from lorif_core.corpus.selection import Selection

MAX_VALUES = 50
"""Values that a facet lists. Whole numbers with more different ones than this get a histogram."""

NUM_BINS = 20

HIGH_CARDINALITY = 0.5
"""Share of distinct values from which a column is taken for ids or free text."""


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
    """Its numbers, ready to be chosen; all but the last bin exclude their maximum."""

    count: int
    """Examples in it."""


@dataclass(frozen=True)
class HistogramFacet:
    """How the numbers of a column are spread."""

    column: str
    """Its name."""

    type: ColumnType
    """int or float."""

    bins: tuple[Bin, ...]
    """Equally wide, from the smallest to the largest finite number; none if there is no such number."""

    minimum: float | None
    """Smallest finite number."""

    maximum: float | None
    """Largest finite number."""

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
    """Different values; 0 for floats, where nobody asks."""

    @property
    def is_high_cardinality(self) -> bool:
        """Whether most values are different and there are too many to list."""
        return self.num_distinct > max(MAX_VALUES, HIGH_CARDINALITY * self.num_values)


def read_profile(call: Call, column: Column) -> Profile:
    """Counts over the whole file."""
    distinct = "0" if column.type == "float" else f"count(DISTINCT {column.sql})"
    return Profile(*call.query(f"SELECT count({column.sql}), {distinct} FROM examples e").row(0))


def read_facet(call: Call, name: str, column: Column, profile: Profile, selection: Selection) -> Facet:
    """The facet of one column over a selection that ignores the column's own choice."""
    is_spread = column.type == "float" or (column.type == "int" and profile.num_distinct > MAX_VALUES)
    if is_spread:
        return _histogram(call, name, column, selection)
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


def _histogram(call: Call, name: str, column: Column, selection: Selection) -> HistogramFacet:
    x = column.sql
    is_finite = f"isfinite({x})" if column.type == "float" else f"{x} IS NOT NULL"
    is_nan = f"isnan({x})" if column.type == "float" else "false"
    is_infinite = f"isinf({x})" if column.type == "float" else "false"
    minimum, maximum, num_missing, num_nan, num_infinite = call.query(
        selection.sql(
            f"min({x}) FILTER ({is_finite}), max({x}) FILTER ({is_finite}), count(*) - count({x}), "
            f"count(*) FILTER ({is_nan}), count(*) FILTER ({is_infinite})"
        ),
        selection.params,
    ).row(0)
    edges = _edges(minimum, maximum, column.type)
    return HistogramFacet(
        column=name,
        type=column.type,
        bins=_bins(call, x, is_finite, edges, selection),
        minimum=minimum,
        maximum=maximum,
        num_missing=num_missing,
        num_nan=num_nan,
        num_infinite=num_infinite,
    )


def _edges(minimum: Any, maximum: Any, column_type: ColumnType) -> list[Any]:
    """Ends of the bins, ascending; whole numbers get bins of whole numbers, the last of which may be cut."""
    if minimum is None or minimum == maximum:
        return [] if minimum is None else [minimum, maximum]
    if column_type == "int":
        width = -(-(maximum - minimum + 1) // NUM_BINS)
        return [*range(minimum, maximum + 1, width), maximum]
    # Halves, because the difference of two floats may be infinite.
    half = maximum / 2 - minimum / 2
    inner = [minimum + half * (2 * number / NUM_BINS) for number in range(1, NUM_BINS)]
    return [minimum, *sorted({edge for edge in inner if minimum < edge < maximum}), maximum]


def _bins(call: Call, x: str, is_finite: str, edges: Sequence[Any], selection: Selection) -> tuple[Bin, ...]:
    if not edges:
        return ()
    inner = edges[1:-1]
    below = [f"count(*) FILTER ({x} < ?)" for _ in inner]
    counts = call.query(
        selection.sql(", ".join([*below, "count(*)"]), f"AND {is_finite}"),
        [*inner, *selection.params],
    ).row(0)
    ranges = pairwise(edges)
    starts = [0, *counts]
    last = len(edges) - 2
    return tuple(
        Bin(Range(low, high, includes_maximum=place == last), counts[place] - starts[place])
        for place, (low, high) in enumerate(ranges)
    )
