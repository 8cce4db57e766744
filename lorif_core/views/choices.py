"""What a person clicked in facets, as conditions: so it can be shown, kept in a URL and typed by hand.

The choices of one column are one condition over this column; several columns narrow each other.
"""

from collections.abc import Sequence
from datetime import date, time, timedelta
from operator import attrgetter
from typing import Any

from lorif_core.corpus.conditions import DATA, And, Comparison, Condition, Not, Or
from lorif_core.corpus.facets import Bin
from lorif_core.corpus.filters import Value
from lorif_core.corpus.names import short_name
from lorif_core.corpus.where import parse_where

CLUSTERS = "\0clusters"
"""Stands for the clusters among columns: certainly no name of one."""


def of_values(column: str, values: Sequence[Value | None]) -> str:
    """The condition that a column has one of the values, None for a missing one.

    Args:
        column: Its name.
        values: At least one.
    """
    name = short_name(column)
    given = [value for value in values if value is not None]
    parts: list[Condition] = []
    if len(given) > 1 and not any(isinstance(value, bool) for value in given):
        parts = [Comparison(name, "in", tuple(_typed(value) for value in given))]
    else:
        parts = [Comparison(name, "=", (_typed(value),)) for value in given]
    if len(given) < len(values):
        parts.append(Comparison(name, "is missing"))
    return str(parts[0] if len(parts) == 1 else Or(tuple(parts)))


def of_bins(column: str, bins: Sequence[Bin]) -> str:
    """The condition that a column's number or time lies between the first and the last of some bars.

    Args:
        column: Its name.
        bins: At least one, in any order; what lies between them is included.
    """
    ordered: list[Any] = sorted((one.range for one in bins), key=attrgetter("minimum"))
    first, last, column = ordered[0], ordered[-1], short_name(column)
    low, high = (_typed(bound) for bound in (first.minimum, last.maximum) if bound is not None)
    if last.includes_maximum:
        return str(Comparison(column, "between", (low, high)))
    return str(And((Comparison(column, ">=", (low,)), Comparison(column, "<", (high,)))))


def column_of(choice: str) -> str:
    """The column that a choice is about.

    Raises:
        QueryError: It is no condition.
    """
    condition = parse_where(choice)
    while not isinstance(condition, Comparison):
        condition = condition.part if isinstance(condition, Not) else condition.parts[0]  # type: ignore[union-attr]
    return condition.name.removeprefix(DATA)


def values_of(choice: str, values: Sequence[Value | None]) -> list[int]:
    """Places of those values that a choice of ``of_values`` names."""
    condition = parse_where(choice)
    parts = condition.parts if isinstance(condition, Or) else (condition,)
    found = [part for part in parts if isinstance(part, Comparison)]
    named = {value for part in found if part.operator in ("=", "in") for value in part.values}
    takes_missing = any(part.operator == "is missing" for part in found)
    return [
        place for place, value in enumerate(values) if (takes_missing if value is None else _typed(value) in named)
    ]


def without_column(choices: Sequence[str], column: str) -> list[str]:
    """The choices but for the one about a column."""
    return [one for one in choices if column_of(one) != column]


def with_choice(choices: Sequence[str], choice: str) -> list[str]:
    """The choices with a new one, which replaces an earlier one about the same column."""
    return [*without_column(choices, column_of(choice)), choice]


def narrowed(where: str | None, choices: Sequence[str]) -> str | None:
    """A typed condition and all choices as one condition; None if there is nothing.

    Raises:
        QueryError: One of them is no condition.
    """
    parts = [parse_where(one) for one in (where or "", *choices) if one.strip()]
    if not parts:
        return None
    return str(parts[0] if len(parts) == 1 else And(tuple(parts)))


def _typed(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)}us"
    return value.isoformat() if isinstance(value, date | time) else str(value)
