"""How far an unfinished index is, whoever builds it: read from the entries of its parts, which say who made them.

A worker shows when its first part is finished. One that has finished none for long is not counted on for the time
that is left: it has ended, or was lost.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lorif_core.errors import LorifError
from lorif_core.store.json_files import Folder, place_at
from lorif_core.store.parts import PartEntry, finished_at, read_entry
from lorif_core.store.place import Place
from lorif_core.store.plan import PLAN, read_plan
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

LEAST_PATIENCE_S = 60.0
PATIENCE = 3.0
"""A worker is taken for gone when it has finished nothing for so many times what its slowest part took."""


@dataclass(frozen=True)
class WorkerProgress:
    """What one worker has done of an index."""

    worker: str
    """Host and process."""

    device: str
    num_parts: int
    tokens_per_second: float | None
    """While it made parts; None where its parts hold no token."""

    idle_s: float
    """Since its last part was finished."""

    is_at_work: bool
    """Whether it finished a part not too long ago."""


@dataclass(frozen=True)
class BuildProgress:
    """How far the parts of an index are."""

    index_id: str
    num_parts: int
    num_finished: int
    num_examples: int
    num_stored: int
    """Texts in finished parts."""

    seconds_left: float | None
    """Of the parts, at the rate of the workers that are at work; None where none is, or its rate is not known."""

    workers: list[WorkerProgress]
    """Who made a part that is there, the ones at work first."""

    @property
    def sentence(self) -> str:
        """For people."""
        share = f"{self.num_finished:,} of {self.num_parts:,} parts"
        active = [one for one in self.workers if one.is_at_work]
        if self.num_finished == self.num_parts:
            return f"{share}; the curvature is left, which `lorif index` and `lorif index-part` fit"
        if not active:
            return f"{share}; nobody has finished a part lately"
        rate = sum(one.tokens_per_second or 0 for one in active)
        workers = f"{len(active):,} worker{'s' if len(active) != 1 else ''} with {rate:,.0f} tokens/s together"
        return f"{share}; {workers}"


def builds_of(files: WorkspaceFiles) -> list[BuildProgress]:
    """Every index whose plan is decided and that is not complete, the oldest first."""
    unfinished = [one for one in files.catalog.indexes() if one.status != "complete"]
    found: list[BuildProgress] = []
    for one in unfinished:
        with suppress(LorifError):  # a damaged index is not described; `lorif doctor` names it
            if (place := files.index_place(one)).has(PLAN):
                found.append(progress_of(place, time.time()))
    return found


def progress_of(folder: Folder, now: float) -> BuildProgress:
    """How far the index in a folder is.

    Args:
        folder: Where the index lies; its plan is there.
        now: Seconds since 1970.

    Raises:
        ArtefactError: The plan or an entry cannot be read.
    """
    place = place_at(folder)
    plan = read_plan(place)
    times = {number: time for number, time in finished_at(place).items() if number < plan.num_parts}
    entries = {number: _entry(place.told(), number, time, place) for number, time in times.items()}
    stored = sum(entry.shard.num_examples for entry in entries.values())
    workers = _workers(entries, times, now)
    positions = [entry.shard.num_positions for entry in entries.values()]
    tokens_left = (plan.num_examples - stored) * sum(one or 0 for one in positions) / max(stored, 1)
    rate = sum(one.tokens_per_second or 0.0 for one in workers if one.is_at_work)
    return BuildProgress(
        index_id=place.name,
        num_parts=plan.num_parts,
        num_finished=len(entries),
        num_examples=plan.num_examples,
        num_stored=stored,
        seconds_left=0.0 if stored == plan.num_examples else tokens_left / rate if rate else None,
        workers=workers,
    )


_READ: dict[tuple[str, int, float], PartEntry] = {}


def _entry(told: str, number: int, finished: float, place: Place) -> PartEntry:
    """An entry, read once: it never changes, unless somebody deletes it and its part is made anew at another time."""
    if (told, number, finished) not in _READ:
        _READ[told, number, finished] = read_entry(place, number)
    return _READ[told, number, finished]


def _workers(entries: Mapping[int, PartEntry], times: Mapping[int, float], now: float) -> list[WorkerProgress]:
    by_worker: dict[str, list[int]] = {}
    for number, entry in entries.items():
        if entry.origin is not None:
            by_worker.setdefault(entry.origin.worker, []).append(number)
    found = [
        _worker(name, [entries[one] for one in own], now - max(times[one] for one in own))
        for name, own in by_worker.items()
    ]
    return sorted(found, key=lambda one: (not one.is_at_work, one.worker))


def _worker(name: str, own: Sequence[PartEntry], idle_s: float) -> WorkerProgress:
    seconds = [entry.origin.seconds for entry in own if entry.origin is not None]
    tokens = sum(entry.shard.num_positions or 0 for entry in own)
    return WorkerProgress(
        worker=name,
        device=own[-1].origin.device if own[-1].origin is not None else "",
        num_parts=len(own),
        tokens_per_second=tokens / sum(seconds) if tokens and sum(seconds) else None,
        idle_s=max(idle_s, 0.0),
        is_at_work=idle_s < max(LEAST_PATIENCE_S, PATIENCE * max(seconds)),
    )
