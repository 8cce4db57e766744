"""What a database says when it cannot do its work, as one sentence that a person can act on."""

import errno
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from lorif_core.errors import JournalError, LorifError, ResourceError
from lorif_core.files import disk_full_message
from lorif_core.journal.own_journal import own_journal_of
from lorif_core.system_failures import what_failed

SQLITE_FILES = 4
"""How many files a connection opens at once: the database, its log, the log's index, a lock."""

LOCK_TIMEOUT_S = 30.0
"""How long a write waits for the writes of others."""

LOCKED = (
    f"has been locked by another program for {LOCK_TIMEOUT_S:g} s: try again when it is done, or stop it if it hangs"
)

SQLITE_CAUSES = {
    "SQLITE_NOTADB": "is not an SQLite database: check the path, or bring the journal back: restore a backup with "
    "`lorif restore-backup`, or begin an empty one with `lorif journal WORKSPACE --start-anew`",
    "SQLITE_CORRUPT": "is damaged: restore a backup with `lorif restore-backup`, or begin an empty one with `lorif "
    "journal WORKSPACE --start-anew`, which keeps the damaged file aside",
    "SQLITE_READONLY": "cannot be written: a journal needs a file and a folder that you may write to",
    "SQLITE_CANTOPEN": "cannot be opened: a journal needs a file and a folder that you may read and write",
    "SQLITE_PERM": "cannot be opened: a journal needs a file and a folder that you may read and write",
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": "is locked by another connection of this program: try again when that is done",
    "SQLITE_IOERR": "cannot be read or written because its disk reports an error, or a limit on the size of files "
    "(`ulimit -f`) is reached: check both, and the free space",
    "SQLITE_PROTOCOL": "cannot be locked: it needs a folder on a local disk",
}
"""What a person can do, by the beginning of SQLite's name of the error."""

POSTGRES_CAUSES = {
    "08": "lost its connection: try again; if a decision was under way, look in the history whether it is there",
    "25006": "accepts no writes: connect to the primary server instead of a copy of it",
    "3D": "does not exist: create it with `createdb`, or check the address",
    "42501": "does not let this user create or change its tables: grant that, or use another user",
    "53100": "has a full disk: free some space on the server and try again",
    "53300": "has no connection left: try again, or raise `max_connections`",
    "55P03": LOCKED,
    "57P": "is shutting down or starting: try again in a moment",
    "XX001": "is damaged: restore it from a backup",
}
"""What a person can do, by the beginning of PostgreSQL's SQLSTATE."""


class UnknownCommit(JournalError):
    """The answer to a commit never came: what it wrote may be there."""


def is_unknown(error: DBAPIError, engine: Engine) -> bool:
    """Whether an error that a commit ended in leaves open if it was written."""
    if engine.dialect.name == "sqlite":
        return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_IOERR")
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state is None or state.startswith(("08", "57P"))


@contextmanager
def plain_errors(engine: Engine) -> Generator[None, None, None]:
    """Turn what a person can fix into one sentence; a defect in our SQL keeps its traceback.

    Raises:
        JournalError: The database cannot be used.
        ResourceError: Its disk is full.
    """
    try:
        yield
    except DBAPIError as error:
        explain = explain_sqlite if engine.dialect.name == "sqlite" else explain_postgres
        plain = explain(error, engine)
        if plain is None:
            raise
        raise plain from error


def explain_sqlite(error: DBAPIError, engine: Engine) -> LorifError | None:
    """The sentence for an error of SQLite, None if it is a defect."""
    path = Path(str(engine.url.database))
    name = getattr(error.orig, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return ResourceError(disk_full_message(path))
    if name.startswith("SQLITE_CANTOPEN") and (path.is_dir() or not path.exists()):
        own = own_journal_of(engine)
        problem = "is a folder now" if path.is_dir() else "has been removed or renamed"
        return own.refusal(problem) if own else JournalError(f"the journal {str(path)!r} {problem}: bring it back.")
    if name.startswith("SQLITE_CANTOPEN") and (refused := _refused_by_the_system(path)) is not None:
        return ResourceError(f"the journal {str(path)!r} cannot be opened {what_failed(refused)}.")
    cause = _cause_of(name, SQLITE_CAUSES)
    return None if cause is None else JournalError(f"the journal {str(path)!r} {cause}. SQLite says: {error.orig}")


def _refused_by_the_system(path: Path) -> OSError | None:
    """Why no files can be opened, which SQLite does not say; None: because of what the files are."""
    with ExitStack() as handles:
        for _ in range(SQLITE_FILES):
            try:
                handles.enter_context(path.open("rb"))
            except OSError as error:
                return error if error.errno in (errno.EMFILE, errno.ENFILE) else None
    return None


def explain_postgres(error: DBAPIError, engine: Engine) -> LorifError | None:
    """The sentence for an error of PostgreSQL, None if it is a defect."""
    database = describe_database(engine)
    state = getattr(error.orig, "sqlstate", None)
    if state is None and (error.connection_invalidated or "connect" in str(error.orig)):
        # Connecting failed, and libpq has words for it but no state. They name host and user, no password.
        words = " ".join(str(error.orig).split())
        return JournalError(
            f"{database} cannot be reached: check the address, the user, the password and that the server runs. "
            f"PostgreSQL says: {words}"
        )
    cause = _cause_of(state or "", POSTGRES_CAUSES)
    if cause is None:
        return None
    kind: Callable[[str], LorifError] = ResourceError if state == "53100" else JournalError
    return kind(f"{database} {cause}.")


def describe_database(engine: Engine) -> str:
    """The database in words, without user and password."""
    url = engine.url
    return f"the PostgreSQL database {url.database!r} on {url.host or 'this machine'}"


def _cause_of(name: str, causes: dict[str, str]) -> str | None:
    return next((cause for start, cause in causes.items() if name.startswith(start)), None)
