"""What a workspace remembers of its journal: which one it is, and how far it had come when it was last seen.

The memory is written after a write is on the disk, so it is never ahead of the journal. It may be behind: a
crash, or two processes that write at once, can lose its last updates, and that harms nothing.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.files import replace_file

BLOCK_BYTES = 512
"""What a disk writes at once."""

TRIES = 3
"""How often a memory is read that another process is just writing."""


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
        self._read: tuple[tuple[int, ...], Seen | None] | None = None

    def exists(self) -> bool:
        """Whether a journal was ever seen; it may be that the file cannot be read."""
        return self.path.exists()

    def read(self) -> Seen | None:
        """The memory; None if there is none or it cannot be read. Looks at the content only when that changed."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        kept = self._read
        if kept is None or kept[0] != stamp:
            seen = next(filter(None, (_parsed(self.path) for _ in range(TRIES))), None)
            self._read = kept = stamp, seen
        return kept[1]

    def write(self, seen: Seen) -> None:
        """Remember for certain: the file is on the disk afterwards."""
        with replace_file(self.path) as partial:
            partial.write_bytes(_content(seen))
        self._read = None

    def follow(self, seen: Seen) -> None:
        """Remember after a write, without waiting for the disk. A failure makes the memory older, nothing else.

        It is written over the content in place, in one block of the disk: after a crash it is the old or the new one.
        """
        content = _content(seen)
        with suppress(OSError):
            handle = os.open(self.path, os.O_WRONLY)
            try:
                found = os.fstat(handle)
                if found.st_size == len(content):
                    os.pwrite(handle, content, 0)
                    found = os.fstat(handle)
                    self._read = (found.st_ino, found.st_size, found.st_mtime_ns), seen
                    return
            finally:
                os.close(handle)
            self.write(seen)


def _content(seen: Seen) -> bytes:
    """At least a block long, so that a later memory takes the same place."""
    return json.dumps({"journal": seen._asdict()}, ensure_ascii=False).encode().ljust(BLOCK_BYTES - 1) + b"\n"


def _parsed(path: Path) -> Seen | None:
    try:
        said: Any = json.loads(path.read_bytes())["journal"]
        return Seen(str(said["identity"]), int(said["revision"]), str(said["digest"]), str(said["place"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
