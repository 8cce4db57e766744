"""Whether a journal is whole: its database, its revisions without a gap, and the chain over what was written."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from heapq import merge
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, and_, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import aliased

from lorif_core.errors import JournalError
from lorif_core.journal.chain import digest_of_batch, digest_of_words, iter_batches
from lorif_core.journal.database import reading
from lorif_core.journal.journal_tables import BatchRow, EventRow, LinkRow, RevisionRow

MOST_SENTENCES = 10
ROWS_AT_ONCE = 10_000
WORDS = select(LinkRow.revision, LinkRow.digest, LinkRow.kind, LinkRow.said).order_by(LinkRow.revision)
TARGET = aliased(EventRow, name="target")
TAKEN = aliased(BatchRow, name="taken")

REMEDY = "restore a backup with `lorif restore-backup`"


def check_journal(engine: Engine) -> list[str]:
    """What is wrong, in sentences; empty if nothing is.

    Reads everything, beside others that write. A journal that cannot be read, or is not the workspace's own, is one
    sentence too.
    """
    found: list[str] = []
    try:
        with reading(engine) as connection:
            found += _database_problems(connection)
            if not found:
                found += [*_breaks(connection), *_strange_acts(connection)]
    except JournalError as error:
        return found or [str(error)]
    return found


def _database_problems(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    try:
        said = list(connection.execute(text(f"PRAGMA integrity_check({MOST_SENTENCES})")).scalars())
    except DatabaseError as error:
        said = [str(error.orig)]
    return [f"the journal is damaged: {REMEDY}. SQLite says: {' '.join(one.split())}" for one in said if one != "ok"]


def _breaks(connection: Connection) -> Iterator[str]:
    """The first place where the chain does not hold; behind it nothing can be said."""
    last = connection.execute(select(RevisionRow.number)).scalar_one()
    previous, count = "", 0
    with ExitStack() as open_until:
        words = open_until.enter_context(connection.execute(WORDS.execution_options(yield_per=ROWS_AT_ONCE)))
        batches = open_until.enter_context(closing(iter_batches(connection)))
        of_batches = ((row["revision"], row, train_ids) for row, train_ids in batches)
        of_words = ((row["revision"], row, None) for row in words.mappings())
        for revision, row, train_ids in merge(of_batches, of_words, key=itemgetter(0)):
            if revision != count + 1:
                problem = "is missing" if revision > count + 1 else "is there twice"
            elif train_ids is None:
                problem = _problem_of_words(previous, row)
            else:
                problem = _problem_of(previous, row, train_ids)
            if problem is not None:
                yield f"revision {min(revision, count + 1):,} of the journal {problem}: {REMEDY}."
                return
            previous, count = row["digest"], revision
    if count != last:
        yield f"the journal counts {last:,} revisions and holds {count:,}: {REMEDY}."


def _problem_of(previous: str, row: Mapping[Any, Any], train_ids: list[str]) -> str | None:
    if len(train_ids) != row["num_events"]:
        return f"names {row['num_events']:,} texts and holds {len(train_ids):,}"
    is_right = row["digest"] == digest_of_batch(previous, row, train_ids)
    return None if is_right else f"({row['kind']} by {row['actor']!r}) is not what was written"


def _problem_of_words(previous: str, row: Mapping[Any, Any]) -> str | None:
    is_right = row["digest"] == digest_of_words(previous, row["revision"], row["kind"], row["said"])
    return None if is_right else f"({row['kind']}) is not what was written"


def _strange_acts(connection: Connection) -> Iterator[str]:
    """Acts that do not take back, or bring back, just what they name."""
    same = and_(
        TARGET.event_id == EventRow.undoes,
        TARGET.batch_id == BatchRow.of_batch,
        TARGET.train_id == EventRow.train_id,
    )
    strange = (
        select(BatchRow.revision)
        .join(TAKEN, TAKEN.batch_id == BatchRow.of_batch)
        .join(EventRow, EventRow.batch_id == BatchRow.batch_id)
        .outerjoin(TARGET, same)
        .where(TARGET.event_id.is_(None) | (BatchRow.num_events != TAKEN.num_events))
        .distinct()
        .order_by(BatchRow.revision)
        .limit(MOST_SENTENCES)
    )
    for revision in connection.scalars(strange):
        yield f"revision {revision:,} of the journal takes back other texts than the act that it names: {REMEDY}."
