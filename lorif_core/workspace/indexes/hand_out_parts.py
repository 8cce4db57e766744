"""Hand out the parts of an index that are missing to workers: the driver of a build by many processes.

The driver knows nothing that the files do not say: which parts are there. A worker makes a part from the workspace's
path, the index's id and the part's number. If the driver dies, the same command starts again with what is missing.
"""

import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from lorif_core.errors import LorifError, ResourceError
from lorif_core.ray_pool import Ended, RayPool, Refusal, ray_pool
from lorif_core.store.cores import num_cores
from lorif_core.store.json_files import Folder
from lorif_core.store.parts import missing_parts
from lorif_core.store.plan import Plan, read_plan
from lorif_core.workers_config import WorkersConfig
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import open_files
from lorif_core.workspace.indexes.failing_texts import FailingText
from lorif_core.workspace.indexes.index_job import IndexJob
from lorif_core.workspace.indexes.make_parts import PartMaker, part_maker
from lorif_core.workspace.indexes.planned_index import ModelPlace, job_of, planned_index

WAIT_S = 1.0
"""How long the driver waits for news before it looks who is late."""

LOOK_S = 30.0
"""How often it looks which parts others have made."""

MOST_DEATHS = 5
"""How often a part may take its worker, and those that Ray put in its place, with it."""

SLOW = 4.0
"""A part that takes so many times as long as the slowest one so far is given to an idle worker as well."""

LEAST_SLOW_S = 60.0


class Made(NamedTuple):
    """What a worker says of a part."""

    failed: str | None = None
    """Why a text fails; the part is not made."""

    refusal: Refusal | None = None
    """Why it, or any other, cannot be made."""


