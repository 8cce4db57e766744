"""Conditions over examples, as a person types them, and their DuckDB SQL.

    source = forum and (year >= 2020 or lang in (de, fr, "pt-BR"))
    text contains "Sydney" and not decided by anna
    score in the top 1 % for query 7

``or`` binds weaker than ``and``, ``and`` weaker than ``not``. Logic is two-valued: a comparison
with a missing value is false, except ``!=`` and ``not in``, which are true, so that ``not
source = forum`` and ``source != forum`` mean the same. A number that is NaN counts as missing.

A condition is a tree of frozen dataclasses. Its text form is canonical: ``parse_where(str(c)) ==
c``, so a condition can be stored as text. In the SQL every typed value is a ``?`` parameter; all
else is a constant of this module or the caller's expression for a name, so nothing that a person
types becomes SQL.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import duckdb

from lorif_core.corpus.conditions import (
    LABEL,
    LABELS,
    And,
    Comparison,
    Condition,
    Extreme,
    Not,
    Operator,
    Or,
    format_where,
    queries_of,
)
from lorif_core.corpus.reading import MAX_CHARACTERS, MAX_DEPTH, Reader, check_length, shortened
from lorif_core.corpus.text_patterns import contains_patterns, contains_sql, matches_sql, typed_pattern
from lorif_core.errors import QueryError

__all__ = [
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "Compiled",
    "Condition",
    "Field",
    "Kind",
    "compile_where",
    "format_where",
    "parse_where",
    "queries_of",
]

MAX_PATTERN = 1_000
"""Longest regular expression."""

Kind = Literal["text", "number", "bool", "time"]

_OF_QUERIES = ("score:", "top_share:", "bottom_share:", "top_rank:", "bottom_rank:")
_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

_ORDERED: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "between")
_MISSING: tuple[Operator, ...] = ("is missing", "is not missing")
_OPERATORS: dict[str, tuple[Operator, ...]] = {
    "text": get_args(Operator),
    "number": (*_ORDERED, *_MISSING),
    "time": (*_ORDERED, *_MISSING),
    "bool": ("=", "!=", *_MISSING),
    LABELS: ("=", "!=", "in", "not in", *_MISSING),
}
_HOLDS = {"text": "text", "number": "numbers", "time": "times", "bool": "true or false", LABELS: "labels"}

# {x} is the field's expression, {marks} one `?` for each value.
_SQL: dict[Operator, str] = {
    "=": "coalesce({x} = ?, false)",
    "!=": "coalesce({x} <> ?, true)",
    "<": "coalesce({x} < ?, false)",
    "<=": "coalesce({x} <= ?, false)",
    ">": "coalesce({x} > ?, false)",
    ">=": "coalesce({x} >= ?, false)",
    "in": "coalesce({x} IN ({marks}), false)",
    "not in": "coalesce({x} NOT IN ({marks}), true)",
    "between": "coalesce({x} BETWEEN ? AND ?, false)",
    "contains": contains_sql("{x}"),
    "matches": matches_sql("{x}"),
    "is missing": "({x} IS NULL)",
    "is not missing": "({x} IS NOT NULL)",
}

# What the `?` of a pattern are, from what was typed.
_PATTERNS: dict[Operator, Callable[[str], list[Any]]] = {
    "contains": lambda typed: list(contains_patterns(typed)),
    "matches": lambda typed: [typed_pattern(typed)],
}

_LABEL_SQL: dict[Operator, str] = {
    "=": "coalesce(list_contains({x}, ?), false)",
    "!=": "(NOT coalesce(list_contains({x}, ?), false))",
    "in": "coalesce(list_has_any({x}, [{marks}]), false)",
    "not in": "(NOT coalesce(list_has_any({x}, [{marks}]), false))",
    "is missing": "(coalesce(len({x}), 0) = 0)",
    "is not missing": "(coalesce(len({x}), 0) > 0)",
}


class Field(NamedTuple):
    """What a name of a condition stands for."""

    sql: str
    """DuckDB expression of the value; a time is a TIMESTAMP in UTC, ``labels`` a VARCHAR[]."""

    kind: Kind
    """How typed values are read: ``number``, ``bool`` and ``time`` convert them."""


class Compiled(NamedTuple):
    """A DuckDB expression that is true or false, never null."""

    sql: str
    """One ``?`` for each parameter."""

    params: list[Any]
    """In the order of their ``?``."""


def parse_where(text: str) -> Condition:
    """The condition that a person typed.

    Raises:
        QueryError: It cannot be read (quotes the column and the word, and says what was expected),
            is longer than ``MAX_CHARACTERS`` or nests deeper than ``MAX_DEPTH``.
    """
    reader = Reader(text)
    condition = reader.read_condition()
    reader.read_end("`and`, `or` or the end")
    check_length(format_where(condition))  # what is stored as text can be read again
    return condition


def compile_where(condition: Condition, fields: Mapping[str, Field]) -> Compiled:
    """The condition as a DuckDB expression that is true or false of every row, never null.

    Args:
        condition: From ``parse_where``.
        fields: What each name stands for. Beside the columns of the data these names are used:
            ``text``, ``status``, ``reason``, ``actor``, ``labels``, ``has_conflict``; and for each
            query that ``queries_of`` lists ``score:<id>``, ``top_share:<id>``, ``bottom_share:<id>``
            (rank ÷ number of scored examples), ``top_rank:<id>`` and ``bottom_rank:<id>`` (1 =
            highest and lowest score; equal scores rank by id). An example without a score is null.

    Raises:
        QueryError: A name is unknown (lists the known ones), a value does not fit the kind of its
            field, or a regular expression is not one.
    """
    match condition:
        case Or(parts):
            return _joined(" OR ", parts, fields)
        case And(parts):
            return _joined(" AND ", parts, fields)
        case Not(part):
            sql, params = compile_where(part, fields)
            return Compiled(f"(NOT {sql})", params)
        case Extreme():
            return _compile_extreme(condition, fields)
        case Comparison():
            return _compile_comparison(condition, fields)
    raise AssertionError(f"not a condition: {condition!r}")


def _joined(connective: str, parts: tuple[Condition, ...], fields: Mapping[str, Field]) -> Compiled:
    pieces: list[str] = []
    all_params: list[Any] = []
    for part in parts:
        sql, params = compile_where(part, fields)
        pieces.append(sql)
        all_params += params
    return Compiled(f"({connective.join(pieces)})", all_params)


def _compile_extreme(condition: Extreme, fields: Mapping[str, Field]) -> Compiled:
    measure = "share" if condition.is_share else "rank"
    field = _field(f"{condition.side}_{measure}", condition.query, fields)
    # Dividing in decimal keeps `0.7 %` the double nearest to 7/1000, which is also what rank / N gives.
    limit = float(condition.amount / 100) if condition.is_share else int(condition.amount)
    return Compiled(f"coalesce({field.sql} <= ?, false)", [limit])


def _compile_comparison(comparison: Comparison, fields: Mapping[str, Field]) -> Compiled:
    field = _field(comparison.name, comparison.query, fields)
    kind = LABELS if comparison.name == LABELS else field.kind
    if comparison.operator not in _OPERATORS[kind]:
        raise QueryError(
            f"`{comparison.operator}` does not apply to {_HOLDS[kind]}, as in `{shortened(str(comparison), 60)}`: "
            f"use one of {', '.join(_OPERATORS[kind])}."
        )
    if comparison.operator == "matches":
        _check_pattern(comparison.values[0])
    read = _READERS.get(kind, _text_of)
    params = [read(value, comparison) for value in comparison.values]
    if comparison.operator in _PATTERNS:
        params = _PATTERNS[comparison.operator](comparison.values[0])
    sql = (_LABEL_SQL if kind == LABELS else _SQL)[comparison.operator]
    # DuckDB orders NaN above every number, so `score > 0` would hold.
    x = f"(CASE WHEN isnan(CAST({field.sql} AS DOUBLE)) THEN NULL ELSE {field.sql} END)"
    return Compiled(
        sql.format(x=x if kind == "number" else f"({field.sql})", marks=", ".join("?" * len(params))), params
    )


def _field(name: str, query: str | None, fields: Mapping[str, Field]) -> Field:
    key = name if query is None else f"{name}:{query}"
    if key in fields:
        return fields[key]
    if query is not None:
        known = [other.removeprefix(f"{name}:") for other in fields if other.startswith(f"{name}:")]
        raise QueryError(
            f"query `{shortened(query)}` has no scores to filter by, those that have: {_listed(known)}. Ask it "
            "first, or name another."
        )
    if name == "score":
        raise QueryError(
            "there is no column `score`: to filter by the scores of a query, name it, as in score > 0.5 for query 7."
        )
    shown = LABEL if name == LABELS else name
    columns = [LABEL if other == LABELS else other for other in fields if not other.startswith(_OF_QUERIES)]
    near = difflib.get_close_matches(shown.casefold(), [other.casefold() for other in columns], n=1)
    guess = next((f", did you mean `{other}`?" for other in columns if other.casefold() in near), ".")
    raise QueryError(f"there is no field `{shortened(shown)}`{guess} The fields are {_listed(columns)}.")


def _listed(names: list[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{shortened(name)}`" for name in names[:most]) + more or "none"


@lru_cache(maxsize=256)
def _check_pattern(pattern: str) -> None:
    if len(pattern) > MAX_PATTERN:
        raise QueryError(
            f"a regular expression has at most {MAX_PATTERN:,} characters, this one has {len(pattern):,}: shorten "
            "it, or use `contains`."
        )
    try:
        with duckdb.connect(config=_OFFLINE) as connection:
            connection.sql("SELECT regexp_matches('', ?)", params=[pattern]).fetchall()
    except duckdb.Error as error:
        cause = str(error).partition(": ")[2]
        raise QueryError(
            f"`{shortened(pattern)}` is not a regular expression ({cause}): correct it, or use `contains` to look "
            "for these characters."
        ) from error


def _text_of(value: str, comparison: Comparison) -> str:
    return value


def _number_of(value: str, comparison: Comparison) -> int | float:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return int(value)
    if re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", value):
        number = float(value)
        if math.isfinite(number):
            return number
    raise _unreadable(value, comparison, "numbers", "a number such as 2020 or 0.5")


def _bool_of(value: str, comparison: Comparison) -> bool:
    if value.casefold() in ("true", "false"):
        return value.casefold() == "true"
    raise _unreadable(value, comparison, "true or false", "true or false")


def _time_of(value: str, comparison: Comparison) -> datetime:
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError) as error:
        raise _unreadable(value, comparison, "times", "a date such as 2026-03-01 or 2026-03-01T14:30") from error


def _unreadable(value: str, comparison: Comparison, holds: str, example: str) -> QueryError:
    where = shortened(str(comparison), 80)
    return QueryError(
        f"`{comparison.name}` holds {holds}, got `{shortened(value)}` in `{where}`: compare it with {example}."
    )


_READERS: dict[str, Callable[[str, Comparison], Any]] = {"number": _number_of, "bool": _bool_of, "time": _time_of}
