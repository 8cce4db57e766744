"""What a workspace remembers of its catalog: which one it is, and how often it had been written when last seen.

The memory is written in the writers' turn, after the catalog is on the disk, so it is never ahead of it. A crash may
lose its last update; then the catalog is newer than remembered, and that harms nothing.
"""

from pathlib import Path
from typing import NamedTuple

from lorif_core.block_memory import BlockMemory
from lorif_core.errors import CatalogError

REMEDIES = (
    "bring the right one back, restore a backup with `lorif restore-backup`, or begin an empty one with "
    "`lorif catalog {workspace} --start-anew`"
)


class SeenCatalog(NamedTuple):
    """A catalog as it was when it was last seen."""

    identity: str
    """Of the catalog, drawn when it was made."""

    generation: int
    """How often it had been written."""


class LastSeenCatalog:
    """The file that holds the memory of one workspace. Threads and processes may share it."""

    def __init__(self, path: Path, *, has_data: bool = False) -> None:
        """Begin with what is remembered.

        Args:
            path: The file, beside the catalog.
            has_data: Whether the workspace holds data, so that it had a catalog even if none is remembered.
        """
        self.path = path
        self._memory = BlockMemory(path, "catalog")
        self._has_data = has_data

    def may_be_new(self) -> bool:
        """Whether the workspace may be one that never had a catalog."""
        return not self._memory.exists() and not self._has_data

    def exists(self) -> bool:
        """Whether a catalog was ever seen; it may be that the file cannot be read."""
        return self._memory.exists()

    def read(self) -> SeenCatalog | None:
        """The memory; None if there is none or it cannot be read."""
        said = self._memory.read() or {}
        try:
            return SeenCatalog(str(said["identity"]), int(said["generation"]))
        except (KeyError, ValueError, TypeError):
            return None

    def write(self, seen: SeenCatalog) -> None:
        """Remember for certain: the file is on the disk afterwards."""
        self._memory.write(seen._asdict())

    def follow(self, seen: SeenCatalog) -> None:
        """Remember after a write, without waiting for the disk. A failure makes the memory older, nothing else."""
        self._memory.follow(seen._asdict())


def check_seen(found: SeenCatalog, seen: SeenCatalog | None, path: Path) -> None:
    """Refuse a catalog that is not the one that was seen, or older.

    Args:
        found: What the catalog says of itself.
        seen: What was remembered before the catalog was opened; None: nothing.
        path: The catalog's file.

    Raises:
        CatalogError: It is another one, or older.
    """
    if seen is None:
        return
    if found.identity != seen.identity:
        raise lost(path, "is not the one that this workspace works with")
    if found.generation < seen.generation:
        raise lost(
            path,
            f"is an older copy: it was written {found.generation:,} times, and the workspace has seen it written "
            f"{seen.generation:,} times",
        )


def lost(path: Path, problem: str) -> CatalogError:
    """The error that says what is wrong with a catalog, and what can be done."""
    return CatalogError(f"the catalog {str(path)!r} {problem}: {REMEDIES.format(workspace=path.parent)}.")
