"""Checks of one file by itself. Each raises what is wrong, and changes nothing."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import CHUNK_BYTES, checksum_of_file, read_json
from lorif_core.journal.jobs import is_running
from lorif_core.journal.kept_states import read_states_file
from lorif_core.journal.last_seen import LastSeen
from lorif_core.store.statistics import read_moments
from lorif_core.workspace.folder.kept_rows import read_row
from lorif_core.workspace.health.file_kind import Check
from lorif_core.workspace.studio.saved_views import read_view

PASSWORD = re.compile(r"scrypt\$(\d+\$\d+\$\d+\$)?[0-9a-f]{32}\$[0-9a-f]{64}")


def check_readable(path: Path) -> None:
    """Read every byte."""
    with path.open("rb") as handle:
        while handle.read(CHUNK_BYTES):
            pass


def check_json(path: Path) -> None:
    """It is a JSON object, with the seal that it carries."""
    read_json(path)


def check_lines(path: Path) -> None:
    """Every line is a JSON value."""
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                json.loads(line.decode())
            except ValueError as error:
                raise DamagedArtefact(f"line {number} of {str(path)!r} is not JSON ({error}).") from error


def check_parquet(path: Path, columns: list[str] | None = None) -> int:
    """Read every page, which compares it with its checksum where it has one; the number of rows.

    Raises:
        DamagedArtefact: It cannot be read, or has other columns.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group)
            names, num_rows = file.schema_arrow.names, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DamagedArtefact(
            f"{str(path)!r} is not a readable Parquet file ({str(error).splitlines()[0]})."
        ) from error
    if columns is not None and names != columns:
        raise DamagedArtefact(f"{str(path)!r} must have the columns {', '.join(columns)}, it has {', '.join(names)}.")
    return num_rows


@contextmanager
def reading_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """A finished SQLite file. Immutable: nothing is locked, and no log is made beside it."""
    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        yield connection


def check_sqlite(path: Path) -> None:
    """SQLite finds it whole."""
    try:
        with reading_sqlite(path) as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)")]
    except sqlite3.DatabaseError as error:
        said = [str(error)]
    if said != ["ok"]:
        raise DamagedArtefact(f"{str(path)!r} is damaged; SQLite says: {' '.join(said[0].split())}.")


def check_states(path: Path) -> None:
    """It is a whole copy of the states of some corpus."""
    if read_states_file(path, None) is None:
        raise DamagedArtefact(f"{str(path)!r} is no copy of states, or not the one that was written.")


def check_password(path: Path) -> None:
    """It is one line with a salted hash."""
    if not PASSWORD.fullmatch(path.read_bytes().decode(errors="replace").strip()):
        raise DamagedArtefact(f"{str(path)!r} holds no hash of a password.")


def check_memory(path: Path) -> None:
    """It says which journal the workspace saw last."""
    if LastSeen(path).read() is None:
        raise DamagedArtefact(f"{str(path)!r} does not say which journal the workspace saw last.")


def check_upload(path: Path) -> None:
    """Its bytes have the checksum that its folder is named by."""
    if checksum_of_file(path)[:12] != path.parent.name:
        raise DamagedArtefact(f"{str(path)!r} is not what was uploaded: its checksum is not {path.parent.name}.")


def check_statistics(path: Path) -> None:
    """Its tensors have the checksum that it keeps beside them."""
    read_moments(path)


def check_row(path: Path) -> None:
    """It holds the scores that were written."""
    read_row(path)


def check_view(path: Path) -> None:
    """It is the view whose name its own name is made from."""
    read_view(path)


def check_starting(path: Path) -> None:
    """It names a worker that runs."""
    try:
        runs = is_running(read_json(path, "worker")["worker"])
    except (KeyError, ValueError, AttributeError) as error:
        raise DamagedArtefact(f"{str(path)!r} names no worker.") from error
    if not runs:
        raise ArtefactError(f"{str(path)!r} names a worker that is gone.")


FILE_CHECKS: Mapping[Check, Callable[[Path], None]] = {
    "readable": check_readable,
    "json": check_json,
    "lines": check_lines,
    "password": check_password,
    "upload": check_upload,
    "states": check_states,
    "statistics": check_statistics,
    "row": check_row,
    "view": check_view,
    "memory": check_memory,
    "starting": check_starting,
}
"""By the word in the inventory."""
