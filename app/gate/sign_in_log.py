"""Who came in and who did not: lines of JSON in the workspace's logs, without passwords."""

import json
import os
import threading
from pathlib import Path

from lorif_core.journal.entries import utc_now
from lorif_core.private_logs import open_log

MOST_BYTES = 2_000_000
"""Of a file; the one before it is kept beside it, older ones are not."""


class SignInLog:
    """The file ``logs/sign-ins.log`` of a workspace, readable by its owner only."""

    def __init__(self, workspace: Path) -> None:
        """Write below the workspace's folder."""
        self.path = workspace / "logs" / "sign-ins.log"
        self.path.parent.mkdir(exist_ok=True)
        self._lock = threading.Lock()

    def note(self, what: str, address: str, person: str | None) -> None:
        """Add a line.

        Args:
            what: Happened, in a few words.
            address: Where it came from.
            person: A member's name; None for a name that nobody bears: it may be a password in the wrong box.
        """
        line = {"at": utc_now().isoformat(timespec="seconds"), "what": what, "address": address, "name": person}
        with self._lock:
            with os.fdopen(open_log(self.path, MOST_BYTES), "a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
