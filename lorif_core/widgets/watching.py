"""Decisions made elsewhere: one thread per process looks at the journals of the widgets that are there."""

import threading
import time
import weakref
from typing import Protocol, runtime_checkable

from lorif_core.errors import JournalError
from lorif_core.workspace.workspace import Workspace

POLL_S = 1.5
"""A decision made elsewhere is on screen within about this time."""


@runtime_checkable
class Watcher(Protocol):
    """What wants to know."""

    workspace: Workspace

    def refresh(self) -> None:
        """Show what the journal says now."""


_watchers: "weakref.WeakSet[Watcher]" = weakref.WeakSet()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def watch(watcher: Watcher) -> None:
    """Refresh it after every decision in its journal, until it is unwatched or gone."""
    global _thread
    with _lock:
        _watchers.add(watcher)
        if _thread is None:
            _thread = threading.Thread(target=_poll, name="lorif-journal", daemon=True)
            _thread.start()


def unwatch(watcher: Watcher) -> None:
    """Refresh it no longer."""
    with _lock:
        _watchers.discard(watcher)


def _poll() -> None:
    global _thread
    seen: dict[str, int] = {}
    while True:
        time.sleep(POLL_S)
        with _lock:
            present = list(_watchers)
            if not present:
                _thread = None
                return
        for path, workspace in {str(one.workspace.path): one.workspace for one in present}.items():
            try:
                revision = workspace.journal.revision()
                if seen.get(path) != revision:  # also at the first look: it may come after a decision
                    for watcher in present:
                        if str(watcher.workspace.path) == path:
                            watcher.refresh()
            except JournalError:  # busy, or the folder is gone: the next look may succeed
                continue
            seen[path] = revision
        del present
