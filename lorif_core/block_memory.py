"""A small file that is written over again and again: a few facts that follow something else, at hardly any cost.

It is one block of the disk, written over in place and not waited for: after a crash it is the old one or the new one.
So it may only hold what is right or merely old, whichever of its last states is found.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lorif_core.errors import ResourceError
from lorif_core.files import Stamp, replace_file, stamp_of

BLOCK_BYTES = 512
"""What a disk writes at once."""

TRIES = 3
"""How often a memory is read that another process is just writing."""

Facts = dict[str, Any]
"""JSON values by name."""


class BlockMemory:
    """The facts in a file. Threads and processes may share it."""

    def __init__(self, path: Path, about: str) -> None:
        """Begin with what is remembered.

        Args:
            path: The file; there may be none yet.
            about: What the facts are about: the key under which they stand in the file.
        """
        self.path = path
        self._about = about
        self._read: tuple[Stamp, Facts | None] | None = None

    def exists(self) -> bool:
        """Whether anything was ever remembered; it may be that the file cannot be read."""
        return self.path.exists()

    def read(self) -> Facts | None:
        """The facts; None if there are none or they cannot be read. Looks at the content only when that changed."""
        try:
            stamp = stamp_of(self.path)
        except OSError:
            return None
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, next(filter(None, (self._parsed() for _ in range(TRIES))), None)
        return self._read[1]

    def write(self, facts: Facts) -> None:
        """Remember for certain: the file is on the disk afterwards."""
        with replace_file(self.path) as partial:
            partial.write_bytes(self._content(facts))
        self._read = None

    def follow(self, facts: Facts) -> None:
        """Remember without waiting for the disk. A failure leaves the facts that were there."""
        content = self._content(facts)
        with suppress(OSError, ResourceError):
            if not self.path.exists() or self.path.stat().st_size != len(content):
                self.write(facts)
                return
            handle = os.open(self.path, os.O_WRONLY)
            try:
                os.pwrite(handle, content, 0)
                self._read = stamp_of(self.path), facts
            finally:
                os.close(handle)

    def _content(self, facts: Facts) -> bytes:
        """At least a block long, so that later facts take the same place."""
        return json.dumps({self._about: facts}, ensure_ascii=False).encode().ljust(BLOCK_BYTES - 1) + b"\n"

    def _parsed(self) -> Facts | None:
        try:
            found = json.loads(self.path.read_bytes())[self._about]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, dict) else None
