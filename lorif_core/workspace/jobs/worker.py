"""Workers: processes that do the jobs of a workspace, one at a time and one worker per device.

A job runs in a child of its worker, so that it can be stopped within seconds whatever it is doing: first by a
signal that it may tidy up after, then by one that it cannot refuse. Jobs write finished pieces atomically, so a
job that is queued once more goes on where it was.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from lorif_core.errors import JobError, JournalError
from lorif_core.journal.jobs import ANY_DEVICE, Job, Jobs, worker_name
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles, open_files
from lorif_core.workspace.jobs.job_process import SMALLER, Assignment, Done, Failed, Progress, run_assignment
from lorif_core.workspace.jobs.kinds import KINDS, Work
from lorif_core.workspace.jobs.places import (
    device_lock,
    log_of_job,
    logs_folder,
    place_of_worker,
    resolve_device,
    starting_file,
)
from lorif_core.workspace.jobs.submit import open_jobs

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


def run_worker(
    workspace_path: Path | str,
    *,
    device: str = ANY_DEVICE,
    idle_exit_s: float = IDLE_EXIT_S,
    once: bool = False,
    kinds: Mapping[str, Work] = KINDS,
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


@dataclass(frozen=True)
class Worker:
    """Does the jobs of one workspace on one device. Whoever runs it holds the place of the worker."""

    files: WorkspaceFiles
    jobs: Jobs
    device: str
    """As from ``resolve_device``."""

    kinds: Mapping[str, Work]
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
        logs_folder(self.files)
        receiver, sender = SPAWN.Pipe(duplex=False)
        given = Assignment(self.files.root, work, job.request, self.device, log, job.actor)
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
