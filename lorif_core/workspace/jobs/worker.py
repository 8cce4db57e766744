"""Workers: processes that do the jobs of a workspace, one at a time and one worker per device.

A job runs in a child of its worker, so that it can be stopped within seconds whatever it is doing: first by a
signal that it may tidy up after, then by one that it cannot refuse. Jobs write finished pieces atomically, so a
job that is queued once more goes on where it was.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lorif_core.config import ImportConfig, IndexConfig
from lorif_core.errors import ArtefactError, JobError, JournalError
from lorif_core.files import read_json, write_json
from lorif_core.journal.jobs import ANY_DEVICE, Job, Jobs, is_running, worker_name
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles, open_files
from lorif_core.workspace.jobs.job_process import SMALLER, Assignment, Done, Failed, Progress, gpu_id, run_assignment
from lorif_core.workspace.jobs.kinds import (
    KINDS,
    JobKind,
    evaluate_request,
    import_request,
    index_request,
    verify_request,
)

IDLE_EXIT_S = 60.0
POLL_S = 0.25
BEAT_S = 0.5
REAP_S = 5.0
LOCK_S = 1.0
"""How long a worker tries to get its place: another process may be looking whether it is taken."""

GRACE_S = 3.0
"""Time between asking a job to stop and killing it."""

KEPT = "what it finished is kept."

SPAWN = multiprocessing.get_context("spawn")
"""Not fork: a copy of a process with threads or a GPU may hang."""


def open_jobs(files: WorkspaceFiles) -> Jobs:
    """The jobs of a workspace.

    Raises:
        JournalError: The journal cannot be opened.
    """
    return Jobs(files.journal.engine)


def submit_index(
    files: WorkspaceFiles, settings: IndexConfig, dataset: str | None, actor: str, *, again: bool = False
) -> Job:
    """The job that builds the index that the settings name. Start a worker with ``ensure_worker``.

    Args:
        files: The workspace.
        settings: Model, method, factors, curvature; the model's device is where it will run.
        dataset: Name or id; None when there is only one.
        actor: Who asks.
        again: Look again whether the index is complete, if the job is done.

    Raises:
        LorifError: The data set is not there, or the job cannot be kept.
    """
    request = index_request(settings, files.choose_dataset(dataset).dataset_id)
    return open_jobs(files).submit("index", request, actor=actor, device=_normal(settings.model.device), again=again)


def submit_import(files: WorkspaceFiles, paths: Sequence[str | Path], settings: ImportConfig, actor: str) -> Job:
    """The job that imports data files, see ``Workspace.import_data``; a done one is done again.

    Raises:
        LorifError: The job cannot be kept.
    """
    return open_jobs(files).submit("import", import_request(paths, settings), actor=actor, again=True)


def jobs_of_kind(files: WorkspaceFiles, kind: str, limit: int = 100) -> list[Job]:
    """Those among the ``limit`` newest jobs that are of a kind, newest first; dead ones are ended first.

    Raises:
        JournalError: The journal cannot be opened.
    """
    jobs = open_jobs(files)
    jobs.reap()
    return [job for job in jobs.jobs(None, limit) if job.kind == kind]


def submit_evaluation(
    files: WorkspaceFiles, measurement: str, arguments: Mapping[str, Any], actor: str, *, again: bool = False
) -> Job:
    """The job that measures quality, such as ``submit_evaluation(files, "planted", {"key": path}, "ann")``.

    Raises:
        LorifError: There is no such measurement, or the job cannot be kept.
    """
    request = evaluate_request(measurement, arguments)
    return open_jobs(files).submit("evaluate", request, actor=actor, again=again)


def submit_verify(
    files: WorkspaceFiles,
    train_ids: Sequence[str],
    queries: Sequence[str],
    recipe: str | Path,
    actor: str,
    *,
    device: str = ANY_DEVICE,
    again: bool = False,
) -> Job:
    """The job that retrains with and without examples, see ``Workspace.verify``.

    Raises:
        LorifError: The job cannot be kept.
    """
    request = verify_request(train_ids, queries, recipe)
    return open_jobs(files).submit("verify", request, actor=actor, device=_normal(device), again=again)


def submit_map(files: WorkspaceFiles, index_id: str | None, actor: str, *, seed: int = 0) -> Job:
    """The job that computes the map of an index, see ``Workspace.map``; a done one looks again whether it is there.

    Raises:
        LorifError: There is no such index, or the job cannot be kept.
    """
    request = {"index_id": files.choose_index(index_id).index_id, "seed": seed}
    return open_jobs(files).submit("map", request, actor=actor, again=True)


def run_worker(
    workspace_path: Path | str,
    *,
    device: str = ANY_DEVICE,
    idle_exit_s: float = IDLE_EXIT_S,
    once: bool = False,
    kinds: Mapping[str, JobKind] = KINDS,
    on_event: Callable[[str], None] = print,
) -> int:
    """Do the jobs of a workspace until there are none.

    Args:
        workspace_path: Folder of the workspace.
        device: `auto` (a GPU when there is one, else the CPU), `cpu` or `cuda:N`. Jobs for another device
            are left to other workers.
        idle_exit_s: How long to wait for another job.
        once: Do at most one job, and do not wait for one.
        kinds: What the jobs may be.
        on_event: Receives a line when a job begins and ends.

    Returns:
        How many jobs were begun.

    Raises:
        JobError: The workspace has a worker for this device already.
        LorifError: The workspace, its journal or the device cannot be used.
    """
    files = open_files(Path(workspace_path))
    worker = Worker(files, open_jobs(files), resolve_device(device), kinds, on_event)
    num_begun = 0
    while True:
        with place_of_worker(files, worker.device, LOCK_S) as is_free:
            if not is_free and num_begun == 0:
                raise JobError(
                    f"a workspace has one worker per device, and {str(files.root)!r} has one for {worker.device} "
                    "already: it does the jobs that wait."
                )
            if is_free:
                starting_file(files, worker.device).unlink(missing_ok=True)
                num_begun += worker.serve(idle_exit_s, once=once)
        # A job that came between the last look and the release found a worker in place, so none was started.
        if once or not is_free or not worker.jobs.has_waiting(worker.device):
            return num_begun


def ensure_worker(workspace_path: Path | str, *, device: str = ANY_DEVICE) -> bool:
    """Start a worker in the background, unless the workspace has one for the device. Does not wait for it.

    It outlives this process, writes into ``logs/`` of the workspace and leaves when there is nothing to do.

    Returns:
        Whether one was started.

    Raises:
        LorifError: The workspace or the device cannot be used.
    """
    files, device = open_files(Path(workspace_path)), resolve_device(device)
    with place_of_worker(files, device, 0) as is_free:
        if not is_free or _is_starting(files, device):
            return False
    command = [sys.executable, "-m", "lorif_core.cli", "worker", str(files.root.resolve()), "--device", device]
    with (_logs(files) / f"worker-{_plain(device)}.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    write_json(starting_file(files, device), {"worker": worker_name(process.pid)})
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay as a zombie once it has left
    return True


def resolve_device(device: str) -> str:
    """`cpu` or `cuda:N`.

    Raises:
        ModelError: The device is unknown or not there.
    """
    from lorif_core.models.load import choose_device

    return _normal(str(choose_device(device)))


def log_of_job(files: WorkspaceFiles, job_id: str) -> Path:
    """Where a job's process prints."""
    return files.root / "logs" / f"{job_id}.log"


