"""Workers and their jobs: nothing is done twice, everything can be stopped, and every failure has a reason."""

import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from jobs_for_tests import CALLS, HELD_AT, KINDS, build_in_steps
from tiny_workspace import (
    PLACES,
    THINGS,
    copy_of,
    imported,
    index_folder,
    indexed,
    lasting_bytes_below,
    lorif,
    manifest_of,
    model_folder,
    num_parts,
    texts_file,
)

from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.errors import JobError, JournalError, LorifError
from lorif_core.journal.jobs import Jobs
from lorif_core.methods.method_settings import IndexConfig, KroneckerConfig, LorifConfig
from lorif_core.workspace.folder.progress import no_progress
from lorif_core.workspace.folder.workspace_files import create_files, open_files
from lorif_core.workspace.jobs import kinds as job_kinds
from lorif_core.workspace.jobs.ensure_worker import ensure_worker
from lorif_core.workspace.jobs.kinds import json_of
from lorif_core.workspace.jobs.places import log_of_job, place_of_worker
from lorif_core.workspace.jobs.requests import evaluate_request, index_request, verify_request
from lorif_core.workspace.jobs.submit import open_jobs
from lorif_core.workspace.jobs.submit import submit as submit_request
from lorif_core.workspace.jobs.worker import BEAT_S, GRACE_S, POLL_S, Worker, run_worker
from lorif_core.workspace.workspace import open_workspace

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 600


@pytest.fixture
def files(tmp_path):
    return create_files(tmp_path / "ws")


@pytest.fixture
def jobs(files):
    return open_jobs(files)


def submit(jobs, kind, **request):
    return jobs.submit(kind, request, actor="ann")


def run_once(files, events=None):
    on_event = (lambda text: None) if events is None else events.append
    return run_worker(files.root, device="cpu", idle_exit_s=0, once=True, kinds=KINDS, on_event=on_event)


def result_of(files, jobs, kind, **request):
    job = submit(jobs, kind, **request)
    assert run_once(files) == 1
    return jobs.job(job.job_id)


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


@contextmanager
def in_the_background(work: Callable[[], object]):
    """Run while the block runs; what it raises is yielded when it is over."""
    raised = []

    def run():
        try:
            work()
        except JobError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def calls(*workspaces: Path) -> list[tuple[int, float, float]]:
    """Number, begin and end of every ``note`` job, by begin."""
    lines = [line for root in workspaces for line in (root / CALLS).read_text().splitlines()]
    return sorted(((int(n), float(a), float(b)) for n, a, b in map(str.split, lines)), key=lambda call: call[1])


def overlap(found: list[tuple[int, float, float]]) -> bool:
    return any(later[1] < earlier[2] for earlier, later in pairwise(found))


def test_a_worker_keeps_the_result_of_a_job(files, jobs):
    job = result_of(files, jobs, "note", number=7)
    assert (job.status, job.result, job.attempts, job.message) == ("done", {"number": 7}, 1, None)


def test_a_worker_leaves_when_there_is_nothing_to_do(files):
    assert run_worker(files.root, device="cpu", idle_exit_s=0, kinds=KINDS) == 0


def test_a_worker_says_when_a_job_begins_and_ends(files, jobs):
    job = submit(jobs, "refuse")
    events = []
    run_once(files, events)
    assert [event.split(" cpu ")[1] for event in events] == [
        f"{job.job_id} begins (refuse, attempt 1)",
        f"{job.job_id} failed: the file is no file: choose another one.",
    ]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("refuse", "the file is no file: choose another one."),
        ("fill_the_disk", "'/data/shard' cannot be used (No space left on device): free some space"),
        ("take_all_memory", "the memory of cpu did not suffice. Submit it again with a smaller `--tokens-per-batch`"),
        ("be_killed", "its process was killed, most likely because the machine ran out of memory. Submit it again"),
        ("crash", "this is a defect of LoRIF Studio (KeyError), see the log file "),
        ("unheard of", "a job is one of note, "),
    ],
)
def test_a_job_that_fails_says_why_and_no_more(files, jobs, kind, message):
    job = result_of(files, jobs, kind)
    assert job.status == "failed"
    assert job.message.startswith(message)
    assert "Traceback" not in job.message


def test_the_traceback_of_a_defect_is_in_the_log_of_its_job(files, jobs):
    job = result_of(files, jobs, "crash")
    log = log_of_job(files, job.job_id)
    assert str(log) in job.message
    assert "KeyError: 'a key'" in log.read_text()


def test_a_job_on_the_cpu_sees_no_gpu_and_prints_into_its_log(files, jobs, capfd):
    job = result_of(files, jobs, "name_gpus")
    assert job.result == {"gpus": ""}
    assert "said by the job" in log_of_job(files, job.job_id).read_text()
    assert "said by the job" not in capfd.readouterr().out


