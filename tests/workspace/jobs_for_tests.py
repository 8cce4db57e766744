"""Kinds of jobs that only tests know. Imported by every job's process, so it stays light."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lorif_core.errors import DataError
from lorif_core.workspace.jobs.kinds import KINDS as REAL_KINDS

CALLS = "calls.txt"
HELD_AT = (40, 80)
"""Texts: in the third and in the fifth shard of 16."""


def note(path: Path, request: dict, on_progress) -> dict:
    """Write down when it began and ended; if a file is named, it does not end before that is there."""
    began = time.monotonic()
    time.sleep(request.get("seconds", 0.0))
    wait_for(Path(request.get("until", path)))
    with (path / CALLS).open("a") as handle:
        handle.write(f"{request['number']} {began} {time.monotonic()}\n")
    return {"number": request["number"]}


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.02)


def build_in_steps(path: Path, request: dict, on_progress) -> dict:
    """Build an index, but wait at two places for a file that lets it go on."""

    def hold(stage: str, done: int, total: int) -> None:
        on_progress(stage, done, total)
        for place in HELD_AT:
            if stage == "gradients" and done >= place:
                wait_for(path / f"beyond-{place}")

    return REAL_KINDS["index"](path, request, hold)


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
