"""Work that needs the model, in one thread beside the scripts: a click elsewhere does not lose it.

One thread, because a model answers one question at a time. A task has an id made from what was asked, so
that a second tab or a reload of the page finds the same task.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import streamlit as st

from app import session
from lorif_core.files import fingerprint_of_value
from lorif_core.workspace.folder.progress import Cancelled, ProgressSink

KEPT_TASKS = 200
LOOK_EVERY_S = 0.4
LOOK_S = 0.25
"""How long a look at a task may wait for its end, so that the page need not wait for the next look."""

REDRAW_S = 5.0
"""Time between two requests to draw the page for the same finished task."""


@dataclass(frozen=True)
class Task:
    """Something that runs or is done."""

    task_id: str
    started_at: float
    """Seconds of the monotonic clock."""

    future: Future[Any]

    stop: Event
    """Set: the work ends at the next place where it reports progress."""

    stages: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How far each stage is that the work has reported: done, total."""

    @property
    def is_done(self) -> bool:
        """Whether there is a result, or an error."""
        return self.future.done()

    @property
    def elapsed_s(self) -> float:
        """Since it was asked for."""
        return time.monotonic() - self.started_at

    def wait(self, seconds: float) -> bool:
        """Whether it is done, after waiting so long at most; for what is usually quick."""
        wait([self.future], timeout=seconds)
        return self.is_done

    def result(self) -> Any:
        """What came out; raises what went wrong."""
        return self.future.result()


class Tasks:
    """The tasks of one workspace, the latest ``KEPT_TASKS`` of them."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorif-model")
        self._tasks: OrderedDict[str, Task] = OrderedDict()

    def start(self, what: object, work: Callable[[], Any]) -> Task:
        """The task that does ``work``, or the one that does it already.

        Args:
            what: JSON value that names the work; the same value is the same task unless it failed.
            work: Runs in the thread; may use no Streamlit.
        """
        return self.start_stoppable(what, lambda report: work())

    def start_stoppable(self, what: object, work: Callable[[ProgressSink], Any]) -> Task:
        """As ``start``, for work that can end early: it reports progress to what it is given."""
        task_id = fingerprint_of_value(what)[:16]
        known = self._tasks.get(task_id)
        if known is None or (known.is_done and known.future.exception() is not None):
            stop, stages = Event(), dict[str, tuple[int, int]]()

            def report(stage: str, done: int, total: int) -> None:
                if stop.is_set():
                    raise Cancelled
                stages[stage] = (done, total)

            future = self._executor.submit(work, report)
            self._tasks[task_id] = Task(task_id, time.monotonic(), future, stop, stages)
            while len(self._tasks) > KEPT_TASKS:
                self._tasks.popitem(last=False)
        return self._tasks[task_id]

    def find(self, task_id: str) -> Task | None:
        """A task by its id; None after a restart of the server."""
        return self._tasks.get(task_id)

    def forget(self, task_id: str) -> None:
        """Drop a task; if it has not begun yet, it never will, and if it can be stopped, it ends soon."""
        if (task := self._tasks.pop(task_id, None)) is not None:
            task.stop.set()
            task.future.cancel()


@st.cache_resource(show_spinner=False)
def _tasks_of(path: str) -> Tasks:
    return Tasks()


def tasks() -> Tasks:
    """The tasks of the open workspace, shared by every tab."""
    return _tasks_of(session.workspace_path())


@st.fragment(run_every=LOOK_EVERY_S)
def watch(task_id: str, among: Tasks | None = None, draw: Callable[[Task], None] | None = None) -> None:
    """Draw the page again once a task is done, or gone.

    Not at every look: on a busy machine the page takes longer to draw than the time to the next look, and would
    be started over for ever. Not only once either: a run that something else replaces is not made up for.

    Args:
        task_id: Of the task.
        among: Holds it; None: the tasks that need the model.
        draw: Shows how far it is, at every look; None: nothing is shown.
    """
    task = (among or tasks()).find(task_id)
    if task is not None and draw is not None:
        draw(task)
    asked_at: dict[str, float] = st.session_state.setdefault("redraws", {})
    if (task is None or task.wait(LOOK_S)) and time.monotonic() - asked_at.get(task_id, -REDRAW_S) >= REDRAW_S:
        asked_at[task_id] = time.monotonic()
        st.rerun()
