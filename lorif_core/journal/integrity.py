"""Whether a journal is whole, without changing or locking it."""

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from lorif_core.journal.journal_tables import BatchRow, EventRow, RevisionRow

MOST_FAULTS = 10


def faults_of_engine(engine: Engine) -> list[str]:
    """What is wrong with a journal, a sentence each; empty where it is whole.

    Args:
        engine: On the journal, or on a copy of it. Nothing is migrated and nothing is written.
    """
    try:
        with engine.connect() as connection:
            found: list[str] = []
            if engine.dialect.name == "sqlite":
                said = connection.execute(text(f"PRAGMA integrity_check({MOST_FAULTS})")).scalars()
                found += [f"SQLite says: {' '.join(str(one).split())}" for one in said if one != "ok"]
                lost = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
                found += [f"{len(lost):,} events belong to no act"] if lost else []
            if not found:
                found += _miscounted(connection)
            return found
    except DBAPIError as error:
        return [f"it cannot be read: {str(error.orig).splitlines()[0]}"]


def _miscounted(connection: Connection) -> list[str]:
    events = select(EventRow.batch_id, func.count().label("found")).group_by(EventRow.batch_id).subquery()
    counted = (
        select(BatchRow.revision, BatchRow.num_events, func.coalesce(events.c.found, 0).label("found"))
        .outerjoin(events, events.c.batch_id == BatchRow.batch_id)
        .where(BatchRow.num_events != func.coalesce(events.c.found, 0))
        .order_by(BatchRow.revision)
        .limit(MOST_FAULTS)
    )
    found = [
        f"revision {row.revision:,} names {row.num_events:,} texts and holds {row.found:,}"
        for row in connection.execute(counted)
    ]
    number = connection.execute(select(RevisionRow.number)).scalar_one_or_none()
    newest, count = connection.execute(select(func.max(BatchRow.revision), func.count(BatchRow.revision))).one()
    if number is None or (newest or 0) > number or count > number:
        found.append(f"it counts {number} revisions and holds {count:,} acts, the newest of revision {newest or 0:,}")
    return found
