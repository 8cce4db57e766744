"""A journal as a file of its own, of one moment, while others go on writing; and back into a database.

Whatever the database, the copy is an SQLite journal: of an SQLite file its pages, of a PostgreSQL database its rows.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from lorif_core.errors import JournalError
from lorif_core.journal.chain import ROWS_AT_ONCE, digest_at
from lorif_core.journal.database import is_empty_database, open_engine, reading, writing
from lorif_core.journal.journal import Journal
from lorif_core.journal.journal_tables import (
    BatchRow,
    EventRow,
    IdentityRow,
    JobRow,
    JournalRow,
    LinkRow,
    RevisionRow,
    WorkspaceRow,
)
from lorif_core.journal.last_seen import Seen
from lorif_core.journal.locations import parse_location, plain_place

PAGES_AT_ONCE = 4_096

NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE")

Steps = Callable[[int, int], None]
"""(done, total) of pages or rows."""


@contextmanager
def copying(engine: Engine, place: str) -> Generator[Callable[[Path, Steps], Seen], None, None]:
    """Hold one moment of a journal; what is yielded writes it to a new file and says what is in it.

    Args:
        engine: Of the journal.
        place: Where it is, without a password.

    Raises:
        JournalError: The journal cannot be read, or is not the workspace's own.
        ResourceError: The disk is full.
    """
    with reading(engine) as connection:
        seen = _standing(connection, place)  # the first query fixes the moment

        def copy(path: Path, on_step: Steps) -> Seen:
            if connection.dialect.name == "sqlite":
                _copy_pages(connection, path, on_step)
            else:
                with Journal(path) as copied:
                    _replace_rows(connection, copied, on_step)
            _leave_one_file(path)
            return seen

        yield copy


def fill_database(path: Path, address: str, on_step: Steps) -> None:
    """Write the journal in a file into the PostgreSQL database at an address, all of it or nothing.

    Raises:
        JournalError: It holds a journal already, or cannot be used.
    """
    if isinstance(parse_location(address), Path):
        raise JournalError(f"decisions are restored into a PostgreSQL database, got the file {address!r}.")
    if not _is_unused(address):
        raise JournalError(
            f"{plain_place(address)!r} holds a journal already, and decisions are restored into an empty database: "
            "make one with `createdb`."
        )
    engine = open_engine(path)
    try:
        with reading(engine) as connection, Journal(address) as target:
            _replace_rows(connection, target, on_step)
    finally:
        engine.dispose()


def _is_unused(address: str) -> bool:
    """Whether a database holds no journal, or one that nobody has used: a restore before this one was stopped."""
    place = parse_location(address)
    if isinstance(place, URL) and is_empty_database(place):
        return True
    with Journal(address) as found, reading(found.engine) as connection:
        used = (select(func.count()).select_from(row) for row in (BatchRow, LinkRow, JobRow, WorkspaceRow))
        return not any(connection.scalar(count) for count in used)


def _standing(connection: Connection, place: str) -> Seen:
    number = connection.execute(select(RevisionRow.number)).scalar_one()
    identity = connection.execute(select(IdentityRow.journal_id)).scalar_one()
    return Seen(identity, number, digest_at(connection, number) or "", place)


def _copy_pages(connection: Connection, path: Path, on_step: Steps) -> None:
    source = connection.connection.driver_connection
    assert isinstance(source, sqlite3.Connection)
    try:
        with closing(sqlite3.connect(path)) as target:
            source.backup(
                target, pages=PAGES_AT_ONCE, progress=lambda _, left, total: on_step(total - left, max(total, 1))
            )
    except sqlite3.Error as error:
        if error.sqlite_errorname.startswith(NO_ROOM):  # only the copy is written to
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise DBAPIError(None, None, error) from error


def _leave_one_file(path: Path) -> None:
    """No log and no lock beside it."""
    with closing(sqlite3.connect(path)) as target:
        target.execute("PRAGMA journal_mode = DELETE").close()
    path.with_name(path.name + ".lock").unlink(missing_ok=True)


def _replace_rows(source: Connection, target: Journal, on_step: Steps) -> None:
    tables = JournalRow.metadata.sorted_tables
    total = sum(source.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
    done = 0
    with writing(target.engine) as connection:
        for table in reversed(tables):
            connection.execute(delete(table))
        for table in tables:
            order = list(table.primary_key.columns)
            rows = source.execute(select(table).order_by(*order).execution_options(yield_per=ROWS_AT_ONCE))
            with rows:
                for part in rows.mappings().partitions():
                    connection.execute(insert(table), [dict(row) for row in part])
                    done += len(part)
                    on_step(done, max(total, 1))
        if connection.dialect.name == "postgresql":
            highest = select(func.max(EventRow.event_id)).scalar_subquery()
            sequence = text("pg_get_serial_sequence('event', 'event_id')")
            connection.execute(select(func.setval(sequence, func.coalesce(highest, 1))))
