"""What the names in a condition stand for: columns, fields of objects, decisions, scores.

Fields are kept under full names: ``data.source`` (a column, or ``data.meta.source``, a field of its objects),
``decision.status``, ``score:7``, and ``text``, all that is read. People write the short name, and the full one where
the short one could be both a column and a decision.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lorif_core.corpus.conditions import DATA, DECISION, LABEL, LABELS, Comparison
from lorif_core.corpus.filters import STATUSES
from lorif_core.corpus.reading import shortened
from lorif_core.corpus.value_types import ValueType
from lorif_core.errors import QueryError

DECISION_NAMES = ("status", "reason", "actor", LABELS, "has_conflict")
_EQUALITIES = ("=", "!=", "in", "not in")


class Field(NamedTuple):
    """What a name of a condition stands for."""

    sql: str
    """DuckDB expression of the value; ``decision.labels`` is a VARCHAR[]."""

    value: ValueType
    """How typed values are read and compared."""

    parent: str | None = None
    """The column whose objects have this field, or None for a column."""


def key_of(comparison: Comparison, fields: Mapping[str, Field]) -> str:
    """The full name of what a comparison is about.

    Raises:
        QueryError: Nothing has this name, or both a column and a decision do.
    """
    name = comparison.name
    if comparison.query is not None:
        return _key_of_query(name, comparison.query, fields)
    if name.startswith((DATA, DECISION)) and name in fields:
        return name
    if name == f"{DECISION}{LABEL}":
        return f"{DECISION}{LABELS}"
    is_column = f"{DATA}{name}" in fields
    is_decision = name in DECISION_NAMES and f"{DECISION}{name}" in fields
    if is_decision and (is_column or (name == LABELS and f"{DATA}{LABEL}" in fields)):
        if not _names_statuses(comparison):
            raise _is_both(name, fields)
        return f"{DECISION}{name}"
    if is_column:
        return f"{DATA}{name}"
    if is_decision:
        return f"{DECISION}{name}"
    if name == "text" and name in fields:
        return name
    raise _unknown(name, fields)


def short_name(column: str) -> str:
    """A column as a condition certainly names it: by its name, or behind ``data.`` where that could be another."""
    is_other = column in (*DECISION_NAMES, LABEL) or column.startswith((DATA, DECISION))
    return f"{DATA}{column}" if is_other else column


def check_statuses(comparison: Comparison) -> None:
    """Refuse a comparison of the status of decisions with what is none.

    Raises:
        QueryError: A value is no status; lists them.
    """
    unknown = [value for value in comparison.values if value not in STATUSES]
    if comparison.operator in _EQUALITIES and unknown:
        raise QueryError(
            f"a status is one of {', '.join(STATUSES)}, got `{shortened(unknown[0])}` in "
            f"`{shortened(str(comparison), 80)}`: correct it."
        )


def _names_statuses(comparison: Comparison) -> bool:
    """Whether it compares the status with known ones, which the name means then, as in older rules."""
    is_status = comparison.name == "status" and comparison.operator in _EQUALITIES
    return is_status and all(value in STATUSES for value in comparison.values)


def _is_both(name: str, fields: Mapping[str, Field]) -> QueryError:
    column = name if f"{DATA}{name}" in fields else LABEL
    statuses = f" ({', '.join(STATUSES)})" if name == "status" else ""
    return QueryError(
        f"`{column}` is a column of the data and a part of decisions{statuses}: write `{DATA}{column}` for the "
        f"column, or `{DECISION}{name}` for the decision."
    )


def _key_of_query(name: str, query: str, fields: Mapping[str, Field]) -> str:
    key = f"{name}:{query}"
    if key in fields:
        return key
    known = [other.removeprefix(f"{name}:") for other in fields if other.startswith(f"{name}:")]
    raise QueryError(
        f"query `{shortened(query)}` has no scores to filter by, those that have: {_listed(known)}. Ask it first, or "
        "name another."
    )


def _unknown(name: str, fields: Mapping[str, Field]) -> QueryError:
    if name == "score":
        return QueryError(
            "there is no column `score`: to filter by the scores of a query, name it, as in score > 0.5 for query 7."
        )
    bare = name.removeprefix(DATA)
    parents = {field.parent for field in fields.values() if field.parent is not None}
    inside = [parent for parent in parents if bare.startswith(f"{parent}.")]
    if inside:
        parent = max(inside, key=len)
        prefix = f"{DATA}{parent}."
        known = [key.removeprefix(prefix) for key, field in fields.items() if field.parent == parent]
        rest = bare.removeprefix(f"{parent}.")
        return QueryError(
            f"the objects of `{shortened(parent)}` have no field `{shortened(rest)}`{_guess(rest, known)} Their "
            f"fields are {_listed(known)}."
        )
    shown = LABEL if name == LABELS else name
    columns = [_shown(key) for key, field in fields.items() if _is_listed(key, field)]
    return QueryError(
        f"there is no field `{shortened(shown)}`{_guess(shown, columns)} The fields are {_listed(columns)}."
    )


def _is_listed(key: str, field: Field) -> bool:
    return field.parent is None and (key == "text" or key.startswith((DATA, DECISION)))


def _shown(key: str) -> str:
    name = key.removeprefix(DATA).removeprefix(DECISION)
    return LABEL if key == f"{DECISION}{LABELS}" else name


def _guess(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.casefold(), [other.casefold() for other in known], n=1)
    return next((f", did you mean `{other}`?" for other in known if other.casefold() in near), ".")


def _listed(names: Sequence[str], most: int = 30) -> str:
    once = list(dict.fromkeys(names))
    more = f" and {len(once) - most} more" if len(once) > most else ""
    return ", ".join(f"`{shortened(name)}`" for name in once[:most]) + more or "none"
