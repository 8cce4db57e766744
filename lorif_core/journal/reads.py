"""The present state and the past of a journal, as frames and plain values.

The state of a whole corpus is reduced from its events by Polars, which takes a tenth of the time that the
view ``example_state`` of the database needs for a million of them; that view is there for whoever looks in
with SQL, and a test holds the two to the same answer.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, and_, case, func, select

from lorif_core.errors import JournalError
from lorif_core.journal.acts import ACT, BATCH_COLUMNS, BATCH_FIELDS, IS_UNDONE, batch_of
from lorif_core.journal.entries import STATUS_OF, Batch, ExampleEvent, HistoryEntry, Status
from lorif_core.journal.journal_tables import BatchRow, EventRow

AnySelect = Select[*tuple[Any, ...]]

STATES_SCHEMA: dict[str, Any] = {
    "train_id": pl.String(),
    "status": pl.String(),
    "reason": pl.String(),
    "text": pl.String(),
    "actor": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "query_id": pl.String(),
    "batch_id": pl.String(),
    "rule": pl.String(),
    "has_conflict": pl.Boolean(),
    "labels": pl.List(pl.String()),
    "num_notes": pl.Int64(),
}
"""Columns of the frame of states."""

CONFLICT_COLUMNS = ("train_id", "actor", "status", "reason", "text", "at", "query_id", "batch_id")
"""Columns of the frame of conflicts, of the same types."""

EVENT_SCHEMA: dict[str, Any] = {"event_id": pl.Int64(), "train_id": pl.String(), "revision": pl.Int64()}

BATCH_SCHEMA: dict[str, Any] = {
    "revision": pl.Int64(),
    "actor": pl.String(),
    "kind": pl.String(),
    "settles": pl.Boolean(),
    "label": pl.String(),
}
"""What of a batch decides about states."""

LOOKED_UP_SCHEMA = BATCH_SCHEMA | {"corpus_id": pl.String(), "of_batch": pl.String()}

LABEL = case((BatchRow.kind.in_(["label", "unlabel"]), BatchRow.text)).label("label")
STATE_COLUMNS = [LABEL if name == "label" else getattr(BatchRow, name) for name in BATCH_SCHEMA]
EVENTS = select(EventRow.event_id, EventRow.train_id, BatchRow.revision).join(
    BatchRow, BatchRow.batch_id == EventRow.batch_id
)

DETAILS_SCHEMA: dict[str, Any] = {"revision": pl.Int64()} | {
    name: STATES_SCHEMA[name] for name in ("batch_id", "at", "reason", "text", "query_id", "rule")
}
"""What a batch says besides."""

ROWS_AT_ONCE = 65_536

MOST_LOOKED_UP = 2_000
"""So many examples are looked up by the index; for more, the whole corpus is read once."""

BATCHES_PER_QUERY = 10_000
"""Numbers of batches in one statement; SQLite takes 32,766 and PostgreSQL 65,535 parameters."""


def read_states(connection: Connection, corpus_id: str, train_ids: Iterable[str] | None) -> pl.DataFrame:
    """State of every example with an event, or of those among ``train_ids``, in the order of the ids."""
    return _reduced(connection, _events(connection, corpus_id, None if train_ids is None else list(train_ids)))


def read_states_since(connection: Connection, corpus_id: str, revision: int) -> pl.DataFrame:
    """State of every example with an event of a later revision; whatever came before those counts, too."""
    # Nothing about the corpus here, nor below where examples are looked up: SQLite would rather go through all
    # batches of the corpus.
    since = select(BatchRow.batch_id).where(BatchRow.revision > revision)
    touched = select(EventRow.train_id).where(EventRow.batch_id.in_(since)).distinct()
    return _reduced(connection, _events(connection, corpus_id, list(connection.scalars(touched))))


def read_conflicts(connection: Connection, corpus_id: str, disputed: Sequence[str]) -> pl.DataFrame:
    """What each person says at present about every example on which people disagree, oldest first."""
    events = _events(connection, corpus_id, list(disputed))
    standing = _standing(events.filter(~pl.col("is_undone")))
    return _with_details(connection, standing).sort("train_id", "event_id").select(CONFLICT_COLUMNS)


def counts_of(states: pl.DataFrame) -> dict[Status, int]:
    """Number of examples of each status, among those with a live decision."""
    counted = states.filter(pl.col("batch_id").is_not_null())["status"].value_counts()
    return dict.fromkeys(STATUS_OF.values(), 0) | dict(counted.rows())


def read_acts(connection: Connection, corpus_id: str, first: int, last: int) -> list[dict[str, Any]]:
    """The fields of every batch from a revision to another one, newest first, undone or not."""
    # Of all corpora: asked for one, SQLite would go through all its batches, and sort them.
    acts = select(*BATCH_COLUMNS).where(BatchRow.revision.between(first, last)).order_by(BatchRow.revision.desc())
    rows = (dict(zip(BATCH_FIELDS, row, strict=True)) for row in connection.execute(acts))
    return [row for row in rows if row["corpus_id"] == corpus_id]


def read_first_examples(connection: Connection, batch_ids: Sequence[str]) -> dict[str, str]:
    """Batch → its first example, in the order in which it was given them."""
    first = (
        select(func.min(EventRow.event_id)).where(EventRow.batch_id.in_(list(batch_ids))).group_by(EventRow.batch_id)
    )
    rows = select(EventRow.batch_id, EventRow.train_id).where(EventRow.event_id.in_(first))
    return {row.batch_id: row.train_id for row in connection.execute(rows)}


def read_history(
    connection: Connection,
    corpus_id: str,
    *,
    train_id: str | None,
    actor: str | None,
    kind: str | None,
    batch_id: str | None,
    limit: int,
    before: int | None,
) -> list[HistoryEntry]:
    """Batches that meet every condition given, newest first."""
    if limit < 1:
        raise JournalError(f"the history shows at least 1 entry, got a limit of {limit}.")
    conditions = {"actor": actor, "kind": kind, "batch_id": batch_id}
    statement = select(*BATCH_COLUMNS, IS_UNDONE.label("is_undone")).where(
        BatchRow.corpus_id == corpus_id,
        *(getattr(BatchRow, name) == value for name, value in conditions.items() if value is not None),
    )
    if train_id is not None:
        statement = statement.where(BatchRow.batch_id.in_(_batches_about(train_id)))
    if before is not None:
        statement = statement.where(BatchRow.revision < before)
    rows = connection.execute(statement.order_by(BatchRow.revision.desc()).limit(limit))
    return [HistoryEntry(batch=batch_of(row), is_undone=bool(row.is_undone)) for row in rows]


def read_events(connection: Connection, corpus_id: str, train_id: str) -> list[ExampleEvent]:
    """Everything that happened to one example, newest first."""
    rows = connection.execute(
        select(*BATCH_COLUMNS, EventRow.event_id, EventRow.undoes)
        .join(EventRow, EventRow.batch_id == BatchRow.batch_id)
        .where(EventRow.train_id == train_id, BatchRow.corpus_id == corpus_id)
        .order_by(EventRow.event_id)
    ).all()
    decisions: dict[int, Batch] = {}
    undone: set[int] = set()
    steps: list[tuple[int, Batch, Status, Status]] = []
    status: Status = "kept"
    for row in rows:
        batch, before = batch_of(row), status
        if batch.kind == "undo":
            undone.add(row.undoes)
        elif batch.kind == "redo":
            undone.discard(row.undoes)
        elif batch.kind in STATUS_OF:
            decisions[row.event_id] = batch
        status = _status_after(decisions, undone)
        steps.append((row.event_id, batch, before, status))
    return [
        ExampleEvent(
            event_id=event_id, batch=batch, is_undone=event_id in undone, status_before=before, status_after=after
        )
        for event_id, batch, before, after in reversed(steps)
    ]


def _status_after(decisions: dict[int, Batch], undone: set[int]) -> Status:
    live = [event_id for event_id in decisions if event_id not in undone]
    return STATUS_OF[decisions[max(live)].kind] if live else "kept"


def _events(connection: Connection, corpus_id: str, ids: list[str] | None) -> pl.DataFrame:
    """Decisions, notes and labels in the order of the journal, undone or not, of all examples or of some.

    Of their batches comes along what decides about the state. What a batch says besides, and when it was, is
    read for those alone that give a state: ``_with_details``.
    """
    if ids is None or len(ids) > MOST_LOOKED_UP:
        events, batches = _all_events(connection, corpus_id)
    else:
        events, batches = _events_of(connection, corpus_id, ids)
    frame = events.join(batches, on="revision", how="inner")
    if ids is not None:
        frame = frame.join(pl.DataFrame({"train_id": ids}, {"train_id": pl.String()}), on="train_id", how="semi")
    undone = _frame(connection, _undone(corpus_id), {"revision": pl.Int64()})["revision"]
    status = pl.col("kind").replace_strict(STATUS_OF, default=None, return_dtype=pl.String())
    is_undone = pl.col("revision").is_in(undone.implode())
    return frame.sort("event_id").with_columns(status.alias("status"), is_undone.alias("is_undone"))


def _all_events(connection: Connection, corpus_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    is_decision = and_(BatchRow.corpus_id == corpus_id, BatchRow.of_batch.is_(None))
    batches = select(*STATE_COLUMNS).where(is_decision)
    return _frame(connection, EVENTS.where(is_decision), EVENT_SCHEMA), _frame(connection, batches, BATCH_SCHEMA)


def _events_of(connection: Connection, corpus_id: str, ids: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    events = _frame(connection, EVENTS.where(EventRow.train_id.in_(ids)), EVENT_SCHEMA)
    batches = _batches_at(connection, events["revision"], LOOKED_UP_SCHEMA)
    is_decision = pl.col("corpus_id") == corpus_id, pl.col("of_batch").is_null()
    return events, batches.filter(*is_decision).drop("corpus_id", "of_batch")


def _batches_at(connection: Connection, revisions: pl.Series, schema: dict[str, Any]) -> pl.DataFrame:
    """The columns of a schema for the batches of these revisions."""
    columns = [LABEL if name == "label" else getattr(BatchRow, name) for name in schema]
    numbers = revisions.unique().to_list()
    parts = [
        _frame(
            connection,
            select(*columns).where(BatchRow.revision.in_(numbers[start : start + BATCHES_PER_QUERY])),
            schema,
        )
        for start in range(0, len(numbers), BATCHES_PER_QUERY)
    ]
    return pl.concat([pl.DataFrame(schema=schema), *parts])


def _undone(corpus_id: str) -> AnySelect:
    """Revisions of the batches that are taken back: what was last done to them is an undo."""
    last = (
        select(BatchRow.of_batch, func.max(BatchRow.revision).label("revision"))
        .where(BatchRow.of_batch.is_not(None))
        .group_by(BatchRow.of_batch)
        .subquery()
    )
    return (
        select(BatchRow.revision)
        .join(last, last.c.of_batch == BatchRow.batch_id)
        .join(ACT, ACT.revision == last.c.revision)
        .where(ACT.kind == "undo", BatchRow.corpus_id == corpus_id)
    )


def _reduced(connection: Connection, events: pl.DataFrame) -> pl.DataFrame:
    """The state of each example that the events are about."""
    live = events.filter(~pl.col("is_undone"))
    standing = _standing(live)
    latest = _with_details(connection, standing.unique("train_id", keep="last"))
    disputed = _disputed(standing)
    return (
        events.select("train_id")
        .unique()
        .sort("train_id")
        .join(latest, on="train_id", how="left", maintain_order="left")
        .join(_labels(live), on="train_id", how="left", maintain_order="left")
        .join(_num_notes(live), on="train_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("status").fill_null("kept"),
            pl.col("train_id").is_in(disputed.implode()).alias("has_conflict"),
            pl.col("labels").fill_null([]),
            pl.col("num_notes").fill_null(0),
        )
        .select(*STATES_SCHEMA)
    )


def _with_details(connection: Connection, decisions: pl.DataFrame) -> pl.DataFrame:
    """Decisions with the reason, the time and so on of their batches."""
    details = _batches_at(connection, decisions["revision"], DETAILS_SCHEMA)
    return decisions.join(details, on="revision", how="left", maintain_order="left")


def _standing(live: pl.DataFrame) -> pl.DataFrame:
    """The latest decision of each person on each example, without those from before one that settles."""
    decisions = live.filter(pl.col("status").is_not_null())
    settled = decisions.filter("settles").group_by("train_id").agg(pl.col("event_id").max().alias("settled_id"))
    return (
        decisions.unique(["train_id", "actor"], keep="last", maintain_order=True)
        .join(settled, on="train_id", how="left", maintain_order="left")
        .filter(pl.col("event_id") >= pl.col("settled_id").fill_null(0))
    )


def _disputed(standing: pl.DataFrame) -> pl.Series:
    opinions = standing.select("train_id", "status").unique()
    return opinions.filter(pl.col("train_id").is_duplicated())["train_id"].unique()


def _labels(live: pl.DataFrame) -> pl.DataFrame:
    return (
        live.filter(pl.col("kind").is_in(["label", "unlabel"]))
        .unique(["train_id", "label"], keep="last", maintain_order=True)
        .filter(pl.col("kind") == "label")
        .group_by("train_id")
        .agg(pl.col("label").sort().alias("labels"))
    )


def _num_notes(live: pl.DataFrame) -> pl.DataFrame:
    notes = live.filter(pl.col("kind") == "note").group_by("train_id")
    return notes.agg(pl.len().cast(pl.Int64()).alias("num_notes"))


def _batches_about(train_id: str) -> AnySelect:
    return select(EventRow.batch_id).where(EventRow.train_id == train_id)


def _frame(connection: Connection, statement: AnySelect, schema: dict[str, Any]) -> pl.DataFrame:
    """Rows of a query, converted a part at a time: as Python objects they weigh many times the frame."""
    parts = connection.execute(statement).partitions(ROWS_AT_ONCE)
    frames = [
        pl.DataFrame(
            [
                pl.Series(name, values, dtype)
                for (name, dtype), values in zip(schema.items(), zip(*part, strict=True), strict=True)
            ]
        )
        for part in parts
    ]
    return pl.concat([pl.DataFrame(schema=schema), *frames])