def test_what_a_job_leaves_running_ends_with_it(files, jobs):
    pid = result_of(files, jobs, "leave_a_child").result["pid"]
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("kind", ["report", "stay"])
def test_a_job_is_cancelled_even_if_it_refuses(files, jobs, kind):
    job = submit(jobs, kind)
    with in_the_background(lambda: run_once(files)):
        wait_until(lambda: jobs.job(job.job_id).stage is not None)
        jobs.cancel(job.job_id, "bob")
        wait_until(lambda: jobs.job(job.job_id).status == "cancelled")  # neither ends by itself
    assert jobs.job(job.job_id).message == "cancelled by bob"


def test_a_worker_takes_at_most_5_s_from_a_cancellation_to_the_signal_that_cannot_be_refused():
    assert POLL_S + BEAT_S + GRACE_S < 5


def test_of_two_workers_for_one_device_the_second_is_refused_and_no_job_runs_twice(files, jobs):
    second_was_here = files.root / "second-was-here"
    for number in range(3):
        submit(jobs, "note", number=number, until=str(second_was_here))

    def work():
        run_worker(files.root, device="cpu", idle_exit_s=0, kinds=KINDS, on_event=lambda text: None)

    with in_the_background(work) as raised:
        try:
            wait_until(lambda: jobs.jobs("running"))
            with pytest.raises(JobError, match="a workspace has one worker per device"):
                work()
        finally:
            second_was_here.touch()
    assert raised == []
    assert sorted(number for number, _, _ in calls(files.root)) == [0, 1, 2]
    assert not overlap(calls(files.root))


def test_workers_of_two_workspaces_take_turns_on_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    both = [create_files(tmp_path / name) for name in ("one", "two")]
    workers = [Worker(files, open_jobs(files), "cuda:0", KINDS, lambda text: None) for files in both]
    for worker in workers:
        for number in range(2):
            submit(worker.jobs, "note", number=number, seconds=0.3)
    with in_the_background(lambda: workers[0].serve(0, once=False)):
        workers[1].serve(0, once=False)
    found = calls(*(files.root for files in both))
    assert len(found) == 4
    assert not overlap(found)


