"""Opening a journal's database, and the two kinds of transactions that it serves.

Writers take turns: on SQLite by ``BEGIN IMMEDIATE`` behind a queue, on PostgreSQL by an advisory lock, so that
a writer may read, decide and write without another one coming between. Readers never wait: they see the
journal as it was when they began. A write is on the disk before it is acknowledged (``synchronous=FULL``).
"""

import errno
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError

from lorif_core.errors import JournalError, ResourceError
from lorif_core.files import disk_full_message
from lorif_core.journal.failures import LOCK_TIMEOUT_S, LOCKED, UnknownCommit, is_unknown, plain_errors
from lorif_core.journal.locations import check_file_location, parse_location
from lorif_core.journal.migrating import is_current, migrate
from lorif_core.journal.read_copy import is_unwritable, open_copy
from lorif_core.system_failures import what_failed

ADVISORY_LOCK = 0x4C6F524946  # "LoRIF" in ASCII
CONNECT_TIMEOUT_S = 10
POLL_INTERVAL_S = 0.001

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -65536",  # KiB; a batch of a million examples touches pages all over three indexes
    "PRAGMA journal_size_limit = 67108864",  # bytes that the log keeps on disk after such a batch
)


def open_engine(location: Path | str) -> Engine:
    """Engine on the journal at ``location``, made if it is new and migrated if it is old.

    Args:
        location: An SQLite file, or an address such as ``postgresql+psycopg://user@host/database``.

    Raises:
        JournalError: There is no journal, and none can be made, or it is damaged or of a newer version.
        ResourceError: The disk is full.
    """
    place = parse_location(location)
    return _open_file(place.expanduser().resolve()) if isinstance(place, Path) else _open_server(place)


@contextmanager
def reading(engine: Engine) -> Generator[Connection, None, None]:
    """One consistent view of the journal, which takes no lock.

    Raises:
        JournalError: The database cannot be read.
    """
    with plain_errors(engine), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
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
            yield connection
            commit.append(True)


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


def upgrade(engine: Engine) -> None:
    """Make the tables of a new journal, or bring those of an older version up to date.

    Raises:
        JournalError: The database is of a newer version, or no journal.
    """
    with reading(engine) as connection:
        if is_current(connection):
            return
    with writing(engine) as connection:
        if not is_current(connection):  # another process may have come first
            migrate(connection)


def _open_file(path: Path) -> Engine:
    check_file_location(path)
    try:
        return _open_for_writing(path)
    except (JournalError, ResourceError) as refused:
        if not is_unwritable(refused):
            raise
        return open_copy(path, refused, _bring_up_to_date, _begin)


def _bring_up_to_date(path: Path) -> None:
    _open_for_writing(path).dispose()


def _open_for_writing(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), creator=partial(_connect, path))
    event.listen(engine, "begin", _begin)
    event.listen(engine, "connect", partial(_remember_file, path))
    event.listen(engine, "checkout", partial(_check_file, path))
    with _alone(path):
        _make_file(path)
        with plain_errors(engine), engine.connect():
            pass  # the first connection turns on the write-ahead log, which does not wait for others
    _upgrade_or_close(engine)
    return engine


def _open_server(url: URL) -> Engine:
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_S}
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args=timeout)
    except ImportError as error:
        raise JournalError(
            "a journal in PostgreSQL needs the package psycopg, which is not installed: "
            '`pip install "lorif-studio[postgres]"`.'
        ) from error
    _upgrade_or_close(engine)
    return engine


def _upgrade_or_close(engine: Engine) -> None:
    try:
        upgrade(engine)
    except BaseException:
        engine.dispose()
        raise


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
    log = path.with_name(path.name + "-wal")
    if not path.exists() and log.exists() and log.stat().st_size:
        # SQLite would take the log for a leftover and delete it.
        raise JournalError(
            f"the journal {str(path)!r} is missing, but {log.name!r} beside it holds decisions: bring the file back, "
            "or move the other one away too."
        )
    try:
        path.open("ab").close()
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> JournalError | ResourceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(disk_full_message(path))
    return JournalError(
        f"the journal {str(path)!r} cannot be written {what_failed(error)}. It needs a file and a folder on a local "
        "disk that you may write to."
    )


def _connect(path: Path) -> sqlite3.Connection:
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


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _remember_file(path: Path, _connection: Any, record: Any) -> None:
    record.info["file_id"] = _file_id(path)


def _check_file(path: Path, _connection: Any, record: Any, _proxy: Any) -> None:
    # A connection kept from before would go on writing into a deleted file.
    if record.info["file_id"] != _file_id(path):
        raise DisconnectionError(f"{path} is another file now")
