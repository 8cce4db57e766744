"""What other processes do to a journal. Run by the tests, not collected as one."""

import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

from acting import CORPUS, by, exclude, flag, note, restore

from lorif_core.journal import Journal


def write(location, actor, number, start, results):
    """Open a journal that may be new, and decide so many times."""
    try:
        start.wait()
        seconds = []
        with Journal(location) as journal:
            for turn in range(number):
                began = time.perf_counter()
                journal.decide(by(actor), flag(f"{actor}-{turn}", "all"))
                seconds.append(time.perf_counter() - began)
        results.put((actor, seconds))
    except BaseException as error:
        results.put((actor, repr(error)))
        raise


def read(location, actor, start, stop, results):
    """Read until told to stop; report how often the example that all decide on was there."""
    try:
        start.wait()
        reads, last = 0, 0
        with Journal(location) as journal:
            while not stop.is_set():
                frame = journal.states(CORPUS, ["all"])
                revision = journal.revision()
                if revision < last:
                    raise AssertionError(f"revision went from {last} to {revision}")
                reads, last = reads + frame.height, revision
                time.sleep(0.01)
        results.put((actor, reads))
    except BaseException as error:
        results.put((actor, repr(error)))
        raise


def decide_until_killed(path, round_number, acknowledge):
    """Decide about several examples at a time, and say so after each one."""
    chooser = random.Random(round_number)
    with Journal(path) as journal:
        while True:
            ids = [f"{round_number}-{chooser.randrange(1000)}" for _ in range(chooser.randint(1, 40))]
            batch = journal.decide(by("ada"), flag(*ids))
            if chooser.random() < 0.2:
                undo = journal.undo(by("ada"))
                os.write(acknowledge, f"{undo.batch_id} {undo.num_events}\n".encode())
            os.write(acknowledge, f"{batch.batch_id} {batch.num_events}\n".encode())


def kill_writers(path, num_rounds):
    """Start writers one after another, kill each at a random point, print what it had acknowledged.

    They are forked, so that only one interpreter loads the libraries.
    """
    chooser = random.Random(0)
    for round_number in range(num_rounds):
        acknowledged, acknowledge = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                decide_until_killed(path, round_number, acknowledge)
            finally:
                os._exit(1)
        os.close(acknowledge)
        with os.fdopen(acknowledged) as lines:
            if round_number % 5:
                print(lines.readline(), end="")
            time.sleep(chooser.choice([0, 0.001, 0.03]) * chooser.random())
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                raise SystemExit("a writer ended by itself")
            print(lines.read(), end="")


def act_when_told(location, told, answers):
    """Do what the queue says, as `bo`, until it says nothing, and answer each time."""
    requests = {"flag": flag, "exclude": exclude, "note": partial(note, "hm")}
    requests["settle"] = partial(restore, settles=True)
    with Journal(location) as journal:
        while (order := told.get()) is not None:
            kind, ids = order
            if kind in requests:
                journal.decide(by("bo"), requests[kind](*ids))
            else:
                getattr(journal, kind)(by("bo"))
            answers.put(kind)


if __name__ == "__main__":
    kill_writers(Path(sys.argv[1]), int(sys.argv[2]))
