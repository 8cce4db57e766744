"""What a workspace remembers of its journal: which one it is, and how far it had come when it was last seen.

The memory is written after a write is on the disk, so it is never ahead of the journal. It may be behind: a
crash, or two processes that write at once, can lose its last updates, and that harms nothing.
"""

from pathlib import Path
from typing import NamedTuple

from lorif_core.block_memory import BlockMemory


class Seen(NamedTuple):
    """A journal as it was when it was last seen."""

    identity: str
    """Of the journal, drawn when it was made."""

    revision: int
    digest: str
    """Of the chain at this revision; empty at 0."""

    place: str
    """Where it was, without a password."""


class LastSeen:
    """The file that holds the memory. Threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._memory = BlockMemory(path, "journal")

    def exists(self) -> bool:
        """Whether a journal was ever seen; it may be that the file cannot be read."""
        return self._memory.exists()

    def read(self) -> Seen | None:
        """The memory; None if there is none or it cannot be read."""
        said = self._memory.read() or {}
        try:
            return Seen(str(said["identity"]), int(said["revision"]), str(said["digest"]), str(said["place"]))
        except (KeyError, ValueError, TypeError):
            return None

    def write(self, seen: Seen) -> None:
        """Remember for certain: the file is on the disk afterwards."""
        self._memory.write(seen._asdict())

    def follow(self, seen: Seen) -> None:
        """Remember after a write, without waiting for the disk. A failure makes the memory older, nothing else."""
        self._memory.follow(seen._asdict())
