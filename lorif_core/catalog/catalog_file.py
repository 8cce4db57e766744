"""One DuckDB file: opened for a moment, copied, written and put in its own place.

A file is attached to a database in memory. Opened by its path, DuckDB would give a process that has it open already
the same database again, although another file has taken the name since.
"""

import fcntl
import glob
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from duckdb_sqlalchemy import insert
from sqlalchemy import URL, Connection, create_engine, event, inspect, select, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.pool import NullPool

from lorif_core.catalog.last_seen_catalog import REMEDIES, SeenCatalog, lost
from lorif_core.catalog.records import DatasetRecord
from lorif_core.catalog.schema import (
    CATALOG_IDENTITY,
    CATALOG_VERSION,
    DATASET_COLUMNS_OF_FORMAT_3,
    FORMAT_VERSION,
    METADATA,
    TABLES,
)
from lorif_core.errors import CatalogError, ResourceError
from lorif_core.files import PARTIAL, disk_full_message, replace_file
from lorif_core.system_failures import refuse_if_of_the_machine

ATTACHED = "workspace_catalog"
"""What the file is called in the database in memory."""

DUCKDB_CONFIG = {
    # Nothing is fetched from the network, whatever a statement says.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    # The tables are small: starting more threads costs more than they save.
    "threads": 1,
}

ROOM_BYTES = 1 << 20
"""A disk with less room than this is full, where DuckDB could not fold a log into its file."""

LOCKED = "Conflicting lock"

CAUSES = {
    LOCKED: "another program has it open for writing; close it there and try again",
    "already attached": "this process has it open through a connection of its own; close that one",
    "Permission denied": "you may not write it; ask its owner",
    "not a valid DuckDB database": f"it is not a DuckDB file; {REMEDIES}",
    "version number": "it was written by another version of DuckDB; install that one",
}
"""What a person can do about DuckDB's message, by a part of it (as of DuckDB 1.5)."""

DAMAGED = f"it is damaged; {REMEDIES}"


@contextmanager
def opened(path: Path, *, writes: bool = False) -> Iterator[Connection]:
    """A transaction on a file that only it sees; what it wrote is in the file when the block has ended."""
    engine = create_engine(
        URL.create("duckdb", database=":memory:"),
        poolclass=NullPool,  # giving a connection back closes it, also after an exception
        connect_args={"config": DUCKDB_CONFIG},
    )

    def attach(connection: Any, _: object) -> None:
        place = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{place}' AS {ATTACHED}{'' if writes else ' (READ_ONLY)'}")
        connection.execute(f"USE {ATTACHED}")
        connection.execute("SET enable_external_access = false")  # no other file is opened from here on

    event.listen(engine, "connect", attach, insert=True)
    with engine.begin() as connection:
        yield connection


@contextmanager
def rewriting(path: Path) -> Iterator[Connection]:
    """A transaction on a copy of a file, which takes its place, on the disk, when the block ends without an error.

    Only who has the writers' turn may do this: what a killed one left behind is cleared away here.

    Raises:
        CatalogError: Another program has the file open for writing, so that a copy would miss what it writes.
    """
    with _new_version(path) as partial:
        with path.open("rb") as source:
            _refuse_if_open_elsewhere(source.fileno(), path)
            shutil.copyfile(path, partial)
        shutil.copymode(path, partial)
        with opened(partial, writes=True) as connection:
            yield connection


def create_file(path: Path) -> None:
    """Make an empty catalog; as ``rewriting``, only in the writers' turn."""
    with _new_version(path) as partial, opened(partial, writes=True) as connection:
        METADATA.create_all(connection, checkfirst=False)
        connection.execute(insert(CATALOG_VERSION).values(format_version=FORMAT_VERSION))
        _draw_identity(connection)


def fold_log(path: Path) -> None:
    """Write what a killed process of an earlier version left in the log beside a file into the file."""
    with opened(path, writes=True):
        pass


