"""What somebody is working on right now, which is no finding."""

import os
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import psutil

from lorif_core.file_turns import is_locked

PATIENCE_S = 600
"""A writer on another machine is seen by its files only; one that wrote nothing for so long is taken for dead."""


class Living:
    """Who works in a workspace while it is looked at."""

    def __init__(self, root: Path, now: float | None = None) -> None:
        self.root = root
        self._now = time.time() if now is None else now

    def is_recent(self, path: Path) -> bool:
        """Whether a file, or anything in a folder, was written a moment ago."""
        try:
            newest = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
        except (OSError, ValueError):
            return True  # it is going away just now
        return self._now - newest < PATIENCE_S

    def has_open(self, path: Path) -> bool:
        """Whether a process of this machine has a file open, or one in a folder."""
        name = str(path.resolve())
        return any(one == name or one.startswith(f"{name}{os.sep}") for one in self._opened)

    def is_worked_on(self, path: Path) -> bool:
        """Whether a file or folder may still have a writer."""
        return self.is_recent(path) or self.has_open(path)

    @cached_property
    def _opened(self) -> frozenset[str]:
        return frozenset(_opened_files())


def _opened_files() -> Iterator[str]:
    for process in psutil.process_iter():
        try:
            yield from (opened.path for opened in process.open_files())
        except (psutil.Error, OSError):  # another person's, or gone
            continue


def is_held(lock: Path) -> bool:
    """Whether somebody has locked a file or folder; False where that cannot be looked at."""
    try:
        return is_locked(lock)
    except OSError:
        return False