def test_a_gpu_is_known_by_the_number_that_the_machine_gives_it(files, jobs, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    job = jobs.submit("name_gpus", {}, actor="ann", device="cuda:1")
    assert Worker(files, jobs, "cuda:1", KINDS, lambda text: None).serve(0, once=True) == 1
    assert jobs.job(job.job_id).result == {"gpus": "7"}
    assert (tmp_path / "lorif-gpu-7.lock").exists()


def test_a_job_taken_from_a_worker_does_not_stop_it_from_doing_the_next(files, jobs):
    lost, after = submit(jobs, "report"), submit(jobs, "note", number=1)
    events = []
    worker = Worker(files, jobs, "cpu", KINDS, events.append)
    with in_the_background(lambda: worker.serve(0, once=False)):
        wait_until(lambda: jobs.job(lost.job_id).stage is not None)
        jobs.fail(jobs.job(lost.job_id), "taken for dead")
    assert jobs.job(after.job_id).status == "done"
    assert any(f"{lost.job_id} is left: " in event for event in events)
    assert jobs.job(lost.job_id).message == "taken for dead"


class Unlucky(Jobs):
    """Jobs whose first beat fails."""

    def __init__(self, files, error):
        super().__init__(files.journal.engine)
        self.error = error

    def beat(self, *arguments):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return super().beat(*arguments)


def test_ctrl_c_in_a_worker_leaves_a_failed_job_and_no_process(files, jobs):
    job = submit(jobs, "report")
    with pytest.raises(KeyboardInterrupt):
        Worker(files, Unlucky(files, KeyboardInterrupt()), "cpu", KINDS, lambda text: None).serve(0, once=True)
    failed = jobs.job(job.job_id)
    assert (failed.status, failed.message) == (
        "failed", "its worker was stopped (KeyboardInterrupt). Resume the job; what it finished is kept.",
    )  # fmt: skip
    assert multiprocessing.active_children() == []


def test_a_beat_that_cannot_be_written_does_not_end_the_work(files, jobs):
    beat_failed = files.root / "beat-failed"
    job = submit(jobs, "note", number=1, until=str(beat_failed))

    def on_event(text):
        if "goes on, its progress cannot be written: the disk is away." in text:
            beat_failed.touch()

    Worker(files, Unlucky(files, JournalError("the disk is away.")), "cpu", KINDS, on_event).serve(0, once=True)
    assert jobs.job(job.job_id).status == "done"
    assert beat_failed.exists()


@pytest.mark.parametrize(
    "settings",
    [
        IndexConfig(model=ModelConfig(model="gpt2", include=("*.mlp.*",), device="cuda:1")),
        IndexConfig(model=ModelConfig(model="gpt2"), method=LorifConfig(damping_ratio=0.3)),
        IndexConfig(model=ModelConfig(model="gpt2"), method=KroneckerConfig(budget="1KB")),
    ],
)
def test_an_index_request_means_the_same_settings_on_any_device(settings):
    request = json.loads(json.dumps(json_of(index_request(settings, "ds"))))
    read = job_kinds.KINDS["index"].read(request)
    assert read.settings.model.device == "auto"
    assert index_request(read.settings, "ds") == index_request(settings, "ds")
    assert read.settings.method == settings.method
    assert (read.settings.batches, read.settings.model.include) == (settings.batches, settings.model.include)


def test_an_index_job_that_waits_since_version_0_1_is_read():
    settings = {
        "model": {
            "model": "gpt2",
            "trust_remote_code": False,
            "include": ["*.mlp.*"],
            "exclude": [],
            "device": "auto",
        },
        "method": "kronecker",
        "factors": {"f": 1, "factor_rank": 2, "codec": "int4", "seed": 0},
        "curvature": {"subspace_rank": 0, "damping_rule": "absolute", "damping_ratio": None, "damping": 1.0},
        "whitening": {"alpha": 0.01, "stats_examples": 64},
        "batches": {"max_length": 32, "tokens_per_batch": 256, "shard_examples": None},
        "budget": None,
    }
    read = job_kinds.KINDS["index"].read({"settings": settings, "dataset": "ds"})
    assert read == index_request(
        IndexConfig(
            model=ModelConfig(model="gpt2", include=("*.mlp.*",)),
            method=KroneckerConfig(f=1, factor_rank=2, codec="int4", alpha=0.01, stats_examples=64, head_columns=0),
            batches=BatchConfig(max_length=32, tokens_per_batch=256),
        ),
        "ds",
    )


def test_a_measurement_is_done_as_a_job_with_absolute_paths(tmp_path, monkeypatch):
    workspace = copy_of(indexed(), tmp_path)
    monkeypatch.chdir(texts_file().parent)
    request = json_of(evaluate_request("fidelity", {"queries": texts_file().name, "reference": "bm25", "k": 5}))
    monkeypatch.chdir(tmp_path)
    done = job_kinds.KINDS["evaluate"](workspace, json.loads(json.dumps(request)), no_progress)
    (row,) = done["result"]
    assert row["candidate"] == index_folder(workspace).name
    assert json.loads(json.dumps(done)) == done


def test_a_file_that_was_changed_makes_another_request(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("seed = 0")
    first = verify_request(["t1"], ["q1"], recipe), evaluate_request("planted", {"key": recipe})
    assert (verify_request(["t1"], ["q1"], recipe), evaluate_request("planted", {"key": str(recipe)})) == first
    recipe.write_text("seed = 1")
    assert verify_request(["t1"], ["q1"], recipe) != first[0]
    assert evaluate_request("planted", {"key": recipe}) != first[1]


def test_a_verification_of_unknown_queries_fails_as_the_workspace_says_it(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    with pytest.raises(LorifError, match="no query 'nope'"):
        job_kinds.run_verify(workspace, verify_request(["t001"], ["nope"], "recipe.toml"), no_progress)


def test_arguments_that_a_measurement_does_not_know_are_refused(tmp_path):
    with pytest.raises(JobError, match=r"the request does not fit `mislabel`: .*'colour'"):
        job_kinds.run_evaluate(indexed(), evaluate_request("mislabel", {"column": "x", "colour": "y"}), no_progress)


def test_an_unknown_measurement_is_refused_before_it_becomes_a_job(files, jobs):
    with pytest.raises(JobError, match=r"a measurement is one of lds, .*, got 'luck'"):
        submit_request(files, evaluate_request("luck", {}), "ann")
    assert jobs.jobs() == []


# Batches of one text: it is held in the middle of a shard.
SLOW_INDEX = IndexConfig(
    model=ModelConfig(model=str(model_folder())),
    method=LorifConfig(factor_rank=2, subspace_rank=64),
    batches=BatchConfig(shard_examples=16, tokens_per_batch=1),
)


@pytest.fixture(scope="module")
def one_thread():
    """For the processes of jobs too: sums over other parts of a tensor differ in their last bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory, one_thread):
    """An index build as a job: cancelled, resumed, its worker killed, resumed again."""
    files = open_files(copy_of(imported(), tmp_path_factory.mktemp("disturbed")))
    jobs = open_jobs(files)
    job = submit_request(files, index_request(SLOW_INDEX, files.choose_dataset(None).dataset_id), "ann")
    job_id, seen = job.job_id, SimpleNamespace(files=files, jobs=jobs, job=job)
    seen.same = submit_request(files, index_request(SLOW_INDEX, files.choose_dataset(None).dataset_id), "bob")
    kinds = {"index": build_in_steps}
    worker = SPAWN.Process(target=run_worker, args=(files.root,), kwargs={"device": "cpu", "kinds": kinds})
    worker.start()
    try:
        wait_until(lambda: num_parts(files.root) == HELD_AT[0] // 16)
        jobs.cancel(job_id, "bob")
        wait_until(lambda: jobs.job(job_id).status == "cancelled")
        seen.status_after_cancel = manifest_of(files.root)["status"]
        (files.root / f"beyond-{HELD_AT[0]}").touch()
        jobs.resume(job_id, "bob")
        wait_until(lambda: num_parts(files.root) > HELD_AT[0] // 16)
        seen.running = jobs.job(job_id)
    finally:
        worker.kill()
        worker.join()
    seen.status_after_kill = manifest_of(files.root)["status"]
    (seen.failed,) = jobs.reap()
    jobs.resume(job_id, "ann")
    run_worker(files.root, device="cpu", once=True, on_event=lambda text: None)
    seen.done = jobs.job(job_id)
    return seen


@pytest.mark.slow
def test_the_same_index_asked_for_twice_is_one_job(disturbed):
    assert disturbed.same == disturbed.job
    assert len(disturbed.jobs.jobs()) == 1


@pytest.mark.slow
def test_an_index_build_is_cancelled_and_is_not_taken_for_complete(disturbed):
    assert disturbed.status_after_cancel == "building"


@pytest.mark.slow
def test_a_running_build_shows_its_progress(disturbed):
    shown = disturbed.running
    assert (shown.status, shown.attempts) == ("running", 2)
    assert 0 <= (shown.done or 0) <= (shown.total or 121)


@pytest.mark.slow
def test_a_build_whose_worker_was_killed_has_failed_with_a_reason(disturbed):
    assert disturbed.status_after_kill == "building"
    assert disturbed.failed.job_id == disturbed.job.job_id
    assert disturbed.failed.message.startswith("its worker, process ")
    assert "is gone: it was killed" in disturbed.failed.message


@pytest.mark.slow
def test_a_build_resumed_twice_has_the_bytes_of_one_that_was_never_stopped(disturbed, tmp_path):
    assert (disturbed.done.status, disturbed.done.attempts) == ("done", 3)
    workspace = copy_of(imported(), tmp_path)
    record = open_workspace(workspace).indexes.build(SLOW_INDEX)
    assert disturbed.done.result["index_id"] == record.index_id
    assert lasting_bytes_below(index_folder(disturbed.files.root)) == lasting_bytes_below(index_folder(workspace))


@pytest.mark.slow
def test_the_logs_hold_no_training_text(disturbed):
    logs = list((disturbed.files.root / "logs").iterdir())
    assert logs
    said = "".join(path.read_text() for path in logs)
    assert not [word for word in (*THINGS, *PLACES) if word in said]


@pytest.mark.slow
def test_a_worker_is_started_once_and_does_what_waits_and_leaves_its_place_when_it_is_killed(files, jobs):
    job = submit(jobs, "unheard of")
    assert ensure_worker(files.root, device="cpu")
    assert not ensure_worker(files.root, device="cpu")
    try:
        wait_until(lambda: jobs.job(job.job_id).status == "failed")
        assert not ensure_worker(files.root, device="cpu")
        assert (
            "failed: a job is one of import, index, evaluate, verify, map"
            in (files.root / "logs/worker-cpu.log").read_text()
        )
    finally:
        with suppress(ProcessLookupError):
            os.kill(int(jobs.job(job.job_id).worker.rsplit(":", 2)[1]), signal.SIGTERM)
    wait_until(lambda: is_free(files))


def is_free(files) -> bool:
    with place_of_worker(files, "cpu", 0) as free:
        return free


def test_jobs_are_listed_cancelled_and_refused_on_the_command_line(files, jobs):
    job = submit(jobs, "note", number=1)
    shown = lorif("jobs", files.root)
    assert all(word in shown.out for word in (job.job_id, "note", "queued", "ann"))
    assert "is cancelled" in lorif("cancel", files.root, job.job_id).out
    (listed,) = lorif("jobs", files.root, "--json").json["jobs"]
    assert (listed["job_id"], listed["status"]) == (job.job_id, "cancelled")
    refused = lorif("cancel", files.root, "nope")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert f"there is no job 'nope'. The newest are '{job.job_id}'." in refused.err
