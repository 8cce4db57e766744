"""A slice of the parts of an index, as one task of an array job does it: without a word to or from the others.

Which parts a slice has depends on nothing but their numbers, so a task that is started again does what it left, and
tasks of one array share no part. Two tasks of the same slice do no harm: of a part, the first entry wins.
"""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from lorif_core.catalog import IndexRecord
from lorif_core.errors import ConfigError
from lorif_core.store.parts import missing_parts
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.make_parts import make_parts
from lorif_core.workspace.indexes.planned_index import ModelPlace, finish_index, job_of, planned_index


@dataclass(frozen=True)
class Slice:
    """The ``number``-th of ``count`` slices, counted from 1."""

    number: int
    count: int

    def __post_init__(self) -> None:
        """Check the range."""
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"slices are counted from 1, so `--slice` is 1/{max(self.count, 1)} to {max(self.count, 1)}/"
                f"{max(self.count, 1)}, got {self.number}/{self.count}. Where tasks are counted from 0, add 1: "
                "`--slice $((JOB_COMPLETION_INDEX + 1))/16`."
            )

    def parts(self, num_parts: int) -> range:
        """Numbers of its parts: every ``count``-th."""
        return range(self.number - 1, num_parts, self.count)


def parse_slice(text: str) -> Slice:
    """A slice from words such as ``3/16``.

    Raises:
        ConfigError: The text names none.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
    if found is None:
        raise ConfigError(f"a slice is a number and how many there are, such as `--slice 3/16`, got {text!r}.")
    return Slice(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class SliceDone:
    """What a task left."""

    num_own: int
    """Parts of the slice."""

    num_left_of_own: int
    """Of these, those that are missing: the task was told to stop."""

    num_left: int
    """Parts of the whole index that are missing."""

    record: IndexRecord | None
    """Of the index, where it is complete; None: parts are missing, or another process is finishing it."""


def index_slice(
    files: WorkspaceFiles, index_id: str, chosen: Slice, place: ModelPlace, on_progress: ProgressSink
) -> SliceDone:
    """Make what is missing of a slice, and finish the index if nothing is missing of it and nobody else does.

    Told to stop (SIGTERM), it finishes the part in work and ends; told again, it stops at once.

    Raises:
        ArtefactError: The index has no plan.
        CaptureError: Too many texts fail.
        LorifError: The model or the data is not the planned one, or the machine does not suffice.
    """
    record, plan = planned_index(files, index_id)
    stored_at, own = files.index_place(record), chosen.parts(plan.num_parts)
    if not set(own).isdisjoint(missing_parts(plan, stored_at)):
        with told_to_stop() as is_told:
            make_parts(job_of(files, record, place), own, on_progress, is_told)
    missing = missing_parts(plan, stored_at)
    left_of_own, left = sum(number in own for number in missing), len(missing)
    finished = None if left else finish_index(files, index_id, on_progress)
    return SliceDone(len(own), left_of_own, left, finished)


@contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """Note SIGTERM while the block runs instead of ending; the second one acts as Ctrl-C. Yields whether one came.

    Only the main thread of a process may do so; elsewhere the block is never told.
    """
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        if told.is_set():
            raise KeyboardInterrupt
        told.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield told.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
