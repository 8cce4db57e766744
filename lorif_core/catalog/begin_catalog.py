"""Begin an empty catalog in the place of one that is lost, damaged, another one or too old."""

from pathlib import Path

from lorif_core.catalog.catalog_file import create_file, lock_of, opened, seen_in
from lorif_core.catalog.duckdb_catalog import LOCK_TIMEOUT_S
from lorif_core.catalog.last_seen_catalog import LastSeenCatalog
from lorif_core.file_turns import turn_at
from lorif_core.files import give_up


def begin_catalog(path: Path, last_seen: LastSeenCatalog) -> list[Path]:
    """Move what is there aside, make an empty catalog, and remember it; in the writers' turn.

    Killed in between it leaves a workspace that refuses what it finds; the same call again finishes.

    Returns:
        Where the files of the one before are now.

    Raises:
        TurnError: Others do not stop writing.
    """
    with turn_at(lock_of(path), LOCK_TIMEOUT_S):
        moved = give_up(path, [".wal"])
        create_file(path)
        with opened(path) as connection:
            found = seen_in(connection)
        if found is not None:
            last_seen.write(found)
    return moved
