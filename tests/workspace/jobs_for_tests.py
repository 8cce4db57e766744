"""Kinds of jobs that only tests know. Imported by every job's process, so it stays light."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lorif_core.errors import DataError

CALLS = "calls.txt"


def note(path: Path, request: dict, on_progress) -> dict:
    """Write down when it began and ended."""
    began = time.monotonic()
    time.sleep(request.get("seconds", 0.0))
    with (path / CALLS).open("a") as handle:
        handle.write(f"{request['number']} {began} {time.monotonic()}\n")
    return {"number": request["number"]}


def report(path: Path, request: dict, on_progress) -> dict:
    """Report much faster than anybody reads, then wait until it is stopped."""
    for done in range(10_000):
        on_progress("counting", done, 20_000)
    while True:
        time.sleep(0.05)


def stay(path: Path, request: dict, on_progress) -> dict:
    """Refuse to be stopped."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    on_progress("staying", 0, 1)
    while True:
        time.sleep(1)


def leave_a_child(path: Path, request: dict, on_progress) -> dict:
    """Return, with a process left behind."""
    return {"pid": subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid}


def refuse(path: Path, request: dict, on_progress) -> dict:
    raise DataError("the file is no file: choose another one.")


def fill_the_disk(path: Path, request: dict, on_progress) -> dict:
    raise OSError(28, "No space left on device", "/data/shard")


def crash(path: Path, request: dict, on_progress) -> dict:
    raise KeyError("a key")


def take_all_memory(path: Path, request: dict, on_progress) -> dict:
    raise MemoryError


def be_killed(path: Path, request: dict, on_progress) -> dict:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def name_gpus(path: Path, request: dict, on_progress) -> dict:
    print("said by the job")
    return {"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}


KINDS = {
    work.__name__: work
    for work in (
        note, report, stay, leave_a_child, refuse, fill_the_disk, crash, take_all_memory, be_killed, name_gpus,
    )
}  # fmt: skip
