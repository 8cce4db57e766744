"""SQL of a filter: which rows of the examples pass it, and how they are ordered.

Everything that a person typed or chose is a ``?`` parameter; expressions come from the columns of the
file and from constants here. Decisions and scores are joined only where the filter or the order needs
them, because a join reads the ids of all examples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from lorif_core.corpus.conditions import DATA, DECISION, Condition
from lorif_core.corpus.connection import ROW, Call, Column, OpenExamples
from lorif_core.corpus.filters import Filter, Range, SideTables, SortKey, Value, check_typed
from lorif_core.corpus.literals import span_of, span_of_number
from lorif_core.corpus.names import Field
from lorif_core.corpus.pinning import pinned
from lorif_core.corpus.value_types import (
    BOOL,
    FLOAT,
    HOLDS,
    NUMBERS,
    SPREAD,
    TEXT,
    WHOLE,
    Compared,
    Span,
    ValueType,
    compared,
    present,
)
from lorif_core.corpus.where import compile_where, queries_of
from lorif_core.corpus.zones import zone_named
from lorif_core.errors import ArtefactError, QueryError
from lorif_core.system_failures import refuse_if_of_the_machine

DECISION_FIELDS = {
    "status": Field("coalesce(d.status, 'kept')", TEXT),
    "reason": Field("d.reason", TEXT),
    "actor": Field("d.actor", TEXT),
    "labels": Field("d.labels", TEXT),
    "has_conflict": Field("coalesce(d.has_conflict, false)", BOOL),
}
DECISION_TYPES: dict[str, Any] = {
    "train_id": pl.String,
    "status": pl.String,
    "reason": pl.String,
    "actor": pl.String,
    "labels": pl.List(pl.String),
    "has_conflict": pl.Boolean,
}

RANK_ORDERS = {"top": "score DESC, train_id", "bottom": "score, train_id"}
"""Side of a ranking → its order; rank 1 comes first."""


class Selection(NamedTuple):
    """Examples that pass a filter, as parts of a statement."""

    examples: OpenExamples
    """What they are examples of."""

    source: str
    """FROM clause; the examples are ``e``."""

    condition: str
    """True of the rows that pass."""

    params: list[Any]
    """Of the condition."""

    joined: Mapping[str, str]
    """Query id → name of its joined scores."""

    known_total: int | None
    """Examples that pass, where that is known without a query."""

    def sql(self, columns: str, tail: str = "") -> str:
        """A SELECT of these columns from the examples that pass."""
        return f"SELECT {columns} FROM {self.source} WHERE {self.condition} {tail}"


def select(
    call: Call,
    examples: OpenExamples,
    chosen: Filter,
    beside: SideTables,
    found: pl.DataFrame | None = None,
    sort: Sequence[SortKey] = (),
) -> Selection:
    """The examples that pass a filter; registers in the call what they are joined with.

    Args:
        call: In which the selection will be queried.
        examples: What is selected from.
        chosen: The filter; its search is ignored, ``found`` says what it found.
        beside: Decisions and scores.
        found: Column ``row`` of the rows that may pass, each once; None: all may.
        sort: The order that will be asked for; its scores are joined too.

    Raises:
        QueryError: The filter names an unknown column or query, or a value that its column cannot hold.
    """
    zone = zone_named(chosen.zone)
    parts: list[tuple[str, list[Any]]] = [
        _choice_sql(examples, name, choice, zone) for name, choice in chosen.choices.items()
    ]
    if chosen.statuses:
        statuses = sorted(chosen.statuses)
        parts.append((f"{DECISION_FIELDS['status'].sql} IN ({_marks(statuses)})", [*statuses]))
    queries = [] if chosen.where is None else queries_of(chosen.where)
    queries += [key.by for key in sort if key.of == "score"]
    joined = {query: f"s{number}" for number, query in enumerate(dict.fromkeys(queries)) if query in beside.scores}
    frames = {name: _score_frame(query, beside.scores[query]) for query, name in joined.items()}
    if chosen.where is not None:
        parts.append(compile_where(chosen.where, _fields(examples, joined, frames), zone))
    condition = " AND ".join(f"({sql})" for sql, _ in parts) or "true"

    source = "examples e"
    if found is not None:
        call.register("found", found)
        source += f" JOIN found f ON f.row = {ROW}"
    train_id = examples.columns["train_id"].sql
    if chosen.statuses or chosen.where is not None:
        call.register("decisions", _decision_frame(beside.decisions))
        source += f" LEFT JOIN decisions d ON d.train_id = {train_id}"
    for name, frame in frames.items():
        call.register(f"scores_{name}", frame)
        source += f" LEFT JOIN ({_scores_sql(name, condition)}) {name} ON {name}.train_id = {train_id}"
    return Selection(
        examples=examples,
        source=source,
        condition=condition,
        params=[param for _, params in parts for param in params],
        joined=joined,
        known_total=None if parts else examples.num_rows if found is None else found.height,
    )


def check_choices(examples: OpenExamples, chosen: Filter) -> None:
    """Refuse choices that no column has, also where they would be ignored.

    Raises:
        QueryError: A choice names an unknown column, or a value that its column cannot hold.
    """
    zone = zone_named(chosen.zone)
    for name, choice in chosen.choices.items():
        _choice_sql(examples, name, choice, zone)


def pinned_where(examples: OpenExamples, condition: Condition, zone: str | None) -> Condition:
    """A condition whose times say their zone where they are compared with instants, see ``pinning``."""
    queries = {query: "" for query in queries_of(condition)}
    frames = {name: pl.DataFrame({"train_id": [""]}) for name in queries.values()}
    return pinned(condition, _fields(examples, queries, frames), zone_named(zone))


def order_sql(selection: Selection, sort: Sequence[SortKey], *, is_reversed: bool = False) -> str:
    """ORDER BY of a total order: the keys, then the row; ``is_reversed`` gives exactly the opposite order.

    Raises:
        QueryError: A key names an unknown column or a query without scores.
    """
    missing = "FIRST" if is_reversed else "LAST"
    pieces = [
        f"{_KEY_SQL[key.of](selection, key.by)} {'DESC' if key.descending != is_reversed else 'ASC'} NULLS {missing}"
        for key in (*sort, SortKey(of="row"))
    ]
    return "ORDER BY " + ", ".join(pieces)


def _column_key(selection: Selection, name: str) -> str:
    column = selection.examples.fields.get(name)
    if column is None or name in selection.examples.columns:
        selection.examples.check_name(name)
        column = selection.examples.columns[name]
    return present(column.sql, column.value)


def _score_key(selection: Selection, query: str) -> str:
    if query not in selection.joined:
        raise QueryError(f"query {query!r} has no scores here to sort by: ask it first, or sort by another.")
    return f"{selection.joined[query]}.score"


_KEY_SQL: dict[str, Callable[[Selection, str], str]] = {
    "column": _column_key,
    "score": _score_key,
    "relevance": lambda selection, name: "f.relevance",
    "row": lambda selection, name: ROW,
}


def _choice_sql(
    examples: OpenExamples, name: str, choice: tuple[Value | None, ...] | Range, zone: ZoneInfo
) -> tuple[str, list[Any]]:
    examples.check_name(name)
    column = examples.columns[name]
    if isinstance(choice, Range):
        return _range_sql(name, column, choice, zone)
    values = [value for value in choice if value is not None and not _is_nan(value)]
    pieces: list[Compared] = []
    if column.type in SPREAD:
        # Without NaN: statistics of a Parquet file leave it out, so DuckDB finds it equal to the only number of a
        # row group.
        spans = [_span_of(name, column.value, value, zone) for value in values]
        if spans:
            pieces.append(compared(present(column.sql, column.value), column.value, "in", spans))
    else:
        for value in values:
            _check_value(name, column, value)
        if values:
            pieces.append(Compared(f"{column.sql} IN ({_marks(values)})", values))
    if any(map(_is_nan, choice)):
        pieces.append(Compared(f"isnan({column.sql})" if column.type == "float" else "false", []))
    pieces += [Compared(f"{column.sql} IS NULL", [])] if None in choice else []
    params = [param for piece in pieces for param in piece.params]
    return " OR ".join(piece.sql for piece in pieces) or "true", params


def _is_nan(value: Value | None) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _range_sql(name: str, column: Column, chosen: Range, zone: ZoneInfo) -> tuple[str, list[Any]]:
    if column.type not in SPREAD:
        raise QueryError(
            f"a range is of numbers or times, `{name}` holds {HOLDS[column.type]}: choose among its values."
        )
    limits = {">=": chosen.minimum, "<=" if chosen.includes_maximum else "<": chosen.maximum}
    x = present(column.sql, column.value)
    pieces = [
        compared(x, column.value, operator, [_span_of(name, column.value, limit, zone)])
        for operator, limit in limits.items()
        if limit is not None
    ]
    condition = " AND ".join([f"{x} IS NOT NULL", *(piece.sql for piece in pieces)])
    missing = f" OR {column.sql} IS NULL" if chosen.includes_missing else ""
    return f"({condition}){missing}", [param for piece in pieces for param in piece.params]


def _span_of(name: str, value_type: ValueType, value: Value, zone: ZoneInfo) -> Span:
    """The span of a value that a program chose."""
    span = None
    if value_type.kind in NUMBERS:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            span = span_of_number(Decimal(str(value)), value_type)
    elif isinstance(value, str | date | time | timedelta):
        span = span_of(_typed_time(value), value_type, zone)
    if span is None:
        raise _no_value(name, value_type, value)
    return span


def _typed_time(value: str | date | time | timedelta) -> str:
    if isinstance(value, timedelta):
        return f"{'-' if value < timedelta() else ''}{abs(value) // timedelta(microseconds=1)}us"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    return value if isinstance(value, str) else value.isoformat()


def _check_value(name: str, column: Column, value: Value) -> None:
    if not isinstance(value, bool if column.type == "bool" else str):
        raise _no_value(name, column.value, value)
    if isinstance(value, str):
        check_typed(value)


def _no_value(name: str, value_type: ValueType, value: Value) -> QueryError:
    return QueryError(f"`{name}` holds {HOLDS[value_type.kind]}, got {value!r}: choose among its values.")


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _decision_frame(decisions: pl.DataFrame | None) -> pl.DataFrame:
    found = pl.DataFrame(schema={"train_id": pl.String}) if decisions is None else decisions
    typed = [
        pl.col(name).cast(column_type) if name in found.columns else pl.lit(None, column_type).alias(name)
        for name, column_type in DECISION_TYPES.items()
    ]
    return _each_once(found.select(typed), "the decisions name")


def _score_frame(query: str, scores: pl.DataFrame | Path) -> pl.DataFrame:
    try:
        table = pl.scan_parquet(scores, glob=False) if isinstance(scores, Path) else scores.lazy()
        names = table.collect_schema().names()
        if "query_id" in names:
            table = table.filter(pl.col("query_id") == query)
        train_id = "train_id" if "train_id" in names else "example_id"
        frame = table.select(
            pl.col(train_id).cast(pl.String).alias("train_id"), pl.col("score").cast(pl.Float64)
        ).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(scores, Path):
            refuse_if_of_the_machine(error, scores)
        raise ArtefactError(
            f"the scores of query {query!r} cannot be read ({str(error).splitlines()[0]}): compute them again with "
            "`lorif score`."
        ) from error
    return _each_once(frame.filter(pl.col("score").is_not_nan()), f"the scores of query {query!r} name")


def _each_once(frame: pl.DataFrame, subject: str) -> pl.DataFrame:
    if frame["train_id"].n_unique() < frame.height:
        twice = frame.filter(pl.col("train_id").is_duplicated())["train_id"][0]
        raise QueryError(f"{subject} each text once, {twice!r} is there several times: pass one row for each.")
    return frame


def _scores_sql(name: str, condition: str) -> str:
    """Scores of one query, with the ranks that the condition asks for: each of them costs a sort."""
    ranks = [
        f"row_number() OVER (ORDER BY {order}) AS {side}_rank"
        for side, order in RANK_ORDERS.items()
        if f"{name}.{side}_rank" in condition
    ]
    return f"SELECT {', '.join(['train_id', 'score', *ranks])} FROM scores_{name}"


def _fields(
    examples: OpenExamples, joined: Mapping[str, str], frames: Mapping[str, pl.DataFrame]
) -> dict[str, Field]:
    """What the names of a condition stand for, by full names, see ``names``."""
    texts = ", ".join(examples.readable(name) for name in examples.file.text_columns)
    fields = {"text": Field(f"concat({texts})", TEXT)}
    for name, column in examples.fields.items():
        parent = next(one for one in examples.file.field_types if name.startswith(f"{one}."))
        fields[f"{DATA}{name}"] = Field(column.sql, column.value, parent)
    for name, column in examples.columns.items():
        sql = examples.readable(name) if name in examples.file.text_columns else column.sql
        fields[f"{DATA}{name}"] = Field(sql, column.value)
    fields |= {f"{DECISION}{name}": field for name, field in DECISION_FIELDS.items()}
    for query, name in joined.items():
        fields[f"score:{query}"] = Field(f"{name}.score", FLOAT)
        for side in RANK_ORDERS:
            fields[f"{side}_rank:{query}"] = Field(f"{name}.{side}_rank", WHOLE)
            fields[f"{side}_share:{query}"] = Field(f"({name}.{side}_rank / {frames[name].height})", FLOAT)
    return fields
