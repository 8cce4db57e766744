"""SQL of a filter: which rows of the examples pass it, and how they are ordered.

Everything that a person typed or chose is a ``?`` parameter; expressions come from the columns of the
file and from constants here. Decisions and scores are joined only where the filter or the order needs
them, because a join reads the ids of all examples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lorif_core.corpus.connection import ROW, Call, Column, ColumnType, OpenExamples
from lorif_core.corpus.filters import Filter, Range, SideTables, SortKey, Value, check_typed
from lorif_core.corpus.where import Field, compile_where, queries_of
from lorif_core.errors import ArtefactError, QueryError

DECISION_FIELDS = {
    "status": Field("coalesce(d.status, 'kept')", "text"),
    "reason": Field("d.reason", "text"),
    "actor": Field("d.actor", "text"),
    "labels": Field("d.labels", "text"),
    "has_conflict": Field("coalesce(d.has_conflict, false)", "bool"),
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
    parts = [_choice_sql(examples, name, choice) for name, choice in chosen.choices.items()]
    if chosen.statuses:
        statuses = sorted(chosen.statuses)
        parts.append((f"{DECISION_FIELDS['status'].sql} IN ({_marks(statuses)})", statuses))
    queries = [] if chosen.where is None else queries_of(chosen.where)
    queries += [key.by for key in sort if key.of == "score"]
    joined = {query: f"s{number}" for number, query in enumerate(dict.fromkeys(queries)) if query in beside.scores}
    frames = {name: _score_frame(query, beside.scores[query]) for query, name in joined.items()}
    if chosen.where is not None:
        parts.append(compile_where(chosen.where, _fields(examples, joined, frames)))
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
    for name, choice in chosen.choices.items():
        _choice_sql(examples, name, choice)


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
    selection.examples.check_name(name)
    column = selection.examples.columns[name]
    return f"CASE WHEN isnan({column.sql}) THEN NULL ELSE {column.sql} END" if column.type == "float" else column.sql


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


def _choice_sql(examples: OpenExamples, name: str, choice: tuple[Value | None, ...] | Range) -> tuple[str, list[Any]]:
    examples.check_name(name)
    column = examples.columns[name]
    if isinstance(choice, Range):
        return _range_sql(name, column, choice)
    for value in choice:
        if value is not None:
            _check_value(name, column.type, value)
    # Statistics of a Parquet file leave NaN out, so DuckDB finds it equal to the only number of a row group.
    values = [value for value in choice if value is not None and not _is_nan(value)]
    number = f" AND NOT isnan({column.sql})" if column.type == "float" else ""
    pieces = [f"({column.sql} IN ({_marks(values)}){number})"] if values else []
    pieces += [f"isnan({column.sql})"] if any(map(_is_nan, choice)) else []
    pieces += [f"{column.sql} IS NULL"] if None in choice else []
    return " OR ".join(pieces) or "true", values


def _is_nan(value: Value | None) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _range_sql(name: str, column: Column, chosen: Range) -> tuple[str, list[Any]]:
    if column.type not in ("int", "float"):
        raise QueryError(f"a range is of numbers, `{name}` holds {_HOLDS[column.type]}: choose among its values.")
    limits = {">=": chosen.minimum, "<=" if chosen.includes_maximum else "<": chosen.maximum}
    set_limits = {operator: limit for operator, limit in limits.items() if limit is not None}
    for limit in set_limits.values():
        _check_value(name, "float", limit)
    pieces = [f"{column.sql} IS NOT NULL", *(f"{column.sql} {operator} ?" for operator in set_limits)]
    pieces += [f"NOT isnan({column.sql})"] if column.type == "float" else []
    missing = f" OR {column.sql} IS NULL" if chosen.includes_missing else ""
    return f"({' AND '.join(pieces)}){missing}", list(set_limits.values())


_HOLDS: dict[ColumnType, str] = {"text": "text", "bool": "true or false", "int": "whole numbers", "float": "numbers"}
_MAX_NUMBER = 2**127


def _check_value(name: str, column_type: ColumnType, value: Value) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {"text": isinstance(value, str), "bool": isinstance(value, bool)}.get(column_type, is_number)
    if not fits or (isinstance(value, int) and abs(value) >= _MAX_NUMBER):
        raise QueryError(f"`{name}` holds {_HOLDS[column_type]}, got {value!r}: choose among its values.")
    if isinstance(value, str):
        check_typed(value)


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
        raise ArtefactError(
            f"the scores of query {query!r} cannot be read ({str(error).splitlines()[0]}): compute them again with "
            "`lorif score`."
        ) from error
    return _each_once(frame.filter(pl.col("score").is_not_nan()), f"the scores of query {query!r} name")


def _each_once(frame: pl.DataFrame, subject: str) -> pl.DataFrame:
    if frame["train_id"].n_unique() < frame.height:
        twice = frame.filter(pl.col("train_id").is_duplicated())["train_id"][0]
        raise QueryError(f"{subject} each example once, {twice!r} is there several times: pass one row for each.")
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
    """What the names of a condition stand for; a column whose name a decision has is ``data.NAME``."""
    texts = ", ".join(examples.readable(name) for name in examples.file.text_columns)
    fields = {"text": Field(f"concat({texts})", "text")}
    for name, column in examples.columns.items():
        kind = _FIELD_KINDS[column.type]
        sql = examples.readable(name) if name in examples.file.text_columns else column.sql
        fields[f"data.{name}" if name in DECISION_FIELDS else name] = Field(sql, kind)
    fields |= DECISION_FIELDS
    for query, name in joined.items():
        fields[f"score:{query}"] = Field(f"{name}.score", "number")
        for side in RANK_ORDERS:
            fields[f"{side}_rank:{query}"] = Field(f"{name}.{side}_rank", "number")
            fields[f"{side}_share:{query}"] = Field(f"({name}.{side}_rank / {frames[name].height})", "number")
    return fields


_FIELD_KINDS: dict[ColumnType, Any] = {"text": "text", "bool": "bool", "int": "number", "float": "number"}
