"""A command of lorif in a process of its own that something happens to: killed at a file, out of space, out of luck.

Processes are forked from this one, which has imported everything and computed nothing: a command starts in
milliseconds, and no thread of a library is lost in the fork.
"""

import contextlib
import datetime as time_of_day
import io
import json
import mmap
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.cli import main

LIMIT_S = 240.0
"""A command of these sizes that takes longer hangs."""

POLL_S = 0.002
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "sqlite3.connect")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    """Of the exit; minus the signal that killed it, as in ``subprocess``."""

    out: str
    err: str
    num_steps: int
    """How often it wrote, renamed, linked or removed a file below the folder that was watched."""

    hung: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Fault(NamedTuple):
    """What happens to a command; nothing unless something is set."""

    kill_at_step: int | None = None
    """Before the n-th time that it touches a file, from 0."""

    kill_after_s: float | None = None
    limits: tuple[tuple[int, int], ...] = ()
    """Pairs of ``resource.RLIMIT_…`` and a number."""

    clock_s: float = 0.0
    """How far its clock is ahead."""

    user: int | None = None
    """User and group that it runs as."""


NO_FAULT = Fault()


def forked(arguments: Sequence[object], *, watched: Path, fault: Fault = NO_FAULT, actor: str | None = None) -> Ended:
    """Run a command; counts what it does to files below ``watched``."""
    words = [str(argument) for argument in arguments]
    return call_forked(lambda: main(words), watched=watched, fault=fault, actor=actor)


def call_forked(
    work: Callable[[], int | None], *, watched: Path, fault: Fault = NO_FAULT, actor: str | None = None
) -> Ended:
    """Run a function in a process of its own; what it prints comes back."""
    steps = mmap.mmap(-1, 8)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _be_child(work, (out.fileno(), err.fileno()), steps, (watched, fault, actor))
        hung, code = _wait(child, fault)
        (num_steps,) = struct.unpack("q", steps[:8])
        return Ended(code, _content(out), _content(err), num_steps, hung)


def _wait(child: int, fault: Fault) -> tuple[bool, int]:
    begun = time.monotonic()
    hung = False
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            _kill_group(child)  # what it started goes with it
            return hung, os.waitstatus_to_exitcode(status)
        passed = time.monotonic() - begun
        hung = passed > LIMIT_S
        if hung or (fault.kill_after_s is not None and passed > fault.kill_after_s):
            _kill_group(child)
        time.sleep(POLL_S)


def _kill_group(child: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)


def _content(file: Any) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _be_child(
    work: Callable[[], int | None],
    handles: tuple[int, int],
    steps: mmap.mmap,
    conditions: tuple[Path, Fault, str | None],
) -> None:
    watched, fault, actor = conditions
    code = 1
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(handles[0], 1)
        os.dup2(handles[1], 2)
        sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding="utf-8")
        sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), encoding="utf-8", line_buffering=True)
        if actor is not None:
            os.environ["LORIF_ACTOR"] = actor
        _apply(fault, str(watched), steps)
        code = work() or 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _apply(fault: Fault, watched: str, steps: mmap.mmap) -> None:
    if fault.clock_s:
        _move_clock(fault.clock_s)
    if fault.user is not None:
        os.setgroups([])
        os.setgid(fault.user)
        os.setuid(fault.user)
    for name, number in fault.limits:
        resource.setrlimit(name, (number, number))
    sys.addaudithook(_counter(watched, steps, fault.kill_at_step))


def _counter(watched: str, steps: mmap.mmap, kill_at: int | None) -> Callable[[str, tuple[Any, ...]], None]:
    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            touches = isinstance(arguments[2], int) and arguments[2] & WRITES
        else:
            touches = event in CHANGES
        if not touches or not isinstance(arguments[0], str | os.PathLike | bytes):
            return
        if watched not in os.fsdecode(arguments[0]):
            return
        (done,) = struct.unpack("q", steps[:8])
        if kill_at is not None and done >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        steps[:8] = struct.pack("q", done + 1)

    return count


def _move_clock(seconds: float) -> None:
    shift, real = time_of_day.timedelta(seconds=seconds), time.time

    class Moved(time_of_day.datetime):
        @classmethod
        def now(cls, tz: time_of_day.tzinfo | None = None) -> time_of_day.datetime:
            return time_of_day.datetime.now(tz) + shift

    time.time = lambda: real() + seconds
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("lorif_core") and vars(module).get("datetime"):
            if module.datetime is time_of_day.datetime:
                module.datetime = Moved
