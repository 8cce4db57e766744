"""Turns at a file for threads and processes of one machine: first come, first served, and a killed one blocks nobody.

Whoever wants a turn puts a ticket beside the lock, a file that it keeps locked while it waits and while it has the
turn. The kernel takes that lock back when a process ends, however it ends. Whose ticket is the oldest locked one
takes the lock. The tickets are the order and nothing else: that there is one at a time, the lock alone says, so that
earlier versions, which know no tickets, keep out of each other's way and ours.
"""

import fcntl
import glob
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lorif_core.errors import TurnError

POLL_INTERVAL_S = 0.003

TICKET = ".turn"
"""What the name of a ticket ends in; before that stand the lock, the time, the process and a number of its own."""


class _Ticket(NamedTuple):
    path: Path
    handle: int


@contextmanager
def turn_at(lock: Path, timeout_s: float) -> Iterator[None]:
    """Have the turn at a lock while the block runs; a thread that has it does not get it again.

    Raises:
        TurnError: Others had it for all of the time that one waits for it.
        OSError: The folder cannot be written, or its disk knows no locks.
    """
    deadline = time.monotonic() + timeout_s
    ticket = _draw_ticket(lock)
    try:
        while ahead := _living_ahead(lock, ticket.path):
            _wait(deadline, lock, ahead, timeout_s)
        with _held(lock, deadline, timeout_s):
            yield
    finally:
        ticket.path.unlink(missing_ok=True)
        os.close(ticket.handle)


def is_locked(path: Path) -> bool:
    """Whether a living process has locked a file or folder; False if there is none. It is not written to."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(handle, fcntl.LOCK_SH)  # shared: of two who look, neither takes the other for an owner
    finally:
        os.close(handle)


def lock_while_open(path: Path) -> int:
    """Lock a file or folder that nobody else locks, until what this returns is closed or the process ends."""
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _draw_ticket(lock: Path) -> _Ticket:
    while True:
        # The clock since the machine started is the same for all of its processes.
        name = f".{lock.name}.{time.monotonic_ns():020d}.{os.getpid()}.{uuid.uuid4().hex}{TICKET}"
        path = lock.with_name(name)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(handle)
            raise
        if os.fstat(handle).st_nlink:
            return _Ticket(path, handle)
        os.close(handle)  # somebody took it for that of a dead one before it was locked


def _living_ahead(lock: Path, own: Path) -> list[Path]:
    """Tickets before one's own whose owners live; those of the dead are cleared away."""
    tickets = sorted(lock.parent.glob(f".{glob.escape(lock.name)}.*{TICKET}"))
    return [path for path in tickets if path.name < own.name and not _is_dead(path)]


def _is_dead(ticket: Path) -> bool:
    try:
        handle = os.open(ticket, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        is_dead = _try_lock(handle)
        if is_dead:
            ticket.unlink(missing_ok=True)
        return is_dead
    finally:
        os.close(handle)


@contextmanager
def _held(lock: Path, deadline: float, timeout_s: float) -> Iterator[None]:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while not _try_lock(handle):
            _wait(deadline, lock, [], timeout_s)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # not only closed: a process that was forked meanwhile has it open too
        os.close(handle)


def _wait(deadline: float, lock: Path, ahead: list[Path], timeout_s: float) -> None:
    if time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL_S)
        return
    if ahead:
        process = ahead[0].name.removeprefix(f".{lock.name}.").split(".")[1]
        who = f"process {process} has it"
        who += f", and {len(ahead) - 1} more wait before this one" if len(ahead) > 1 else ""
    else:
        who = "another program has locked it"
    raise TurnError(
        f"writers take turns at {str(lock)!r}, and {timeout_s:g} s were not enough to get one: {who}. Nothing was "
        "written here. Try again, or stop that process if it hangs; leave the lock file where it is."
    )


def _try_lock(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
