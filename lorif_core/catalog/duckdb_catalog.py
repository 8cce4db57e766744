"""The catalog in one DuckDB file that several processes use in turn.

DuckDB lets one process at a time open a file for writing, and on one of its versions opening it again
and again until that succeeds lost acknowledged writes. So nothing stays open here: every access takes
a file lock, connects, runs one transaction, closes the connection, and only then gives the lock back.
Readers take it too, because an open reader keeps writers out.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from duckdb_sqlalchemy import insert
from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, delete, inspect, select, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.pool import NullPool

from lorif_core.catalog.records import KINDS, DatasetRecord, Record
from lorif_core.catalog.repository import Catalog, R, Records
from lorif_core.catalog.schema import CATALOG_VERSION, DATASET_COLUMNS_OF_FORMAT_3, FORMAT_VERSION, METADATA, TABLES
from lorif_core.errors import CatalogError, ResourceError
from lorif_core.files import disk_full_message, replace_file

LOCK_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.005

DUCKDB_CONFIG = {
    # Nothing is fetched from the network, and no other file is opened, whatever a statement says.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "enable_external_access": False,
    # The tables are small: starting more threads costs more than they save.
    "threads": 1,
}

CAUSES = {
    "Conflicting lock": "another program has it open; close it there and try again",
    "different configuration": "this process has it open through a connection of its own; close that one",
    "not a valid DuckDB database": "it is not a DuckDB file; restore it from a backup, or move it away and "
    "an empty catalog is made in its place",
    "version number": "it was written by another version of DuckDB; install that one",
}
"""What a person can do about DuckDB's message, by a part of it (as of DuckDB 1.5)."""

DAMAGED = "it is damaged; restore it from a backup, or move it away and an empty catalog is made in its place"


Stamp = tuple[int, ...] | None
"""Of the catalog's file; changes with every write."""

Lookup = tuple[type[Record], tuple[tuple[str, str], ...]]
"""A kind of record, and the values that its columns should have."""


class _Memory(NamedTuple):
    """What was read of a file while it had this stamp; only who holds the lock adds to it."""

    stamp: Stamp
    found: dict[Lookup, Sequence[Record]]