def starting_file(files: WorkspaceFiles, device: str) -> Path:
    """Names a worker that was started and has not taken its place yet."""
    return files.root / f"worker-{_plain(device)}.starting"


@contextmanager
def place_of_worker(files: WorkspaceFiles, device: str, timeout_s: float) -> Iterator[bool]:
    """Hold the place of a workspace's worker for a device; yields whether it was free."""
    with _held(files.root / f"worker-{_plain(device)}.lock", timeout_s) as is_free:
        yield is_free


@dataclass(frozen=True)
class Worker:
    """Does the jobs of one workspace on one device. Whoever runs it holds the place of the worker."""

    files: WorkspaceFiles
    jobs: Jobs
    device: str
    """As from ``resolve_device``."""

    kinds: Mapping[str, JobKind]
    on_event: Callable[[str], None]
    name: str = field(default_factory=worker_name)

    def serve(self, idle_exit_s: float, *, once: bool) -> int:
        """Do jobs until none came for ``idle_exit_s``, or only one; returns how many were begun."""
        num_begun, idle_since, reaped_at = 0, time.monotonic(), -REAP_S
        while not (once and num_begun):
            now = time.monotonic()
            if now - reaped_at >= REAP_S:
                self._reap()
                reaped_at = now
            if self.jobs.has_waiting(self.device):
                num_begun += self._run_next()
                idle_since = time.monotonic()
            elif once or now - idle_since >= idle_exit_s:
                break
            else:
                time.sleep(POLL_S)
        return num_begun

    def _reap(self) -> None:
        for job in self.jobs.reap():
            self._say(f"{job.job_id} {job.status}: {job.message}")

    def _run_next(self) -> bool:
        """Do the oldest job, unless another workspace has the device or another worker the job."""
        with device_lock(self.device, POLL_S) as is_free:
            job = self.jobs.claim(self.name, self.device) if is_free else None
            if job is not None:
                self._say(f"{job.job_id} begins ({job.kind}, attempt {job.attempts})")
                self._say(f"{job.job_id} {self._run_to_its_end(job)}")
        return job is not None

    def _run_to_its_end(self, job: Job) -> str:
        """Do a claimed job, and say how it ended."""
        try:
            ended = self._run(job)
        except JobError as error:  # it was taken from this worker
            return f"is left: {error}"
        return f"{ended.status}: {ended.message}" if ended.message else ended.status

    def _run(self, job: Job) -> Job:
        work = self.kinds.get(job.kind)
        if work is None:
            return self.jobs.fail(
                job, f"a job is one of {', '.join(self.kinds)}, got {job.kind!r}: update LoRIF Studio."
            )
        log = log_of_job(self.files, job.job_id)
        _logs(self.files)
        receiver, sender = SPAWN.Pipe(duplex=False)
        given = Assignment(self.files.root, work, job.request, self.device, log)
        process = SPAWN.Process(target=run_assignment, args=(given, sender), name=job.job_id)
        try:
            process.start()
            sender.close()
            outcome, was_stopped = self._watch(job, process, receiver)
        except BaseException as error:
            self.jobs.fail(job, f"its worker was stopped ({type(error).__name__}). Resume the job; {KEPT}")
            raise
        finally:
            receiver.close()
            if process.pid is not None:
                _end(process, process.pid)
        return self._settle(job, outcome, was_stopped=was_stopped, exitcode=process.exitcode, log=log)

    def _watch(self, job: Job, process: SpawnProcess, receiver: Connection) -> tuple[Done | Failed | None, bool]:
        """How the process says that it ended, if it does, and whether it was told to stop."""
        progress, beaten_at, stopped_at = Progress(), 0.0, None
        while True:
            try:
                message = receiver.recv() if receiver.poll(POLL_S) else None
            except (EOFError, OSError):  # it is gone, perhaps in the middle of a message
                return None, stopped_at is not None
            if isinstance(message, Done | Failed):
                return message, stopped_at is not None
            progress, now = message or progress, time.monotonic()
            if stopped_at is None and now - beaten_at >= BEAT_S:
                beaten_at = now
                if not self._beat(job, progress):
                    process.terminate()
                    stopped_at = now
            if stopped_at is not None and now - stopped_at >= GRACE_S:
                process.kill()

    def _beat(self, job: Job, progress: Progress) -> bool:
        try:
            return self.jobs.beat(job, *progress)
        except JournalError as error:  # hours of work are worth more than one beat
            self._say(f"{job.job_id} goes on, its progress cannot be written: {error}")
            return True

    def _settle(
        self, job: Job, outcome: Done | Failed | None, *, was_stopped: bool, exitcode: int | None, log: Path
    ) -> Job:
        if isinstance(outcome, Done):
            return self.jobs.finish(job, outcome.result)
        if was_stopped:
            return self.jobs.stop(job)
        return self.jobs.fail(job, outcome.message if outcome else _describe_exit(exitcode, log))

    def _say(self, text: str) -> None:
        self.on_event(f"{datetime.now():%Y-%m-%d %H:%M:%S} {self.device} {text}")


