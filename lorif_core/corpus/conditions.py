"""What a condition over examples is, and its canonical text.

A condition is a tree of frozen dataclasses. Reading its text gives an equal tree, so a condition
can be stored as text; ``where`` says what it means.
"""

import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Operator = Literal[
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "not in",
    "between",
    "contains",
    "matches",
    "is missing",
    "is not missing",
]

Side = Literal["top", "bottom"]

LABELS = "labels"
"""Name of the list of an example's labels."""

DATA = "data."
"""Before the name of a column: certainly the column, whatever else has the name."""

DECISION = "decision."
"""Before ``status``, ``reason``, ``actor``, ``labels`` or ``has_conflict``: certainly the decision."""

LABEL = "label"
"""How the list of labels is typed; a column of this name needs backticks."""

RESERVED = frozenset(["and", "or", "not", "in", "is", "between", "contains", "matches", "because", "where"])
"""Words that need quotes as a value and backticks as a name."""


@dataclass(frozen=True)
class Condition:
    """Something that is true or false of every example; ``str`` gives its canonical text."""

    def __str__(self) -> str:
        return format_where(self)


@dataclass(frozen=True)
class Comparison(Condition):
    """One named value of an example, compared with typed values."""

    name: str
    """Key of the fields; with ``query`` set, the key is ``name:query``."""

    operator: Operator
    """How the value is compared."""

    values: tuple[str, ...] = ()
    """As typed, without quotes: none for ``is missing``, two for ``between``, any for ``in``, else one."""

    query: str | None = None
    """The query whose score is meant, or None for a value of the example itself."""


@dataclass(frozen=True)
class Extreme(Condition):
    """The strongest or the most negative scores of one query."""

    query: str
    """Id of the query."""

    side: Side
    """``top``: the highest scores; ``bottom``: the lowest."""

    amount: Decimal
    """A percentage in (0, 100], or a whole number of examples; decimal, so that 0.7 % is exactly that."""

    is_share: bool
    """The amount is a percentage of all examples that have a score."""


@dataclass(frozen=True)
class Not(Condition):
    """True where the part is false."""

    part: Condition
    """What is negated."""


@dataclass(frozen=True)
class And(Condition):
    """True where all parts are; at least two."""

    parts: tuple[Condition, ...]
    """In the order typed."""


@dataclass(frozen=True)
class Or(Condition):
    """True where any part is; at least two."""

    parts: tuple[Condition, ...]
    """In the order typed."""


HAS_CONFLICT = Comparison(f"{DECISION}has_conflict", "=", ("true",))
"""People decided differently on the example; typed as ``has conflict``."""


def format_where(condition: Condition) -> str:
    """Canonical text of a condition: reading it gives an equal condition."""
    match condition:
        case Or(parts):
            return " or ".join(map(_part_of_or, parts))
        case And(parts):
            return " and ".join(map(_part_of_and, parts))
        case Not(part):
            return f"not {_part_of_and(part)}"
        case Extreme(query, side, amount, is_share):
            return f"score in the {side} {amount:f}{' %' if is_share else ''} for query {quote_value(query)}"
        case Comparison():
            return _format_comparison(condition)
    raise AssertionError(f"not a condition: {condition!r}")


def _part_of_or(part: Condition) -> str:
    return f"({format_where(part)})" if isinstance(part, Or) else format_where(part)


def _part_of_and(part: Condition) -> str:
    return f"({format_where(part)})" if isinstance(part, (Or, And)) else format_where(part)


def _format_comparison(comparison: Comparison) -> str:
    if comparison == HAS_CONFLICT:
        return "has conflict"
    values = [quote_value(value) for value in comparison.values]
    if (comparison.name, comparison.operator) == (f"{DECISION}actor", "="):
        return f"decided by {values[0]}"
    operator = comparison.operator
    if operator in ("in", "not in"):
        values = [f"({', '.join(values)})"]
    elif operator == "between":
        values = [" and ".join(values)]
    suffix = [] if comparison.query is None else ["for query", quote_value(comparison.query)]
    return " ".join([_format_name(comparison.name), operator, *values, *suffix])


def _format_name(name: str) -> str:
    if name == LABELS:
        return LABEL
    return name if is_bare(name) and name != LABEL else f"`{name.replace('`', '``')}`"


def quote_value(text: str) -> str:
    """A value as it is written in a condition: bare, or in double quotes where it must be."""
    return text if is_bare(text) else f'"{text.replace(chr(34), chr(34) * 2)}"'


def is_bare(text: str) -> bool:
    """Whether a text can stand in a condition without quotes."""
    return (
        bool(text)
        and all(map(is_word_character, text))
        and not text.startswith(":")
        and not text.endswith(":")
        and text.casefold() not in RESERVED
    )


def is_word_character(character: str) -> bool:
    """Whether a character can be part of a bare word: letters with their marks, digits and ``_-+.:/``."""
    return character.isalnum() or character in "_-+.:/" or unicodedata.category(character).startswith("M")


def queries_of(condition: Condition) -> list[str]:
    """Ids of the queries whose scores a condition needs, each once, in the order of appearance."""
    return list(dict.fromkeys(_all_queries(condition)))


def _all_queries(condition: Condition) -> list[str]:
    match condition:
        case Or(parts) | And(parts):
            return [query for part in parts for query in _all_queries(part)]
        case Not(part):
            return _all_queries(part)
        case Extreme(query) | Comparison(query=str(query)):
            return [query]
    return []
