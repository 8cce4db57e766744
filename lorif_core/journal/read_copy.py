"""A journal whose disk is full or read-only, read through a copy elsewhere.

SQLite needs to write beside a file even to read it. A copy in the temporary folder is followed: whenever the file or
its log have changed, the next transaction reads a new copy. Writing says why it cannot be.
"""

import errno
import logging
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from lorif_core.errors import JournalError, LorifError
from lorif_core.files import Stamp, stamp_of

logger = logging.getLogger("lorif.journal")

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_SQLITE_UNWRITABLE = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")
READS_COPY = "lorif_reads_copy"
"""The option of an engine that reads copies."""

_MOST_COPIES = 5
"""How often in a row a file may change while it is copied before that is an error."""

Stamps = tuple[Stamp | None, ...]


def is_unwritable(refused: BaseException | None) -> bool:
    """Whether a journal was refused only because nothing can be written beside it."""
    while refused is not None:
        name = getattr(getattr(refused, "orig", refused), "sqlite_errorname", "")
        if name.startswith(_SQLITE_UNWRITABLE) or (isinstance(refused, OSError) and refused.errno in UNWRITABLE):
            return True
        refused = refused.__cause__
    return False


def open_copy(
    path: Path, refused: LorifError, make: Callable[[Path], None], begin: Callable[[Connection], None]
) -> Engine:
    """An engine that reads copies of a journal, and refuses every write with what stands in the way.

    Args:
        path: The journal.
        refused: Why it cannot be opened.
        make: Brings the copy up to date, or makes an empty journal where there is none.
        begin: Begins a transaction that reads.

    Raises:
        LorifError: No copy can be made either.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="lorif-journal-"))
    except OSError:
        raise refused from None
    copies = _Copies(path, folder, make)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=copies.connect,
        poolclass=NullPool,
        execution_options={READS_COPY: True},
    )
    weakref.finalize(engine, shutil.rmtree, folder, ignore_errors=True)

    @event.listens_for(engine, "begin")
    def begin_or_refuse(connection: Connection) -> None:
        if connection.get_execution_options().get("lorif_writes", False):
            raise refused
        begin(connection)

    copies.connect().close()
    logger.warning("decisions are read through a copy, and none can be made: %s", refused)
    return engine


class _Copies:
    """Copies of a journal, a new one whenever it has changed."""

    def __init__(self, path: Path, folder: Path, make: Callable[[Path], None]) -> None:
        self._path = path
        self._folder = folder
        self._make = make
        self._stamp: Stamps | None = None
        self._num_copies = 0

    def connect(self) -> sqlite3.Connection:
        """A connection to a copy of what the journal is now."""
        try:
            if self._stamp != self._stamp_now():
                self._copy()
        except OSError as error:
            raise JournalError(
                f"the journal {str(self._path)!r} cannot be read where it is, nor copied to {str(self._folder)!r} "
                f"({error.strerror}): name a temporary folder on another disk, such as with `TMPDIR=/dev/shm`."
            ) from error
        return sqlite3.connect(self._place(), isolation_level=None, check_same_thread=False)

    def _copy(self) -> None:
        for _ in range(_MOST_COPIES):
            before = self._stamp_now()
            self._num_copies += 1
            for source, copy in zip(_files(self._path), _files(self._place()), strict=True):
                if source.exists():
                    shutil.copyfile(source, copy)
            if self._stamp_now() == before:
                self._make(self._place())
                self._stamp = before
                return
        raise JournalError(f"the journal {str(self._path)!r} changes while it is copied: try again in a moment.")

    def _place(self) -> Path:
        return self._folder / f"{self._num_copies}.sqlite"

    def _stamp_now(self) -> Stamps:
        return tuple(map(_stamp_of, _files(self._path)))


def _files(path: Path) -> tuple[Path, Path]:
    """The database and its log."""
    return path, path.with_name(f"{path.name}-wal")


def _stamp_of(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except FileNotFoundError:
        return None
