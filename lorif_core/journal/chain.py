"""A chain over everything that was ever written: a digest per revision, of the one before and of what it wrote.

    digest of revision n  =  XXH3-128(digest of n - 1, n, kind, content of n)

So two journals that have the same digest at a revision have the same past up to there, and a revision that is
missing, changed or put in later breaks the chain at its place. The content of a batch is its own row and the ids
of its examples; an act that takes a batch back concerns just the examples of that batch, which ``check_journal``
compares. Other revisions (roles, reasons, a journal begun anew) say what they wrote in a row of their own.

It guards against damage and mix-ups, as every checksum here does; not against somebody who writes a new chain.
"""

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from lorif_core.files import start_hash
from lorif_core.journal.journal_tables import BatchRow, EventRow, LinkRow, RevisionRow

BATCH = "batch"
"""The kind of a revision that is a batch."""

UNSAID = "write"
"""The kind of a revision that says nothing: a role or reason from before there was a chain."""

CHAINED = (
    "batch_id corpus_id dataset_id actor kind reason text query_id rule settles of_batch num_events client_id"
).split()
"""Columns of a batch that its digest covers, beside time and revision."""

ROWS_AT_ONCE = 10_000

BATCH_ROWS = select(
    BatchRow.revision, BatchRow.at, BatchRow.digest, *(getattr(BatchRow, name) for name in CHAINED)
).order_by(BatchRow.revision)
EVENT_ROWS = select(EventRow.batch_id, EventRow.train_id).order_by(EventRow.event_id)

HEAD = "lorif_head"
"""Where a connection keeps the newest link of the chain, as far as its transaction knows it."""


class Link(NamedTuple):
    """One revision in the chain."""

    revision: int
    digest: str
    """Empty at 0, before anything was written."""


def next_batch_digest(connection: Connection, batch: Mapping[str, Any], train_ids: Iterable[str]) -> str:
    """Digest of a batch that is about to be written, as its columns by name."""
    digest = digest_of_batch(_digest_before(connection, batch["revision"]), batch, train_ids)
    connection.info[HEAD] = Link(batch["revision"], digest)
    return digest


def write_link(connection: Connection, revision: int, kind: str, said: Mapping[str, Any] | None = None) -> None:
    """Add a revision that is no batch to the chain, with what it wrote as JSON values."""
    words = None if said is None else json.dumps(said, ensure_ascii=False, sort_keys=True, default=str)
    digest = digest_of_words(_digest_before(connection, revision), revision, kind, words)
    connection.execute(insert(LinkRow).values(revision=revision, digest=digest, kind=kind, said=words))
    connection.info[HEAD] = Link(revision, digest)


def digest_of_batch(previous: str, batch: Mapping[Any, Any], train_ids: Iterable[str]) -> str:
    """Digest of a batch; the ids of one that takes another back are left out."""
    content = [batch["at"].astimezone(UTC).isoformat(), *(batch.get(name) for name in CHAINED)]
    digest = start_hash(_head_of(previous, batch["revision"], BATCH, content))
    if batch.get("of_batch") is None:
        for train_id in train_ids:
            digest.update(b"\0" + train_id.encode())
    return digest.hexdigest()


def digest_of_words(previous: str, revision: int, kind: str, words: str | None) -> str:
    """Digest of a revision that is no batch."""
    return start_hash(_head_of(previous, revision, kind, words)).hexdigest()


def digest_at(connection: Connection, revision: int) -> str | None:
    """Digest of a revision; None if there is none, which at 0 is as it should be."""
    batch = select(BatchRow.digest).where(BatchRow.revision == revision)
    link = select(LinkRow.digest).where(LinkRow.revision == revision)
    return connection.scalar(batch) or connection.scalar(link)


def chain_all(connection: Connection) -> None:
    """Make the chain of a journal that has none."""
    last = connection.execute(select(RevisionRow.number)).scalar_one()
    batches = iter_batches(connection)
    batch = next(batches, None)  # its end closes the cursors, for every batch is read
    digest, digests, links = "", list[dict[str, Any]](), list[dict[str, Any]]()
    for revision in range(1, last + 1):
        if batch is not None and batch[0]["revision"] == revision:
            digest = digest_of_batch(digest, *batch)
            digests.append({"of": batch[0]["batch_id"], "digest": digest})
            batch = next(batches, None)
        else:
            digest = digest_of_words(digest, revision, UNSAID, None)
            links.append({"revision": revision, "digest": digest, "kind": UNSAID})
    column = BatchRow.__table__.c.batch_id
    statement = (
        update(cast(Table, BatchRow.__table__)).where(column == bindparam("of")).values(digest=bindparam("digest"))
    )
    for start in range(0, len(digests), ROWS_AT_ONCE):
        connection.execute(statement, digests[start : start + ROWS_AT_ONCE])
    if links:
        connection.execute(insert(LinkRow), links)


def iter_batches(connection: Connection) -> Generator[tuple[Mapping[Any, Any], list[str]], None, None]:
    """Every batch in the order of the revisions, as the columns of ``BATCH_ROWS``, with the ids of its examples.

    Writers take turns, so events lie in the order of their batches; those that lie elsewhere are not found.
    """
    with ExitStack() as cursors:  # PostgreSQL keeps them open until they are closed
        events, rows = (
            cursors.enter_context(connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)))
            for query in (EVENT_ROWS, BATCH_ROWS)
        )
        event = next(events, None)
        for row in rows.mappings():
            train_ids: list[str] = []
            while event is not None and event.batch_id == row["batch_id"]:
                train_ids.append(event.train_id)
                event = next(events, None)
            yield row, train_ids


def _head_of(previous: str, revision: int, kind: str, content: Any) -> bytes:
    return json.dumps([previous, revision, kind, content], ensure_ascii=False, separators=(",", ":")).encode()


def _digest_before(connection: Connection, revision: int) -> str:
    """Empty where the digest is missing, which ``check_journal`` finds."""
    head: Link | None = connection.info.get(HEAD)
    if head is not None and head.revision == revision - 1:
        return head.digest
    return digest_at(connection, revision - 1) or ""
