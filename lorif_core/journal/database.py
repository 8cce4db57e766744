"""Opening a journal's database, and the two kinds of transactions that it serves.

Writers take turns: on SQLite by ``BEGIN IMMEDIATE`` behind a queue, on PostgreSQL by an advisory lock, so that
a writer may read, decide and write without another one coming between. Readers never wait: they see the
journal as it was when they began. A write is on the disk before it is acknowledged (``synchronous=FULL``).
"""

import errno
import os
import sqlite3
import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from lorif_core.errors import JournalError, ResourceError
from lorif_core.files import disk_full_message
from lorif_core.journal.failures import LOCK_TIMEOUT_S, LOCKED, UnknownCommit, is_unknown, plain_errors
from lorif_core.journal.locations import check_file_location, parse_location
from lorif_core.journal.log_fits import LogCheck
from lorif_core.journal.migrating import holds_journal, is_current, migrate
from lorif_core.journal.own_journal import OPTION, OwnJournal, own_journal_of
from lorif_core.journal.read_copy import READS_COPY, is_unwritable, open_copy
from lorif_core.system_failures import what_failed

ADVISORY_LOCK = 0x4C6F524946  # "LoRIF" in ASCII
CONNECT_TIMEOUT_S = 10
POLL_INTERVAL_S = 0.001

LOG_LIMIT = 1 << 26
"""Bytes that SQLite's log keeps on disk after a large batch."""

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -65536",  # KiB; a batch of a million examples touches pages all over three indexes
    f"PRAGMA journal_size_limit = {LOG_LIMIT}",
)


def open_engine(location: Path | str, own: OwnJournal | None = None) -> Engine:
    """Engine on the journal at ``location``, made if it is new and migrated if it is old.

    Args:
        location: An SQLite file, or an address such as ``postgresql+psycopg://user@host/database``.
        own: What a workspace remembers of its journal; another one is refused, now and in every transaction.

    Raises:
        JournalError: There is no journal, and none can be made, or it is damaged or of a newer version.
        ResourceError: The disk is full.
    """
    place = parse_location(location)
    engine = _open_file(place.expanduser().resolve(), own) if isinstance(place, Path) else _server_engine(place)
    try:
        upgrade(engine, own)
        if own is not None:
            _meet(engine, own)
    except BaseException:
        engine.dispose()
        raise
    return engine


def is_empty_database(address: URL) -> bool:
    """Whether the PostgreSQL database at an address holds no journal.

    Raises:
        JournalError: It cannot be reached.
    """
    engine = _server_engine(address)
    try:
        with reading(engine) as connection:
            return not holds_journal(connection)
    finally:
        engine.dispose()


@contextmanager
def reading(engine: Engine) -> Generator[Connection, None, None]:
    """One consistent view of the journal, which takes no lock.

    Raises:
        JournalError: The database cannot be read.
    """
    with plain_errors(engine), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin(), _watched(connection):
            yield connection


@contextmanager
def writing(engine: Engine) -> Generator[Connection, None, None]:
    """One write, alone among all writers of all processes, committed when the block ends without an error.

    Raises:
        JournalError: The database cannot be written, or others have been writing for longer than 30 s.
        UnknownCommit: The connection or the disk failed while the block was committed.
        ResourceError: The disk is full. Nothing of the block is kept.
    """
    with plain_errors(engine), engine.connect() as connection, _lost_commits_named(engine) as commit:
        with connection.execution_options(lorif_writes=True).begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_S * 1000:.0f}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            own = own_journal_of(engine)
            if own is not None:
                own.check_before_write(connection)
            yield connection
            commit.append(True)
        if own is not None:
            own.follow(connection)


@contextmanager
def _lost_commits_named(engine: Engine) -> Generator[list[bool], None, None]:
    """Yields a list that is filled when the commit begins; an error after that may leave open what was written."""
    begun: list[bool] = []
    try:
        yield begun
    except DBAPIError as error:
        if not begun or not is_unknown(error, engine):
            raise
        words = " ".join(str(error.orig).split())
        raise UnknownCommit(
            f"the journal did not answer when the act was committed ({words}), so it may be written or not: look in "
            "the history; the same request with the same client id writes nothing twice."
        ) from error


def upgrade(engine: Engine, own: OwnJournal | None = None) -> None:
    """Make the tables of a new journal, or bring those of an older version up to date.

    Raises:
        JournalError: The database is of a newer version, or no journal, or empty and the workspace has one.
    """
    with reading(engine) as connection:
        if is_current(connection):
            return
        if own is not None and not own.may_be_new() and not holds_journal(connection):
            raise own.refusal("is empty")
    with writing(engine) as connection:
        if not is_current(connection):  # another process may have come first
            migrate(connection)


def _watched(connection: Connection) -> AbstractContextManager[None]:
    own = own_journal_of(connection.engine)
    return nullcontext() if own is None else own.watching(connection)


def _meet(engine: Engine, own: OwnJournal) -> None:
    """Refuse a journal that is not the workspace's own, remember one that is new, and watch it from now on.

    One that is new and can only be read is not remembered: the workspace cannot be written, either.
    """
    with reading(engine) as connection:
        is_new = own.meet(connection)
    if is_new and (not own.workspace_id or engine.get_execution_options().get(READS_COPY, False)):
        return
    if is_new:
        with writing(engine) as connection:
            seen = own.adopt(connection)
        own.memory.write(seen)
    engine.update_execution_options(**{OPTION: own})


