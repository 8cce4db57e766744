"""The process that one job runs in, so that it can be stopped at any moment and takes its memory with it.

It reports through a pipe: progress as it goes, and how it ended. What it prints goes into the job's log file,
and so does the traceback of a defect.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from lorif_core.errors import LorifError
from lorif_core.private_logs import open_log
from lorif_core.system_failures import failure_sentence, is_of_the_machine, is_out_of_memory, raise_unless_failure
from lorif_core.workspace.folder.actor import ACTOR_VARIABLE
from lorif_core.workspace.jobs.kinds import Work

REPORT_S = 0.25
"""Progress is reported no more often."""

STOPPED = 128 + signal.SIGTERM
"""Exit code of a process that was told to stop."""

SMALLER = "Submit it again with a smaller `--tokens-per-batch`, which changes no score; what it finished is kept."


class Progress(NamedTuple):
    """How far a job is."""

    stage: str | None = None
    done: int | None = None
    total: int | None = None


class Done(NamedTuple):
    """A job's result, as JSON values."""

    result: dict[str, Any]


class Failed(NamedTuple):
    """Why a job failed, in a sentence."""

    message: str


class Assignment(NamedTuple):
    """What a job's process is to do."""

    workspace: Path
    work: Work
    request: dict[str, Any]
    device: str
    log: Path
    actor: str
    """Who asked for it."""


def run_assignment(given: Assignment, sender: Connection) -> None:
    """Body of the process: do the work, send ``Progress`` now and then, and ``Done`` or ``Failed`` at the end.

    SIGTERM stops it as Ctrl-C would; then it sends nothing more. It and all its children die with the
    worker, so that no two processes ever work on one device.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_die_with_the_worker, daemon=True).start()
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu_id(given.device) or ""
    os.environ[ACTOR_VARIABLE] = given.actor  # whatever it writes is theirs, not of who started the worker
    _print_to(given.log)
    try:
        sender.send(_outcome(given, sender.send))
    except KeyboardInterrupt:
        _leave(STOPPED)
    _leave(0)


def gpu_id(device: str) -> str | None:
    """Which GPU of the machine a device is, as CUDA_VISIBLE_DEVICES would name it; None if it is not a GPU."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[int(number)].strip() if visible else number


def _outcome(given: Assignment, send: Callable[[Progress], None]) -> Done | Failed:
    try:
        return Done(given.work(given.workspace, given.request, _at_most_every(REPORT_S, send)))
    except LorifError as error:
        return Failed(str(error))
    except BaseException as error:  # the outermost frame of this process: a defect, kept whole in the log
        raise_unless_failure(error)
        if is_out_of_memory(error):
            return Failed(f"the memory of {given.device} did not suffice. {SMALLER}")
        if is_of_the_machine(error):
            return Failed(f"{failure_sentence(error)}.")
        return _defect(error, given.log)


def _defect(error: BaseException, log: Path) -> Failed:
    traceback.print_exception(error)
    return Failed(f"this is a defect of LoRIF Studio ({type(error).__name__}), see the log file {str(log)!r}.")


def _at_most_every(seconds: float, send: Callable[[Progress], None]) -> Callable[[str, int, int], None]:
    last_stage, last_time = None, 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last_stage, last_time
        if stage != last_stage or done == total or time.monotonic() - last_time >= seconds:
            last_stage, last_time = stage, time.monotonic()
            send(Progress(stage, done, total))

    return report


def _leave(code: int) -> NoReturn:
    """End the process at once: taking torch apart has been seen to take 10 s on a busy machine."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _print_to(log: Path) -> None:
    """Let this process and its children print into a file."""
    with os.fdopen(open_log(log), "ab") as handle:
        for stream in (1, 2):
            os.dup2(handle.fileno(), stream)


def _die_with_the_worker() -> None:
    worker = multiprocessing.parent_process()
    assert worker is not None
    worker.join()
    os.killpg(0, signal.SIGKILL)
