"""Several processes at once, and processes that are killed."""

import multiprocessing
import sqlite3
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from acting import CORPUS, by, flag
from journal_workers import read, write
from sqlalchemy import text

from lorif_core.journal import Journal
from lorif_core.journal.database import reading

WORKERS = Path(__file__).with_name("journal_workers.py")
NUM_DECISIONS = 300


@pytest.mark.parametrize("new_location", ["sqlite", "postgresql"], indirect=True)
def test_three_writers_and_a_reader_lose_nothing(new_location):
    """They also open the new journal at the same moment. None waits till another one is done with all its writes."""
    context = multiprocessing.get_context("spawn")
    start, stop, results = context.Barrier(4), context.Event(), context.Queue()
    actors = ["ada", "bo", "cy"]
    writers = [
        context.Process(target=write, args=(new_location, actor, NUM_DECISIONS, start, results)) for actor in actors
    ]
    reader = context.Process(target=read, args=(new_location, "reader", start, stop, results))
    for process in (*writers, reader):
        process.start()
    seconds = dict(results.get() for _ in actors)
    stop.set()
    reads = results.get()
    for process in (*writers, reader):
        process.join()
    failures = [result for result in (*seconds.values(), reads[1]) if isinstance(result, str)]
    assert failures == []
    assert [process.exitcode for process in (*writers, reader)] == [0, 0, 0, 0]

    with Journal(new_location) as journal:
        for actor in actors:
            entries = journal.history(CORPUS, actor=actor, limit=1000)
            assert len(entries) == NUM_DECISIONS
        assert journal.states(CORPUS).height == 3 * NUM_DECISIONS + 1
        assert len(journal.events_of(CORPUS, "all")) == 3 * NUM_DECISIONS
        assert journal.revision() == 3 * NUM_DECISIONS
    assert reads[1] > 0
    everyone = [second for one in seconds.values() for second in one]
    print(f"median write {statistics.median(everyone) * 1e3:.2f} ms, worst {max(everyone) * 1e3:.0f} ms")
    # Of a writer that had to wait for the other two, one write would be two thirds of its time.
    assert max(max(one) / sum(one) for one in seconds.values()) < 0.5


def test_a_writer_killed_at_any_moment_loses_no_acknowledged_decision(tmp_path):
    path = tmp_path / "journal.sqlite"
    run = subprocess.run([sys.executable, WORKERS, path, "50"], capture_output=True, text=True, cwd=WORKERS.parent)
    assert run.returncode == 0, run.stderr
    acknowledged = dict(line.split() for line in run.stdout.splitlines())
    assert len(acknowledged) >= 40

    with Journal(path) as journal:
        with reading(journal.engine) as connection:
            whole = text(
                "SELECT batch.batch_id, num_events, count(event_id) FROM batch LEFT JOIN event USING (batch_id) "
                "GROUP BY batch.batch_id"
            )
            batches = {batch_id: (said, found) for batch_id, said, found in connection.execute(whole)}
        journal.decide(by("bo"), flag("after"))
    assert {batch_id: (int(said), int(said)) for batch_id, said in acknowledged.items()}.items() <= batches.items()
    assert [batch_id for batch_id, (said, found) in batches.items() if said != found] == []
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_the_same_request_from_many_threads_is_one_decision(journal):
    with ThreadPoolExecutor(8) as pool:
        requests = [pool.submit(journal.decide, by("ada"), flag("a"), f"click-{turn % 5}") for turn in range(40)]
        batches = {request.result().batch_id for request in requests}
    assert len(batches) == len(journal.history(CORPUS)) == 5


def test_a_journal_loads_neither_torch_nor_transformers():
    code = "import sys, lorif_core.journal; print({'torch', 'transformers', 'alembic'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stderr
