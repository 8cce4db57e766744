"""Jobs: who may change what, and that no job is done twice."""

import multiprocessing
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from subprocess import Popen
from sys import executable
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorif_core.errors import JobError, RoleError
from lorif_core.journal.database import open_engine, writing
from lorif_core.journal.jobs import MAX_REQUEST_CHARS, NEXT, Jobs, JobStatus, is_running, worker_name
from lorif_core.journal.people import write_role

SPAWN = multiprocessing.get_context("spawn")
ELSEWHERE = "another-machine:17:1700000000.00"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = open_engine(tmp_path_factory.mktemp("jobs") / "journal.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def jobs(tmp_path, clock):
    engine = open_engine(tmp_path / "journal.sqlite")
    yield Jobs(engine, now=clock)
    engine.dispose()


def submit(jobs, number=0, **more):
    return jobs.submit("tiny", {"number": number}, actor="ann", **more)


def running(jobs, worker=None, **more):
    submit(jobs, **more)
    return jobs.claim(worker or worker_name(), "cpu")


def in_status(jobs, status):
    """A job that has come to a status."""
    if status == "queued":
        return submit(jobs)
    if status == "cancelled":
        return jobs.cancel(submit(jobs).job_id, "bob")
    job = running(jobs)
    if status == "done":
        return jobs.finish(job, {"answer": 42})
    return jobs.fail(job, "no luck") if status == "failed" else job


def test_a_job_is_kept_as_it_was_submitted(jobs):
    job = jobs.submit("tiny", {"text": "naïve \x00 ☃", "of": [1, None]}, actor="ann", device="cuda:1")
    assert jobs.job(job.job_id) == job
    assert (job.request, job.status, job.attempts) == ({"text": "naïve \x00 ☃", "of": [1, None]}, "queued", 0)
    assert (job.actor, job.device, job.created_at.tzinfo) == ("ann", "cuda:1", UTC)


def test_the_same_request_twice_is_one_job_while_it_is_queued_or_running(jobs):
    first = submit(jobs)
    assert jobs.submit("tiny", {"number": 0}, actor="bob", device="cpu") == first
    claimed = jobs.claim(worker_name(), "cpu")
    assert submit(jobs) == claimed
    assert len(jobs.jobs()) == 1


def test_the_order_of_a_requests_keys_does_not_make_another_job(jobs):
    one = jobs.submit("tiny", {"a": 1, "b": 2}, actor="ann")
    assert jobs.submit("tiny", {"b": 2, "a": 1}, actor="ann") == one


@pytest.mark.parametrize(("kind", "request_"), [("tiny", {"number": 1}), ("other", {"number": 0})])
def test_another_kind_or_request_is_another_job(jobs, kind, request_):
    assert submit(jobs).job_id != jobs.submit(kind, request_, actor="ann").job_id


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_the_same_request_after_a_failure_or_a_cancel_queues_the_same_job(jobs, status):
    ended = in_status(jobs, status)
    again = submit(jobs)
    assert again.job_id == ended.job_id
    assert (again.status, again.message, again.finished_at, again.wants_cancel) == ("queued", None, None, False)


def test_the_same_request_after_success_returns_the_result(jobs):
    done = in_status(jobs, "done")
    assert submit(jobs) == done
    assert done.result == {"answer": 42}


def test_a_done_job_is_done_again_as_another_job_when_told_so(jobs):
    done = in_status(jobs, "done")
    again = submit(jobs, again=True)
    assert (again.job_id != done.job_id, again.status) == (True, "queued")
    assert submit(jobs, again=True) == again
    assert jobs.job(done.job_id) == done


def test_a_job_that_is_being_stopped_is_not_queued_again_in_silence(jobs):
    job = running(jobs)
    jobs.cancel(job.job_id, "bob")
    with pytest.raises(JobError, match="is being stopped"):
        submit(jobs)


def test_the_oldest_job_is_claimed_first(jobs):
    ids = [submit(jobs, number).job_id for number in range(3)]
    assert [jobs.claim(worker_name(), "cpu").job_id for _ in ids] == ids
    assert jobs.claim(worker_name(), "cpu") is None


def test_a_worker_takes_jobs_for_its_device_and_for_any(jobs):
    submit(jobs, 0, device="cuda:0")
    here, anywhere = submit(jobs, 1, device="cpu"), submit(jobs, 2)
    assert jobs.has_waiting("cpu")
    assert [jobs.claim(worker_name(), "cpu").job_id for _ in range(2)] == [here.job_id, anywhere.job_id]
    assert not jobs.has_waiting("cpu")
    assert jobs.claim(worker_name(), "cpu") is None


def test_a_queued_job_is_cancelled_at_once_and_never_claimed(jobs):
    job = jobs.cancel(submit(jobs).job_id, "bob")
    assert (job.status, job.message) == ("cancelled", "cancelled by bob")
    assert jobs.claim(worker_name(), "cpu") is None


def test_the_beat_of_a_job_tells_its_worker_to_stop_after_a_cancel(jobs):
    job = running(jobs)
    assert jobs.beat(job, "gradients", 3, 7)
    shown = jobs.job(job.job_id)
    assert (shown.stage, shown.done, shown.total) == ("gradients", 3, 7)
    assert jobs.cancel(job.job_id, "bob").status == "running"
    assert not jobs.beat(job, "gradients", 4, 7)
    assert jobs.stop(job).status == "cancelled"


def test_cancelling_twice_is_cancelling_once(jobs):
    job = running(jobs)
    assert jobs.cancel(job.job_id, "bob") == jobs.cancel(job.job_id, "eve")
    stopped = jobs.stop(job)
    assert jobs.cancel(job.job_id, "eve") == stopped


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_job_that_has_ended_cannot_be_cancelled(jobs, status):
    job = in_status(jobs, status)
    with pytest.raises(JobError, match=f"only a queued or running job can be cancelled, '{job.job_id}' is {status}"):
        jobs.cancel(job.job_id, "bob")
    assert jobs.job(job.job_id) == job


def test_a_done_job_cannot_be_resumed(jobs):
    with pytest.raises(JobError, match="is done, there is nothing to resume"):
        jobs.resume(in_status(jobs, "done").job_id, "bob")


@pytest.mark.parametrize("status", ["queued", "running"])
def test_resuming_a_job_that_is_on_its_way_changes_nothing(jobs, status):
    job = in_status(jobs, status)
    assert jobs.resume(job.job_id, "bob") == job


def test_a_resumed_job_counts_its_attempts(jobs):
    job = in_status(jobs, "failed")
    jobs.resume(job.job_id, "bob")
    assert jobs.claim(worker_name(), "cpu").attempts == 2


@pytest.mark.parametrize("status", [status for status in get_args(JobStatus) if status != "running"])
def test_a_worker_cannot_end_a_job_that_is_not_running(jobs, status):
    job = in_status(jobs, status)
    for end in (lambda: jobs.finish(job, {}), lambda: jobs.fail(job, "no"), lambda: jobs.stop(job)):
        with pytest.raises(JobError, match="is no longer this worker's"):
            end()
    assert jobs.job(job.job_id) == job


def test_a_worker_that_was_taken_for_dead_cannot_touch_the_job_of_its_successor(jobs, clock):
    late = running(jobs, ELSEWHERE)
    clock.time += timedelta(minutes=5)
    assert [job.job_id for job in jobs.reap()] == [late.job_id]
    jobs.resume(late.job_id, "bob")
    successor = jobs.claim(ELSEWHERE, "cpu")
    assert not jobs.beat(late, "gradients", 99, 100)
    with pytest.raises(JobError, match="no longer this worker's"):
        jobs.finish(late, {})
    assert jobs.job(late.job_id) == successor


def test_a_job_whose_worker_is_gone_fails_with_the_reason(jobs):
    process = Popen([executable, "-c", "input()"], stdin=-1)
    job = running(jobs, worker_name(process.pid))
    assert jobs.reap() == []
    process.kill()
    process.communicate()
    (reaped,) = jobs.reap()
    assert (reaped.job_id, reaped.status) == (job.job_id, "failed")
    assert reaped.message == (
        f"its worker, process {process.pid}, is gone: it was killed, ran out of memory or crashed. "
        "Resume the job; what it finished is kept."
    )


def test_a_worker_whose_parent_has_not_noticed_its_death_is_dead(jobs):
    process = Popen([executable, "-c", "pass"], stdout=-1)
    name = worker_name(process.pid)
    process.stdout.read()
    while is_running(name):  # until it is a zombie
        pass
    running(jobs, name)
    assert len(jobs.reap()) == 1
    process.communicate()


def test_a_silent_job_under_the_process_id_of_another_program_fails(jobs, clock):
    host, pid, started = worker_name().rsplit(":", 2)
    running(jobs, f"{host}:{pid}:{float(started) - 1000:.2f}")
    assert jobs.reap() == []  # its beats are fresh: the clock was set
    clock.time += timedelta(minutes=5)
    assert len(jobs.reap()) == 1


def test_a_silent_worker_of_this_machine_that_still_runs_keeps_its_job(jobs, clock):
    running(jobs)
    clock.time += timedelta(days=1)
    assert jobs.reap() == []


def test_a_worker_of_another_machine_is_dead_when_it_is_silent_for_too_long(jobs, clock):
    job = running(jobs, ELSEWHERE)
    clock.time += timedelta(seconds=50)
    assert jobs.beat(job)
    clock.time += timedelta(seconds=59)
    assert jobs.reap(60) == []
    clock.time += timedelta(seconds=2)
    (reaped,) = jobs.reap(60)
    assert reaped.message.startswith("its worker, process 17 on another-machine, has been silent for 61 s.")


def test_a_dead_workers_job_that_was_to_be_cancelled_is_cancelled(jobs, clock):
    job = running(jobs, ELSEWHERE)
    jobs.cancel(job.job_id, "bob")
    clock.time += timedelta(minutes=5)
    (reaped,) = jobs.reap()
    assert (reaped.status, reaped.message, reaped.wants_cancel) == ("cancelled", "cancelled by bob", False)


def test_jobs_are_listed_newest_first_and_by_status(jobs):
    ids = [submit(jobs, number).job_id for number in range(4)]
    jobs.cancel(ids[1], "bob")
    assert [job.job_id for job in jobs.jobs()] == ids[::-1]
    assert [job.job_id for job in jobs.jobs("queued", limit=2)] == [ids[3], ids[2]]
    assert [job.job_id for job in jobs.jobs("cancelled")] == [ids[1]]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda jobs: jobs.job("nope"), "there is no job 'nope'. There is none."),
        (lambda jobs: jobs.cancel("%", "bob"), "there is no job '%'"),
        (lambda jobs: jobs.resume("' OR 1 --", "bob"), 'there is no job "\' OR 1 --"'),
        (lambda jobs: jobs.jobs("finished"), "one of queued, running, done, failed, cancelled, got 'finished'"),
        (lambda jobs: jobs.submit("", {}, actor="ann"), "the kind of a job is 1 to 200 printable characters, got ''"),
        (lambda jobs: jobs.submit("tiny", {}, actor="a" * 201), "the actor of a job is .* characters"),
        (lambda jobs: jobs.submit("tiny", {}, actor="a\x1b[2J"), "the actor of a job is .* printable"),
        (lambda jobs: jobs.submit("tiny", {}, actor="ann", device="tpu"), "auto, cpu or cuda:N, got 'tpu'"),
        (lambda jobs: jobs.submit("tiny", {"a": {1}}, actor="ann"), "the request of a job must be JSON: .*set"),
        (lambda jobs: jobs.submit("tiny", {"a": float("nan")}, actor="ann"), "must be JSON: "),
        (
            lambda jobs: jobs.submit("tiny", {"a": "x" * MAX_REQUEST_CHARS}, actor="ann"),
            "put long lists into a file and name the file",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence_and_changes_nothing(jobs, act, message):
    with pytest.raises(JobError, match=message):
        act(jobs)
    assert jobs.jobs() == []


def test_a_viewer_can_neither_start_nor_stop_a_job(tmp_path, clock):
    engine = open_engine(tmp_path / "journal.sqlite")
    jobs = Jobs(engine, now=clock)
    job = submit(jobs)
    with writing(engine) as connection:
        write_role(connection, "ann", "admin", "ann")
        write_role(connection, "vera", "viewer", "ann")
    for act in (
        lambda: jobs.submit("tiny", {}, actor="vera"),
        lambda: jobs.cancel(job.job_id, "vera"),
        lambda: jobs.resume(job.job_id, "vera"),
    ):
        with pytest.raises(RoleError, match=r"only a curator may st(art|op) jobs, and 'vera' is a viewer"):
            act()
    assert jobs.jobs() == [job]


def test_an_unknown_job_is_answered_with_the_newest_ones(jobs):
    job = submit(jobs)
    with pytest.raises(JobError, match=f"there is no job 'nope'. The newest are '{job.job_id}'."):
        jobs.job("nope")


def test_the_reason_of_a_failure_is_cut_at_a_readable_length(jobs):
    assert len(jobs.fail(running(jobs), "x" * 10_000).message) == 2000


STEPS = ("submit", "claim", "beat", "finish", "fail", "stop", "cancel", "resume", "reap")


def step(jobs, name, claimed):
    """Do one thing to the only job, if it lets itself be done; returns the job as its worker knows it."""
    job_id = next((job.job_id for job in jobs.jobs()), "nope")
    acts = {
        "submit": lambda: submit(jobs),
        "claim": lambda: jobs.claim(worker_name(), "cpu"),
        "cancel": lambda: jobs.cancel(job_id, "bob"),
        "resume": lambda: jobs.resume(job_id, "bob"),
        "reap": jobs.reap,
    }
    if claimed is not None:
        acts |= {
            "beat": lambda: jobs.beat(claimed),
            "finish": lambda: jobs.finish(claimed, {}),
            "fail": lambda: jobs.fail(claimed, "no luck"),
            "stop": lambda: jobs.stop(claimed),
        }
    with suppress(JobError):
        came = acts.get(name, lambda: None)()
        return came or claimed if name == "claim" else claimed
    return claimed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(STEPS), max_size=14))
