"""The state of a whole corpus, kept in memory and brought up to date by what happened since.

A journal only grows, and a state depends on nothing but the events of its own example. So a state that was
right at one revision is right at a later one, unless an event of its example came between; only those are
reduced anew. One look at the newest batch tells whether anything came between at all, whichever process wrote it.
"""

import threading
from pathlib import Path

import polars as pl
from sqlalchemy import Connection, select

from lorif_core.files import fingerprint_of_value
from lorif_core.journal.journal_tables import BatchRow
from lorif_core.journal.kept_states import Head, KeptStates, read_states_file, write_states
from lorif_core.journal.reads import read_states, read_states_since

NO_BATCH = Head(0, "")

WORTH_A_FILE = 1_000
"""Revisions that a file must save a new process from reading."""


class FollowedStates:
    """States of the corpora of one journal. Threads may share it."""

    def __init__(self, folder: Path | None) -> None:
        """Begin with what is kept in a folder, if anything is; None: everything is read from the journal."""
        self._folder = folder
        self._kept: dict[str, KeptStates] = {}
        self._written: dict[str, int] = {}
        self._lock = threading.Lock()

    def knows(self, corpus_id: str) -> bool:
        """Whether the states of a corpus are kept, so that reading them is no more than catching up."""
        return self._earlier(corpus_id) is not None

    def read(self, connection: Connection, corpus_id: str) -> tuple[pl.DataFrame, int]:
        """The states of a corpus as of the transaction of ``connection``, and the revision of its newest batch.

        Must be the first read of the transaction: what is kept may not be newer than what it sees.
        """
        kept = self._earlier(corpus_id)
        head = _head(connection)
        if kept is None or not _goes_on(connection, kept.head, head):
            states = read_states(connection, corpus_id, None)
        elif kept.head == head:
            return kept.states, head.revision
        else:
            states = _merged(kept.states, read_states_since(connection, corpus_id, kept.head.revision))
        self._keep(corpus_id, KeptStates(head, states))
        return states, head.revision

    def _earlier(self, corpus_id: str) -> KeptStates | None:
        with self._lock:
            if corpus_id in self._kept or self._folder is None:
                return self._kept.get(corpus_id)
        found = read_states_file(self._file(self._folder, corpus_id), corpus_id)
        if found is None:
            return None
        with self._lock:
            self._written[corpus_id] = found.head.revision
            return self._kept.setdefault(corpus_id, found)

    def _keep(self, corpus_id: str, new: KeptStates) -> None:
        with self._lock:
            self._kept[corpus_id] = new
            is_worth_it = abs(new.head.revision - self._written.get(corpus_id, 0)) >= WORTH_A_FILE
            if self._folder is None or not is_worth_it:
                return
            self._written[corpus_id] = new.head.revision
        write_states(self._file(self._folder, corpus_id), corpus_id, new)

    @staticmethod
    def _file(folder: Path, corpus_id: str) -> Path:
        return folder / f"{fingerprint_of_value(corpus_id)[:16]}.states"


def _head(connection: Connection) -> Head:
    newest = select(BatchRow.revision, BatchRow.batch_id).order_by(BatchRow.revision.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return NO_BATCH if row is None else Head(row.revision, row.batch_id)


def _goes_on(connection: Connection, earlier: Head, head: Head) -> bool:
    """Whether the journal is still the one that had a batch as its newest; not so when a backup was put back."""
    if earlier in (head, NO_BATCH):
        return True
    there = select(BatchRow.batch_id).where(BatchRow.revision == earlier.revision)
    return connection.scalar(there) == earlier.batch_id


def _merged(states: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    if changed.is_empty():
        return states
    return pl.concat([states.join(changed, on="train_id", how="anti"), changed]).sort("train_id")