def _open_file(path: Path, own: OwnJournal | None) -> Engine:
    if own is not None and not own.may_be_new():
        _refuse_lost_file(path, own)
    check_file_location(path)
    try:
        return _open_for_writing(path)
    except (JournalError, ResourceError) as refused:
        if not is_unwritable(refused):
            raise
        return open_copy(path, refused, _bring_up_to_date, _begin)


def _bring_up_to_date(path: Path) -> None:
    engine = _open_for_writing(path)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def _open_for_writing(path: Path) -> Engine:
    log_check = LogCheck(path)
    engine = create_engine(URL.create("sqlite", database=str(path)), creator=partial(_connect, path, log_check))
    event.listen(engine, "begin", _begin)
    event.listen(engine, "connect", partial(_remember_file, path))
    event.listen(engine, "checkout", partial(_check_file, path))
    with _alone(path):
        _make_file(path)
        with plain_errors(engine), engine.connect():
            pass  # the first connection turns on the write-ahead log, which does not wait for others
    return engine


def _refuse_lost_file(path: Path, own: OwnJournal) -> None:
    """Refuse what can be seen without opening it: SQLite would delete a log beside a missing or empty file."""
    if not path.exists():
        raise own.refusal("is missing")
    if path.is_dir():
        raise own.refusal("is a folder now")
    if path.is_file() and path.stat().st_size == 0:
        raise own.refusal("is empty")


def _server_engine(url: URL) -> Engine:
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_S}
    try:
        return create_engine(url, pool_pre_ping=True, connect_args=timeout)
    except ImportError as error:
        raise JournalError(
            "a journal in PostgreSQL needs the package psycopg, which is not installed: "
            '`pip install "lorif-studio[postgres]"`.'
        ) from error


@contextmanager
def _alone(path: Path) -> Generator[None, None, None]:
    """The turn to open the file or to write to it, which one thread of all processes has at a time."""
    # A new lock each time: one object would count threads of this process as one holder.
    lock = FileLock(
        path.with_name(path.name + ".lock"),
        timeout=LOCK_TIMEOUT_S,
        poll_interval=POLL_INTERVAL_S,
        fallback_to_soft=False,
    )
    try:
        lock.acquire()
    except Timeout as error:
        raise JournalError(f"the journal {str(path)!r} {LOCKED}.") from error
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _make_file(path: Path) -> None:
    log = _log_of(path)
    if not path.exists() and log.exists() and log.stat().st_size:
        # SQLite would take the log for a leftover and delete it.
        raise JournalError(
            f"the journal {str(path)!r} is missing, but {log.name!r} beside it holds decisions: bring the file back, "
            "restore a backup with `lorif restore-backup`, or begin an empty one with `lorif journal WORKSPACE "
            "--start-anew`, which keeps the other file aside."
        )
    try:
        if not path.exists():
            path.touch()
        elif not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            # Not by opening it: to close a file gives up the locks that other connections of this process have on it.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> JournalError | ResourceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(disk_full_message(path))
    return JournalError(
        f"the journal {str(path)!r} cannot be written {what_failed(error)}. It needs a file and a folder on a local "
        "disk that you may write to."
    )


def _connect(path: Path, log_check: LogCheck) -> sqlite3.Connection:
    log_check.require_fit()
    # mode=rw: a file that has been moved away is an error, not a new and empty journal.
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=LOCK_TIMEOUT_S,
        isolation_level=None,  # transactions begin in _begin, not where the driver guesses
        check_same_thread=False,
    )
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma).close()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("lorif_writes", False):
        _wait_for_turn(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _wait_for_turn(connection: Connection) -> None:
    """Begin to write, in a queue.

    SQLite alone lets whoever asks at the right moment write next, and a writer that comes back at once
    overtakes the ones that wait: one was seen to wait for three seconds among three. Here only the writer that
    has the turn asks, and gives it up when it may write, so the one before it has to queue.
    """
    path = Path(str(connection.engine.url.database))
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    driver.execute(f"PRAGMA busy_timeout = {POLL_INTERVAL_S * 1000:.0f}").close()
    try:
        with _alone(path):
            while time.monotonic() < deadline:
                try:
                    driver.execute("BEGIN IMMEDIATE").close()
                    return
                except sqlite3.DatabaseError as error:
                    if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                        break
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # a last time, so that SQLAlchemy raises the error
    finally:
        driver.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000:.0f}").close()


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


class _Place(NamedTuple):
    """A file as a connection found it: the same one has the same device and number, and never becomes shorter."""

    device: int
    number: int
    size: int

    def goes_on_in(self, now: "_Place | None", most: int) -> bool:
        """Whether a file that may be cut to ``most`` bytes is still this one."""
        return now is not None and now[:2] == self[:2] and now.size >= min(self.size, most)


def _places(path: Path) -> tuple[_Place | None, _Place | None]:
    return _place_of(path), _place_of(_log_of(path))


def _place_of(path: Path) -> _Place | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _Place(status.st_dev, status.st_ino, status.st_size)


def _remember_file(path: Path, _connection: Any, record: Any) -> None:
    record.info["places"] = _places(path)


def _check_file(path: Path, _connection: Any, record: Any, _proxy: Any) -> None:
    """Give up the connections from before if the file or its log was deleted, replaced or cut.

    They would go on working with a file that has no name any more. When the last of them is closed, SQLite writes
    what its log holds into the file, and what comes back then is compared with what the workspace remembers.
    """
    before, now = record.info["places"], _places(path)
    limits = (sys.maxsize, LOG_LIMIT)
    if any(old and not old.goes_on_in(new, most) for old, new, most in zip(before, now, limits, strict=True)):
        raise InvalidatePoolError(f"{path} or its log is another file now")
    record.info["places"] = now