class PartWorker:
    """Makes parts of one index, in a process of its own; loads the model once."""

    def __init__(self, workspace: Path, index_id: str, place: ModelPlace, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self._workspace, self._index_id, self._place = workspace, index_id, place
        self._model = ExitStack()  # the model stays ready for capture for as long as this lives
        self._maker: PartMaker | None = None

    def load(self) -> Made:
        """Load the model, so that parts are handed to processes that are ready only."""
        try:
            self._ready()
        except LorifError as error:
            return Made(refusal=Refusal.of(error))
        return Made()

    def make(self, number: int, leaves_out: bool) -> Made:
        """Make a part; ``PartMaker.make`` says what for."""
        try:
            self._ready().make(number, leaves_out=leaves_out)
        except FailingText as failure:
            return Made(failed=str(failure))
        except LorifError as error:
            return Made(refusal=Refusal.of(error))
        return Made()

    def _ready(self) -> PartMaker:
        if self._maker is None:
            files = open_files(self._workspace)
            record, _ = planned_index(files, self._index_id)
            self._maker = self._model.enter_context(part_maker(job_of(files, record, self._place)))
        return self._maker


def make_parts_with(job: IndexJob, workers: WorkersConfig, on_progress: ProgressSink) -> None:
    """Have workers make the parts of an index that are missing.

    Args:
        job: The index; its plan is written.
        workers: How many, and where.
        on_progress: Receives ("gradients", texts done, all).

    Raises:
        ConfigError: Ray is not installed, or not there.
        LorifError: What a worker refused.
    """
    plan = read_plan(job.place)
    if not missing_parts(plan, job.place):
        return
    place = ModelPlace("auto", job.settings.model.model)
    make = partial(PartWorker, job.files.root.resolve(), job.index_id, place)
    uses_gpus = job.settings.model.device != "cpu"
    with ray_pool(workers, make, num_cores=num_cores(), uses_gpus=uses_gpus) as pool:
        _HandOut(pool, plan, job.place, on_progress).run()


@dataclass
class _Call:
    """A part in the hands of a worker."""

    number: int
    began: float


@dataclass
class _HandOut:
    """The state of one driver; all of it can be made anew from the files."""

    pool: RayPool
    plan: Plan
    stored_at: Folder
    on_progress: ProgressSink
    left: set[int] = field(default_factory=set[int])
    """Parts that are not there, as far as is known."""

    waiting: deque[int] = field(default_factory=deque[int])
    """Of these, those that no worker has."""

    idle: list[int] = field(default_factory=list[int])
    at_work: dict[int, _Call] = field(default_factory=dict[int, _Call])
    failed_by: dict[int, int] = field(default_factory=dict[int, int])
    """By part with a text that fails: the worker that said so. Another one, if there is, looks which text it is."""

    deaths: dict[int | None, int] = field(default_factory=dict[int | None, int])
    slowest_s: float = 0.0
    looked_at: float = 0.0

    def run(self) -> None:
        """Hand out until every part is there."""
        self.waiting.extend(missing_parts(self.plan, self.stored_at))
        self.left.update(self.waiting)
        self.looked_at = time.monotonic()
        self._say()
        for worker in range(self.pool.num_workers):
            self.pool.call(worker, "load")
        while self.left:
            for ended in self.pool.wait(WAIT_S):
                self._take(ended)
            if time.monotonic() - self.looked_at > LOOK_S:
                self._look()
            self._hand_out()
            self._say()

    def _look(self) -> None:
        """See which parts others have made, such as the tasks of an array job."""
        self.left.intersection_update(missing_parts(self.plan, self.stored_at))
        self.waiting = deque(number for number in self.waiting if number in self.left)
        self.looked_at = time.monotonic()

    def _take(self, ended: Ended) -> None:
        call = self.at_work.pop(ended.worker, None)
        self.idle.append(ended.worker)
        if ended.lost is not None:
            self._take_death(call, ended.lost)
            return
        made: Made = ended.result
        if made.refusal is not None:
            made.refusal.raise_here()
        if call is None:
            return
        self.slowest_s = max(self.slowest_s, time.monotonic() - call.began)
        if made.failed is None:
            self.left.discard(call.number)
        elif call.number in self.left:
            self.failed_by[call.number] = ended.worker
            self.waiting.append(call.number)

    def _take_death(self, call: _Call | None, why: str) -> None:
        number = None if call is None else call.number
        self.deaths[number] = self.deaths.get(number, 0) + 1
        most = MOST_DEATHS if number is not None else max(MOST_DEATHS, self.pool.num_workers)
        if self.deaths[number] >= most:
            what = "to load the model" if number is None else f"to make part {number}"
            raise ResourceError(
                f"workers die when they are asked {what} ({why}): most likely their memory does not suffice. Use "
                "fewer `--workers` or a smaller `--tokens-per-batch`; what is finished is kept."
            )
        if number in self.left and number not in self.waiting:
            self.waiting.append(number)

    def _hand_out(self) -> None:
        for worker in list(self.idle):
            number = self._next_for(worker)
            if number is not None:
                self.idle.remove(worker)
                self.at_work[worker] = _Call(number, time.monotonic())
                self.pool.call(worker, "make", number, number in self.failed_by)

    def _next_for(self, worker: int) -> int | None:
        """A part that nobody makes; else one that somebody has had for so long that they may be lost."""
        is_alone = not self.at_work and len(self.idle) == 1  # nobody else will take what this one failed at
        others = self.waiting if is_alone else ()
        free = [*(number for number in self.waiting if self.failed_by.get(number) != worker), *others]
        if free:
            self.waiting.remove(free[0])
            return free[0]
        patience, now = max(LEAST_SLOW_S, SLOW * self.slowest_s), time.monotonic()
        held = [call.number for call in self.at_work.values()]
        late = (call.number for call in self.at_work.values() if now - call.began > patience)
        return next((number for number in late if number in self.left and held.count(number) == 1), None)

    def _say(self) -> None:
        total = self.plan.num_examples
        self.on_progress("gradients", total - sum(len(self.plan.rows_of(number)) for number in self.left), total)
