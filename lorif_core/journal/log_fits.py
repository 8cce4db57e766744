"""Whether SQLite's log belongs to the file that it lies beside.

A process that is killed leaves its log, which holds the latest writes as pages of the file. When an older copy of the
file is put into its place, SQLite lays these pages over it and notices nothing, and pages that lie between the two
times are missing: decisions are gone, and others stay. Counts that always agree in a journal then differ.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from lorif_core.errors import JournalError

COUNTS = """
SELECT (SELECT count(*) FROM event NOT INDEXED),
       (SELECT count(*) FROM event INDEXED BY event_of_batch),
       (SELECT coalesce(sum(num_events), 0) FROM batch),
       (SELECT count(*) FROM batch) + (SELECT count(*) FROM revision_link),
       (SELECT number FROM revision)
"""


class LogCheck:
    """Checks a file and its log once for every state of the file. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._checked: tuple[int, ...] | None = None

    def require_fit(self) -> None:
        """Refuse a file whose log is of another one, before it is opened so that one is written into the other.

        Raises:
            JournalError: They do not fit.
        """
        try:
            if not self._path.is_file() or not self._log.stat().st_size:
                return
            found = self._path.stat()
        except OSError:
            return  # said where it is opened
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if state == self._checked:
            return
        if not self._fits():
            raise JournalError(
                f"the journal {str(self._path)!r} and {self._log.name!r} beside it are damaged or of other times: "
                "bring back the file that belongs to the log, restore a backup with `lorif restore-backup`, or move "
                "the log away and go on with the older file by `lorif journal WORKSPACE --accept`."
            )
        self._checked = state

    def _fits(self) -> bool:
        # Read-only: closing it does not write the log into the file.
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as connection:
            try:
                in_table, in_index, in_batches, revisions, number = connection.execute(COUNTS).fetchone()
            except sqlite3.DatabaseError as error:
                # Of an earlier version, or said better where it is opened; a page that is missing is said here.
                return not error.sqlite_errorname.startswith("SQLITE_CORRUPT")
        return in_table == in_index == in_batches and revisions == number