@contextmanager
def _new_version(path: Path) -> Iterator[Path]:
    for leftover in path.parent.glob(f".{glob.escape(path.name)}*{PARTIAL}*"):
        leftover.unlink(missing_ok=True)
    with replace_file(path) as partial:
        try:
            yield partial
            if log_of(partial).exists():
                if shutil.disk_usage(path.parent).free < ROOM_BYTES:
                    raise ResourceError(disk_full_message(path))
                raise CatalogError(f"DuckDB left a log beside {str(partial)!r}, so nothing was changed: try again.")
        finally:
            log_of(partial).unlink(missing_ok=True)


def _refuse_if_open_elsewhere(handle: int, path: Path) -> None:
    """DuckDB locks a file that it may write in this way; one that only reads leaves others this lock, too."""
    try:
        fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise CatalogError(f"the catalog {str(path)!r} cannot be written: {CAUSES[LOCKED]}.") from error


def lock_of(path: Path) -> Path:
    """The lock at which who writes the catalog takes turns."""
    return path.with_name(path.name + ".lock")


def log_of(path: Path) -> Path:
    """DuckDB's log of changes that are not in the file yet; there is none beside a file that was closed."""
    return path.with_name(path.name + ".wal")


def format_of(connection: Connection, path: Path) -> int:
    """Which format a catalog has; at most the present one.

    Raises:
        CatalogError: It is no catalog, or of a newer format.
    """
    if not inspect(connection).has_table(CATALOG_VERSION.name):
        raise lost(path, "is a DuckDB file, but not a catalog")
    version = connection.scalars(select(CATALOG_VERSION.c.format_version)).one()
    if version > FORMAT_VERSION:
        raise CatalogError(
            f"{str(path)!r} has format {version} and this program reads up to {FORMAT_VERSION}: it was "
            "written by a newer LoRIF Studio. Upgrade with `pip install --upgrade lorif-studio`."
        )
    return version


def migrate(connection: Connection, version: int) -> None:
    """Bring a catalog of an earlier format to the present one.

    Format 1 had no evaluations, 2 no questions and one version of each data set, 3 no identity.
    """
    METADATA.create_all(connection, checkfirst=True)
    if version < 3:
        _add_versions(connection)
    if seen_in(connection) is None:
        _draw_identity(connection)
    connection.execute(update(CATALOG_VERSION).values(format_version=FORMAT_VERSION))


def _add_versions(connection: Connection) -> None:
    for column in (TABLES[DatasetRecord].c[name] for name in DATASET_COLUMNS_OF_FORMAT_3):
        kind = column.type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE dataset ADD COLUMN IF NOT EXISTS {column.name} {kind}"))
    connection.execute(
        text("UPDATE dataset SET source_checksums = '[]', settings_json = '{}', corpus_id = dataset_id, version = 1")
    )


def _draw_identity(connection: Connection) -> None:
    connection.execute(insert(CATALOG_IDENTITY).values(identity=uuid.uuid4().hex, generation=0))


def seen_in(connection: Connection) -> SeenCatalog | None:
    """Which catalog it is, and how often it was written; None in one that has no identity yet."""
    row = connection.execute(select(CATALOG_IDENTITY.c.identity, CATALOG_IDENTITY.c.generation)).one_or_none()
    return None if row is None else SeenCatalog(*row)


def count_write(connection: Connection) -> None:
    """Raise the generation."""
    connection.execute(update(CATALOG_IDENTITY).values(generation=CATALOG_IDENTITY.c.generation + 1))


def is_locked_by_another(error: DBAPIError) -> bool:
    """Whether a file could not be opened because another process may be writing it."""
    return LOCKED in str(error.orig)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what a person can fix into one sentence; a defect in our SQL keeps its traceback."""
    try:
        yield
    except (ProgrammingError, IntegrityError, DataError, NotSupportedError):
        raise
    except DBAPIError as error:
        message = str(error.orig).splitlines()[0]
        if "No space left" in message:
            raise ResourceError(disk_full_message(path)) from error
        if error.orig is not None:
            refuse_if_of_the_machine(error.orig, path)
        cause = next((cause for part, cause in CAUSES.items() if part in message), DAMAGED)
        cause = cause.format(workspace=path.parent)
        raise CatalogError(f"the catalog {str(path)!r} cannot be used: {cause}. DuckDB says: {message}") from error
