"""Begin an empty catalog in the place of one that is lost, damaged, another one or too old."""

from datetime import UTC, datetime
from pathlib import Path

from lorif_core.catalog.catalog_file import create_file, log_of, opened, seen_in
from lorif_core.catalog.last_seen_catalog import LastSeenCatalog
from lorif_core.file_turns import turn_at

TIMEOUT_S = 30.0


def begin_catalog(path: Path, last_seen: LastSeenCatalog) -> list[Path]:
    """Move what is there aside, make an empty catalog, and remember it; in the writers' turn.

    Killed in between it leaves a workspace that refuses what it finds; the same call again finishes.

    Returns:
        Where the files of the one before are now.

    Raises:
        TurnError: Others do not stop writing.
    """
    with turn_at(path.with_name(path.name + ".lock"), TIMEOUT_S):
        moved = [_move_aside(path, found) for found in (path, log_of(path)) if found.exists() or found.is_symlink()]
        create_file(path)
        with opened(path) as connection:
            found = seen_in(connection)
        if found is not None:
            last_seen.write(found)
    return moved


def _move_aside(path: Path, found: Path) -> Path:
    now = datetime.now(UTC)
    aside = path.with_name(f"{path.stem}.given-up-{now:%Y%m%dT%H%M%S%f}{found.name[len(path.stem) :]}")
    return found.rename(aside)
