"""Who decided what, person by person: for progress, and for the agreement of people who saw the same texts."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, select

from lorif_core.journal.acts import IS_UNDONE
from lorif_core.journal.database import reading
from lorif_core.journal.entries import STATUS_OF
from lorif_core.journal.journal_tables import BatchRow, EventRow

LIVE_COLUMNS = ("at", "actor", "kind", "reason", "num_events")
LIVE_SCHEMA: dict[str, Any] = {
    "at": pl.Datetime("us", "UTC"),
    "actor": pl.String(),
    "kind": pl.String(),
    "reason": pl.String(),
    "num_texts": pl.Int64(),
}
"""Columns of the frame of acts."""

OPINION_SCHEMA: dict[str, Any] = {
    "train_id": pl.String(),
    "actor": pl.String(),
    "status": pl.String(),
    "reason": pl.String(),
    "at": pl.Datetime("us", "UTC"),
}
"""Columns of the frame of opinions."""

IDS_PER_QUERY = 2_000


def live_acts(engine: Engine, corpus_id: str) -> pl.DataFrame:
    """Every act that counts at present (no undo, nothing that is undone), oldest first; see ``LIVE_SCHEMA``."""
    wanted = (BatchRow.corpus_id == corpus_id, BatchRow.of_batch.is_(None), ~IS_UNDONE)
    columns = [getattr(BatchRow, name) for name in LIVE_COLUMNS]
    with reading(engine) as connection:
        rows = connection.execute(select(*columns).where(*wanted).order_by(BatchRow.revision)).all()
    return pl.DataFrame([tuple(row) for row in rows], schema=LIVE_SCHEMA, orient="row")


def opinions_since(engine: Engine, corpus_id: str, train_ids: Sequence[str], revision: int) -> pl.DataFrame:
    """The first decision of each person on each text after a revision; see ``OPINION_SCHEMA``.

    The first one, for it is the one that was made before people talked about it. What is undone does not count, nor
    what an admin settled: that is no opinion of its own.
    """
    with reading(engine) as connection:
        rows = [
            row
            for start in range(0, len(train_ids), IDS_PER_QUERY)
            for row in _rows(connection, corpus_id, train_ids[start : start + IDS_PER_QUERY], revision)
        ]
    first: dict[tuple[str, str], tuple[Any, ...]] = {}
    for train_id, actor, kind, reason, at in rows:
        first.setdefault((train_id, actor), (train_id, actor, STATUS_OF[kind], reason, at))
    return pl.DataFrame(list(first.values()), schema=OPINION_SCHEMA, orient="row")


def _rows(connection: Connection, corpus_id: str, ids: Sequence[str], revision: int) -> list[tuple[Any, ...]]:
    columns = (EventRow.train_id, BatchRow.actor, BatchRow.kind, BatchRow.reason, BatchRow.at)
    wanted = (
        EventRow.train_id.in_(ids),
        BatchRow.corpus_id == corpus_id,
        BatchRow.revision > revision,
        BatchRow.kind.in_(list(STATUS_OF)),
        ~BatchRow.settles,
        ~IS_UNDONE,
    )
    joined = select(*columns).join(BatchRow, BatchRow.batch_id == EventRow.batch_id)
    return [tuple(row) for row in connection.execute(joined.where(*wanted).order_by(EventRow.event_id))]