@contextmanager
def device_lock(device: str, timeout_s: float) -> Iterator[bool]:
    """Hold a GPU against all other workers of this machine; yields whether it was free. The CPU is shared."""
    gpu = gpu_id(device)
    path = Path(tempfile.gettempdir()) / f"lorif-gpu-{gpu}.lock"
    with nullcontext(True) if gpu is None else _held(path, timeout_s, mode=0o666) as is_free:
        yield is_free


@contextmanager
def _held(path: Path, timeout_s: float, *, mode: int = 0o644) -> Iterator[bool]:
    lock = FileLock(path, timeout=timeout_s, mode=mode, poll_interval=0.02, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise JobError(
            f"a worker needs to lock {str(path)!r}, which cannot be done ({error.strerror}): check who owns the file."
        ) from error
    try:
        yield True
    finally:
        lock.release()


def _end(process: SpawnProcess, pid: int) -> None:
    """Wait until the process and all its children are gone; those that linger are killed."""
    wait([process.sentinel], GRACE_S)
    try:
        os.killpg(pid, signal.SIGKILL)  # before `join`, which would free the id for others
    except ProcessLookupError:  # it had not come to be a group of its own
        process.kill()
    process.join()


def _describe_exit(exitcode: int | None, log: Path) -> str:
    if exitcode == -signal.SIGKILL:
        return f"its process was killed, most likely because the machine ran out of memory. {SMALLER}"
    if exitcode is not None and exitcode < 0:
        return f"its process died of {signal.Signals(-exitcode).name}, see the log file {str(log)!r}. Resume the job."
    return f"its process ended without a word (code {exitcode}), see the log file {str(log)!r}. Resume the job."


def _is_starting(files: WorkspaceFiles, device: str) -> bool:
    try:
        return is_running(read_json(starting_file(files, device))["worker"])
    except ArtefactError:  # there is no such file, or no more
        return False


def _logs(files: WorkspaceFiles) -> Path:
    folder = files.root / "logs"
    folder.mkdir(exist_ok=True)
    return folder


def _normal(device: str) -> str:
    return "cuda:0" if device == "cuda" else device


def _plain(device: str) -> str:
    return device.replace(":", "-")