class DuckDBCatalog(Catalog):
    """A catalog in a DuckDB file, safe to use from several threads and processes.

    No connection outlives a method call. The file and its tables are made by the first catalog that
    opens the path.
    """

    def __init__(self, path: Path, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Open the catalog at ``path``, making it if there is none.

        Raises:
            CatalogError: The file is not a catalog of this version, or cannot be read, written or locked.
        """
        # Resolved once: one file has one lock, also through a link or after a change of folder.
        self.path = path.resolve()
        self.lock_path = self.path.with_name(self.path.name + ".lock")
        self._lock_timeout_s = lock_timeout_s
        self._memory = _Memory(None, {})
        self._engine = _engine(self.path)
        _check_location(self.path)
        with self._locked(), _plain_errors(self.path):
            if not self.path.exists():
                _create(self.path)
            with self._engine.begin() as connection:
                _check_version(connection, self.path)

    def _list(self, kind: type[R], values: Mapping[str, str]) -> list[R]:
        """Records from memory while the file is what it was when they were read, which takes no lock."""
        lookup = (kind, tuple(sorted(values.items())))
        memory = self._memory
        known = memory.found.get(lookup)
        if known is not None and memory.stamp is not None and memory.stamp == self._stamp():
            return [record for record in known if isinstance(record, kind)]
        with self._transaction() as records:
            stamp = self._stamp()  # nobody writes now: the lock is ours
            found = records.matching(kind, values)
            if self._memory.stamp != stamp:
                self._memory = _Memory(stamp, {})
            self._memory.found[lookup] = list(found)
        return found

    def _stamp(self) -> Stamp:
        """None while there is no file, or one with a log that was not folded in."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return None if _log_of(self.path).exists() else (found.st_ino, found.st_size, found.st_mtime_ns)

    @contextmanager
    def _transaction(self) -> Iterator[Records]:
        _check_location(self.path)
        with self._locked(), _plain_errors(self.path):
            if not self.path.exists():  # DuckDB would make an empty file in its place
                raise CatalogError(f"{str(self.path)!r} has been removed or renamed: bring it back or reopen it.")
            before = self._stamp()
            with self._engine.begin() as connection:
                records = _RecordsInDuckDB(connection)
                yield records
            if records.changed and before is not None and self._memory.stamp == before:
                self._memory = _Memory(self._stamp(), _without(self._memory.found, records.changed))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A new lock each time: one object would count threads of this process as one holder. Falling
        # back to a soft lock is off: where the file system has no flock, DuckDB is not safe either.
        lock = FileLock(
            self.lock_path,
            timeout=self._lock_timeout_s,
            poll_interval=POLL_INTERVAL_S,
            fallback_to_soft=False,
        )
        try:
            lock.acquire()
        except Timeout as error:
            raise CatalogError(
                f"the catalog is open in one process at a time, and another one has held "
                f"{str(self.lock_path)!r} for {self._lock_timeout_s:g} s. Try again when it is done, or stop "
                "it if it hangs; leave the lock file where it is."
            ) from error
        except OSError as error:
            raise CatalogError(
                f"{str(self.lock_path)!r} cannot be locked ({error.strerror}): a workspace needs a folder "
                "on a local disk that you may write to."
            ) from error
        try:
            yield
        finally:
            lock.release()


class _RecordsInDuckDB:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed: set[type[Record]] = set()

    def put(self, record: Record) -> None:
        self.put_all([record])

    def put_all(self, records: Sequence[Record]) -> None:
        if not records:
            return
        kind = type(records[0])
        self.changed.add(kind)
        names = [field.name for field in fields(records[0])]
        statement = insert(TABLES[kind]).values(
            [{name: getattr(record, name) for name in names} for record in records]
        )
        id_field = KINDS[kind].id_field
        changed = {column.name: column for column in statement.excluded if column.name != id_field}
        self._connection.execute(statement.on_conflict_do_update(index_elements=[id_field], set_=changed))

    def remove(self, kind: type[Record], values: Mapping[str, str]) -> None:
        self.changed.add(kind)
        table = TABLES[kind]
        self._connection.execute(delete(table).where(*(table.c[name] == value for name, value in values.items())))

    def matching(self, kind: type[R], values: Mapping[str, str]) -> list[R]:
        table = TABLES[kind]
        statement = (
            select(table)
            .where(*(table.c[name] == value for name, value in values.items()))
            .order_by(table.c.created_at, table.c[KINDS[kind].id_field])
        )
        return [kind(**row) for row in self._connection.execute(statement).mappings()]


def _without(found: Mapping[Lookup, Sequence[Record]], changed: set[type[Record]]) -> dict[Lookup, Sequence[Record]]:
    return {lookup: records for lookup, records in found.items() if lookup[0] not in changed}


def _engine(path: Path) -> Engine:
    # NullPool: giving a connection back closes it, also after an exception.
    return create_engine(
        URL.create("duckdb", database=str(path)),
        poolclass=NullPool,
        connect_args={"config": DUCKDB_CONFIG},
    )


def _check_location(path: Path) -> None:
    if not path.parent.is_dir():
        raise CatalogError(f"{str(path.parent)!r} is not a folder, so it cannot hold a catalog: check the path.")
    if "?" in str(path):
        # DuckDB takes what follows for parameters and looks for its write-ahead log elsewhere.
        raise CatalogError(f"a catalog's path may not contain `?`, got {str(path)!r}: rename the folder.")


def _create(path: Path) -> None:
    log = _log_of(path)
    if log.exists():
        raise CatalogError(
            f"{str(path)!r} is missing, but {log.name!r} beside it holds changes made to it: bring the file "
            "back, or move the other one away too."
        )
    with replace_file(path) as partial:
        for leftover in (partial, _log_of(partial)):
            leftover.unlink(missing_ok=True)
        with _engine(partial).begin() as connection:
            METADATA.create_all(connection, checkfirst=False)
            connection.execute(insert(CATALOG_VERSION).values(format_version=FORMAT_VERSION))


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _check_version(connection: Connection, path: Path) -> None:
    if not inspect(connection).has_table(CATALOG_VERSION.name):
        raise CatalogError(
            f"{str(path)!r} is a DuckDB file, but not a catalog: check the path, or move the file away."
        )
    version = connection.scalars(select(CATALOG_VERSION.c.format_version)).one()
    if version > FORMAT_VERSION:
        raise CatalogError(
            f"{str(path)!r} has format {version} and this program reads up to {FORMAT_VERSION}: it was "
            "written by a newer LoRIF Studio. Upgrade with `pip install --upgrade lorif-studio`."
        )
    if version < FORMAT_VERSION:
        _migrate(connection)


def _migrate(connection: Connection) -> None:
    """From format 1, which had no evaluations, and 2, which had no questions and one version of each data set."""
    METADATA.create_all(connection, checkfirst=True)
    for column in (TABLES[DatasetRecord].c[name] for name in DATASET_COLUMNS_OF_FORMAT_3):
        kind = column.type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE dataset ADD COLUMN IF NOT EXISTS {column.name} {kind}"))
    connection.execute(
        text("UPDATE dataset SET source_checksums = '[]', settings_json = '{}', corpus_id = dataset_id, version = 1")
    )
    connection.execute(update(CATALOG_VERSION).values(format_version=FORMAT_VERSION))


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Turn what a person can fix into one sentence; a defect in our SQL keeps its traceback."""
    try:
        yield
    except (ProgrammingError, IntegrityError, DataError, NotSupportedError):
        raise
    except DBAPIError as error:
        message = str(error.orig).splitlines()[0]
        if "No space left" in message:
            raise ResourceError(disk_full_message(path)) from error
        cause = next((cause for part, cause in CAUSES.items() if part in message), DAMAGED)
        raise CatalogError(f"the catalog {str(path)!r} cannot be used: {cause}. DuckDB says: {message}") from error
