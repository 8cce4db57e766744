"""Copies of the catalog and the journal, so that looking at them changes nothing and nobody waits.

Opening either in its place may write to it: DuckDB and SQLite fold their logs in, older formats are migrated, locks
are made and taken. So the files are copied to a temporary folder and opened there. A copy that was taken while
somebody wrote is thrown away and taken again.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from lorif_core.catalog import Catalog, DuckDBCatalog
from lorif_core.errors import ArtefactError, CatalogError, JournalError, LorifError
from lorif_core.files import Stamp, read_json, stamp_of
from lorif_core.journal.check_journal import check_journal
from lorif_core.journal.database import CONNECT_TIMEOUT_S, open_engine, reading
from lorif_core.journal.journal_tables import BatchRow, JobRow
from lorif_core.journal.last_seen import LastSeen
from lorif_core.journal.locations import parse_location, plain_place
from lorif_core.journal.migrating import is_current
from lorif_core.journal.own_journal import OwnJournal
from lorif_core.workspace.folder.workspace_files import IDENTITY, LAST_SEEN, WorkspaceFiles

PATIENCE_S = 20.0
"""How long a moment without a writer is waited for."""

POLL_S = 0.05
WAL_HEADER_BYTES = 32
"""SQLite draws a new header whenever it begins its log anew; with the same one, a log only grew at its end."""


@dataclass(frozen=True)
class JobFacts:
    """What the journal says of a job."""

    job_id: str
    status: str
    worker: str | None
    attempts: int


@dataclass(frozen=True)
class JournalFacts:
    """What is read of a journal."""

    faults: list[str]
    """What is wrong with it; then nothing else is told."""

    batches: dict[int, str] = field(default_factory=dict[int, str])
    """Id of the act of each revision that has one."""

    datasets: frozenset[str] = frozenset()
    """Data sets that were decided about."""

    jobs: tuple[JobFacts, ...] = ()


@contextmanager
def copied_catalog(path: Path) -> Iterator[Catalog]:
    """The catalog as it is now.

    Raises:
        CatalogError: It cannot be read.
    """
    log = path.with_name(f"{path.name}.wal")
    with _temporary_folder() as folder:
        copy = folder / path.name
        deadline = time.monotonic() + PATIENCE_S
        while True:
            before = _stamps(path, log)
            for source in (path, log):
                _copy(source, folder / source.name)
            # A log is there while somebody writes; one that stays was left by a writer that was killed.
            is_quiet = before == _stamps(path, log) and before[1] is None
            if is_quiet or time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        if before[0] is None:
            raise CatalogError(f"{str(path)!r} is missing.")
        yield DuckDBCatalog(copy)


def read_journal(files: WorkspaceFiles, location: Path | str) -> JournalFacts:
    """What a journal says, what is wrong with it, and whether it is the one that the workspace remembers.

    Raises:
        JournalError: It cannot be reached.
    """
    place = parse_location(location)
    with _temporary_folder() as folder:
        _copy(files.root / LAST_SEEN, folder / LAST_SEEN)  # before the journal, which may only be newer then
        own = _own(files, location, LastSeen(folder / LAST_SEEN))
        if not isinstance(place, Path):
            connect = {"connect_timeout": CONNECT_TIMEOUT_S}
            engine = create_engine(place, poolclass=NullPool, connect_args=connect)
            return _facts(engine.execution_options(postgresql_readonly=True), own)
        path = place.expanduser().resolve()
        copy = _copy_sqlite(path, folder)
        try:
            engine = open_engine(copy)  # migrated, if it is old: what checks it knows the present tables
            try:
                facts = _facts(engine, own)
            finally:
                engine.dispose()
        except LorifError as error:
            facts = JournalFacts([str(error)])
        return replace(facts, faults=[one.replace(str(copy), str(path)) for one in facts.faults])


def _own(files: WorkspaceFiles, location: Path | str, memory: LastSeen) -> OwnJournal | None:
    """What the workspace remembers of its journal; None where it never had one."""
    identity = files.root / IDENTITY
    if not memory.exists() or not identity.is_file():
        return None
    try:
        workspace_id = str(read_json(identity, "workspace_id")["workspace_id"])
    except ArtefactError:  # said of that file itself
        return None
    is_chosen = location != files.own_file
    return OwnJournal(memory, files.root, workspace_id, plain_place(location), is_chosen=is_chosen)


def _facts(engine: Engine, own: OwnJournal | None) -> JournalFacts:
    try:
        with engine.connect() as connection:
            knows_chains = is_current(connection)
        faults = check_journal(engine) if knows_chains else []
        if faults:
            return JournalFacts(faults)
        with reading(engine) as connection, nullcontext() if own is None else own.watching(connection):
            batches = connection.execute(select(BatchRow.revision, BatchRow.batch_id)).all()
            datasets = connection.scalars(select(BatchRow.dataset_id).distinct()).all()
            jobs = connection.execute(select(JobRow.job_id, JobRow.status, JobRow.worker, JobRow.attempts)).all()
    except DBAPIError as error:
        return JournalFacts([f"it cannot be read: {str(error.orig).splitlines()[0]}"])
    except JournalError as error:
        return JournalFacts([str(error)])
    return JournalFacts(
        [],
        {row.revision: row.batch_id for row in batches},
        frozenset(datasets),
        tuple(JobFacts(*row) for row in jobs),
    )


def _copy_sqlite(path: Path, folder: Path) -> Path:
    """A copy of an SQLite file with its log, as of one moment.

    The log may grow meanwhile: its end is then a write that the copy has not seen. What may not happen is that the
    file changes, or that the log begins anew.
    """
    log, copy = path.with_name(f"{path.name}-wal"), folder / path.name
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        before, header = _stamps(path), _header(log)
        _copy(path, copy)
        _copy(log, folder / log.name)
        if before == _stamps(path) and header == _header(log):
            if before[0] is None:
                raise JournalError(f"{str(path)!r} is missing.")
            return copy
        time.sleep(POLL_S)
    raise JournalError(
        f"{str(path)!r} was written to all the time, so it could not be read as of one moment: look again later."
    )


def _header(log: Path) -> bytes:
    try:
        with log.open("rb") as handle:
            return handle.read(WAL_HEADER_BYTES)
    except FileNotFoundError:
        return b""


def _stamps(*paths: Path) -> list[Stamp | None]:
    return [stamp_of(path) if path.exists() else None for path in paths]


def _copy(source: Path, to: Path) -> None:
    to.unlink(missing_ok=True)
    try:
        shutil.copyfile(source, to)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArtefactError(
            f"{str(source)!r} could not be copied to {str(to.parent)!r} to be read ({error.strerror}): check both."
        ) from error


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lorif-doctor-") as folder:
        yield Path(folder)