def test_whatever_people_and_workers_do_a_job_goes_only_where_its_status_leads(engine, names):
    jobs, claimed = Jobs(engine), None
    with engine.connect().execution_options(lorif_writes=True) as connection, connection.begin():
        connection.exec_driver_sql("DELETE FROM job")
    before = None
    for name in names:
        claimed = step(jobs, name, claimed)
        (after,) = jobs.jobs() or (None,)
        if before is not None and after.status != before.status:
            assert after.status in NEXT[before.status]
        if after is not None:
            assert (after.finished_at is not None) == (after.status in ("done", "failed", "cancelled"))
            assert (after.result is not None) == (after.status == "done")
            assert not after.wants_cancel or after.status == "running"
        before = after
    assert (before is not None) == ("submit" in names)


def work_through(path: Path, done_file: Path, both_are_there: Barrier) -> None:
    """A worker that does nothing but claim and finish, as fast as it can."""
    jobs = Jobs(open_engine(path))
    both_are_there.wait()
    with done_file.open("w") as handle:
        while job := jobs.claim(worker_name(), "cpu"):
            jobs.finish(job, {})
            handle.write(f"{job.job_id}\n")


def test_two_workers_never_do_one_job_twice(tmp_path):
    path, files = tmp_path / "journal.sqlite", [tmp_path / "a.txt", tmp_path / "b.txt"]
    jobs = Jobs(open_engine(path))
    ids = [submit(jobs, number).job_id for number in range(60)]
    both_are_there = SPAWN.Barrier(2)
    workers = [SPAWN.Process(target=work_through, args=(path, file, both_are_there)) for file in files]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done = [file.read_text().split() for file in files]
    assert sorted(done[0] + done[1]) == sorted(ids)
    assert {job.attempts for job in jobs.jobs("done", limit=1000)} == {1}
    assert all(done), "one worker did them all: the test showed nothing"


def test_a_worker_signs_with_its_machine_and_process():
    assert worker_name().startswith(f"{socket.gethostname()}:")
    assert is_running(worker_name())
