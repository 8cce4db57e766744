"""Conditions over examples, as a person types them, and their DuckDB SQL.

    source = forum and (year >= 2020 or lang in (de, fr, "pt-BR"))
    text contains "Sydney" and not decided by anna
    score in the top 1 % for query 7

``or`` binds weaker than ``and``, ``and`` weaker than ``not``. Logic is two-valued: a comparison
with a missing value is false, except ``!=`` and ``not in``, which are true, so that ``not
source = forum`` and ``source != forum`` mean the same. A number that is NaN counts as missing.

A condition is a tree of frozen dataclasses. Its text form is canonical: ``parse_where(str(c)) ==
c``, so a condition can be stored as text. In the SQL every typed value is a ``?`` parameter; all
else is a constant of this package or the caller's expression for a name, so nothing that a person
types becomes SQL.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, get_args
from zoneinfo import ZoneInfo

import duckdb

from lorif_core.corpus.conditions import (
    DECISION,
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
from lorif_core.corpus.literals import EXAMPLES, span_of
from lorif_core.corpus.names import Field, check_statuses, key_of
from lorif_core.corpus.reading import MAX_CHARACTERS, MAX_DEPTH, Reader, check_length, shortened
from lorif_core.corpus.text_patterns import contains_patterns, contains_sql, matches_sql, typed_pattern
from lorif_core.corpus.value_types import HOLDS, NUMBERS, SPREAD, Span, compared, present
from lorif_core.corpus.zones import zone_of_process
from lorif_core.errors import QueryError

__all__ = [
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "Compiled",
    "Condition",
    "Field",
    "compile_where",
    "format_where",
    "parse_where",
    "queries_of",
]

MAX_PATTERN = 1_000
"""Longest regular expression."""

_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

_LABELS = f"{DECISION}{LABELS}"
_ORDERED: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "between")
_MISSING: tuple[Operator, ...] = ("is missing", "is not missing")
_OPERATORS: dict[str, tuple[Operator, ...]] = {
    "text": get_args(Operator),
    **dict.fromkeys(SPREAD, (*_ORDERED, *_MISSING)),
    "bool": ("=", "!=", *_MISSING),
    LABELS: ("=", "!=", "in", "not in", *_MISSING),
}
_HOLDS: dict[str, str] = {
    **HOLDS,
    **dict.fromkeys(NUMBERS, "numbers"),
    **dict.fromkeys(("moment", "instant"), "times"),
    LABELS: "labels",
}

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


def compile_where(condition: Condition, fields: Mapping[str, Field], zone: ZoneInfo | None = None) -> Compiled:
    """The condition as a DuckDB expression that is true or false of every row, never null.

    Args:
        condition: From ``parse_where``.
        fields: What each full name stands for, see ``names``; and for each query that ``queries_of`` lists
            ``score:<id>``, ``top_share:<id>``, ``bottom_share:<id>`` (rank ÷ number of scored examples),
            ``top_rank:<id>`` and ``bottom_rank:<id>`` (1 = highest and lowest score; equal scores rank by id). An
            example without a score is null.
        zone: What times without a zone are meant in, where they are compared with instants; None: that of this
            process.

    Raises:
        QueryError: A name is unknown (lists the known ones) or means two things, a value does not fit the type of its
            field, or a regular expression is not one.
    """
    zone = zone or zone_of_process()
    match condition:
        case Or(parts):
            return _joined(" OR ", parts, fields, zone)
        case And(parts):
            return _joined(" AND ", parts, fields, zone)
        case Not(part):
            sql, params = compile_where(part, fields, zone)
            return Compiled(f"(NOT {sql})", params)
        case Extreme():
            return _compile_extreme(condition, fields)
        case Comparison():
            return _compile_comparison(condition, fields, zone)
    raise AssertionError(f"not a condition: {condition!r}")


def _joined(connective: str, parts: tuple[Condition, ...], fields: Mapping[str, Field], zone: ZoneInfo) -> Compiled:
    pieces: list[str] = []
    all_params: list[Any] = []
    for part in parts:
        sql, params = compile_where(part, fields, zone)
        pieces.append(sql)
        all_params += params
    return Compiled(f"({connective.join(pieces)})", all_params)


def _compile_extreme(condition: Extreme, fields: Mapping[str, Field]) -> Compiled:
    measure = "share" if condition.is_share else "rank"
    named = Comparison(f"{condition.side}_{measure}", "<=", (), condition.query)
    field = fields[key_of(named, fields)]
    # Dividing in decimal keeps `0.7 %` the double nearest to 7/1000, which is also what rank / N gives.
    limit = float(condition.amount / 100) if condition.is_share else int(condition.amount)
    return Compiled(f"coalesce({field.sql} <= ?, false)", [limit])


def _compile_comparison(comparison: Comparison, fields: Mapping[str, Field], zone: ZoneInfo) -> Compiled:
    key = key_of(comparison, fields)
    field = fields[key]
    kind = LABELS if key == _LABELS else field.value.kind
    if comparison.operator not in _OPERATORS[kind]:
        raise QueryError(
            f"`{comparison.operator}` does not apply to {_HOLDS[kind]}, as in `{shortened(str(comparison), 60)}`: "
            f"use one of {', '.join(_OPERATORS[kind])}."
        )
    if comparison.operator == "matches":
        _check_pattern(comparison.values[0])
    if key == f"{DECISION}status":
        check_statuses(comparison)
    x = present(field.sql, field.value)
    if kind in SPREAD and comparison.operator not in _MISSING:
        spans = [_span_of(typed, comparison, field, zone) for typed in comparison.values]
        return Compiled(*compared(x, field.value, comparison.operator, spans))
    sql = (_LABEL_SQL if kind == LABELS else _SQL)[comparison.operator]
    params: list[Any] = [_bool_of(typed, comparison) if kind == "bool" else typed for typed in comparison.values]
    if comparison.operator in _PATTERNS:
        params = _PATTERNS[comparison.operator](comparison.values[0])
    return Compiled(sql.format(x=x, marks=", ".join("?" * len(params))), params)


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


def _bool_of(typed: str, comparison: Comparison) -> bool:
    if typed.casefold() in ("true", "false"):
        return typed.casefold() == "true"
    raise _unreadable(typed, comparison, HOLDS["bool"], EXAMPLES["bool"])


def _span_of(typed: str, comparison: Comparison, field: Field, zone: ZoneInfo) -> Span:
    span = span_of(typed, field.value, zone)
    if span is None:
        raise _unreadable(typed, comparison, _HOLDS[field.value.kind], EXAMPLES[field.value.kind])
    return span


def _unreadable(typed: str, comparison: Comparison, holds: str, example: str) -> QueryError:
    where = shortened(str(comparison), 80)
    return QueryError(
        f"`{comparison.name}` holds {holds}, got `{shortened(typed)}` in `{where}`: compare it with {example}."
    )
