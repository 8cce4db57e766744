"""Long work that people ask for and worker processes do, one row of the journal per job.

    queued ──> running ──> done
      ^  │        ├──────> failed ─────┐
      │  └────────┴──────> cancelled ──┤
      └── resumed, or asked for again ─┘

A worker that was taken for dead may come back: what it says about a job counts only while the job is still
its own, which the claim's worker and attempt number decide.
"""

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args
from uuid import uuid4

import psutil
from sqlalchemy import Connection, Engine, Select, Table, insert, select, update

from lorif_core.errors import JobError
from lorif_core.files import fingerprint_of_value
from lorif_core.journal.database import reading, writing
from lorif_core.journal.entries import Role
from lorif_core.journal.journal_tables import JobRow
from lorif_core.journal.people import require_role

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]

NEXT: Mapping[JobStatus, tuple[JobStatus, ...]] = {
    "queued": ("running", "cancelled"),
    "running": ("done", "failed", "cancelled"),
    "done": (),
    "failed": ("queued",),
    "cancelled": ("queued",),
}
"""The statuses that may follow each."""

ANY_DEVICE = "auto"
"""The device of a job that any worker may do."""

LEAST_ROLE: Role = "curator"
"""Who may start and stop jobs."""

DEAD_AFTER_S = 60.0
"""How long a worker on another machine may be silent."""

MAX_REQUEST_CHARS = 4 << 20
MAX_NAME_CHARS = 200
MAX_MESSAGE_CHARS = 2000
MAX_IDS_SHOWN = 5

_JOBS = cast(Table, JobRow.__table__)

_UNSTARTED: dict[str, Any] = {
    "message": None,
    "stage": None,
    "done": None,
    "total": None,
    "result_json": None,
    "wants_cancel": False,
}
"""Columns of a job that is to begin from the start."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it was when it was read. Times are aware and in UTC."""

    job_id: str

    kind: str
    """Which work it is, such as index."""

    request: dict[str, Any]
    """What to do; the same kind and request are the same work."""

    status: JobStatus

    stage: str | None
    """What the worker is at, such as gradients."""

    done: int | None
    """How far the stage is, of ``total``."""

    total: int | None

    message: str | None
    """Why it failed, or who cancelled it, in a sentence."""

    result: dict[str, Any] | None
    """What it came to, once it is done."""

    wants_cancel: bool
    """Whether somebody asked the worker to stop."""

    actor: str
    """Who asked for it first."""

    device: str
    """`auto`, `cpu` or `cuda:N`: the worker that may do it."""

    worker: str | None
    """Host, process and start time of the worker that had it last."""

    attempts: int
    """How often a worker began it."""

    created_at: datetime
    started_at: datetime | None
    """When its last attempt began."""

    heartbeat_at: datetime | None
    """When its worker was last heard of."""

    finished_at: datetime | None


class Jobs:
    """The jobs of one journal. Every method is one transaction."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._now = now

    def submit(
        self, kind: str, request: Mapping[str, Any], *, actor: str, device: str = ANY_DEVICE, again: bool = False
    ) -> Job:
        """The job that does this work: the one that is there already, or a new one.

        The same kind and request, whoever asks, are one job. If it failed or was cancelled it is queued
        once more and goes on where it was.

        Args:
            kind: Which work it is.
            request: What to do, as JSON values.
            actor: Who asks.
            device: `auto`, `cpu` or `cuda:N`; does not distinguish jobs.
            again: Do it anew, as a job of its own, if it is done.

        Raises:
            RoleError: The actor may not start jobs.
            JobError: A value cannot be kept, or the same job is just being stopped.
        """
        for name, text in (("kind", kind), ("actor", actor)):
            _check_name(name, text)
        if not re.fullmatch(r"auto|cpu|cuda:\d{1,3}", device):
            raise JobError(f"the device of a job is auto, cpu or cuda:N, got {device[:40]!r}.")
        text = _request_text(request)
        request_hash = fingerprint_of_value([kind, text])
        with writing(self._engine) as connection:
            require_role(connection, actor, LEAST_ROLE, "start jobs")
            same = _select(connection, _newest_of(request_hash))
            if not same or (again and same[0].status == "done"):
                return self._insert(connection, kind, text, request_hash, actor, device)
            return self._requeue(connection, same[0])

    def resume(self, job_id: str, actor: str) -> Job:
        """The job, queued once more if it failed or was cancelled; what it finished is kept.

        Raises:
            RoleError: The actor may not start jobs.
            JobError: It is unknown, done, or just being stopped.
        """
        with writing(self._engine) as connection:
            require_role(connection, actor, LEAST_ROLE, "start jobs")
            job = _one(connection, job_id)
            if job.status == "done":
                raise JobError(f"job {job_id!r} is done, there is nothing to resume. Submit it again to repeat it.")
            return self._requeue(connection, job)

    def cancel(self, job_id: str, actor: str) -> Job:
        """The job, cancelled if it was queued, or told to stop if it is running.

        Raises:
            RoleError: The actor may not stop jobs.
            JobError: It is unknown, or has ended already.
        """
        _check_name("actor", actor)
        said = f"cancelled by {actor}"
        with writing(self._engine) as connection:
            require_role(connection, actor, LEAST_ROLE, "stop jobs")
            job = _one(connection, job_id)
            if job.status == "queued":
                return self._end(connection, job, "cancelled", message=said)
            if job.status in ("done", "failed"):
                raise JobError(f"only a queued or running job can be cancelled, {job_id!r} is {job.status}.")
            if job.status == "running" and not job.wants_cancel:
                return _change(connection, job, wants_cancel=True, message=said)
            return job

    def claim(self, worker: str, device: str) -> Job | None:
        """The oldest queued job for a device, now running and this worker's alone; None if there is none.

        Args:
            worker: From ``worker_name``.
            device: The worker's own; jobs for any device are taken too.
        """
        with writing(self._engine) as connection:
            waiting = _select(connection, _waiting_for(device))
            if not waiting:
                return None
            now = self._now()
            return _move(
                connection,
                waiting[0],
                "running",
                worker=worker,
                attempts=waiting[0].attempts + 1,
                started_at=now,
                heartbeat_at=now,
                **_UNSTARTED,
            )

    def has_waiting(self, device: str) -> bool:
        """Whether ``claim`` would find a job; takes no lock."""
        with reading(self._engine) as connection:
            return bool(_select(connection, _waiting_for(device)))

    def beat(self, claimed: Job, stage: str | None = None, done: int | None = None, total: int | None = None) -> bool:
        """Say that a claimed job's worker is alive, and how far it is.

        Returns:
            Whether to go on: False if the job is to be cancelled, or is no longer the worker's.
        """
        changes = {"heartbeat_at": self._now(), "stage": stage, "done": done, "total": total}
        owned = (_JOBS.c.job_id == claimed.job_id, *_owned_by(claimed))
        statement = update(_JOBS).where(*owned).values(changes).returning(_JOBS.c.wants_cancel)
        with writing(self._engine) as connection:
            return connection.execute(statement).scalar() is False

    def finish(self, claimed: Job, result: Mapping[str, Any]) -> Job:
        """The claimed job, done.

        Raises:
            JobError: It is no longer the worker's.
        """
        return self._settle(claimed, "done", result_json=json.dumps(result), message=None)

    def fail(self, claimed: Job, message: str) -> Job:
        """The claimed job, failed for a reason.

        Raises:
            JobError: It is no longer the worker's.
        """
        return self._settle(claimed, "failed", message=message[:MAX_MESSAGE_CHARS])

    def stop(self, claimed: Job) -> Job:
        """The claimed job, cancelled, after ``beat`` said not to go on.

        Raises:
            JobError: It is no longer the worker's.
        """
        return self._settle(claimed, "cancelled")

    def reap(self, timeout_s: float = DEAD_AFTER_S) -> list[Job]:
        """End the running jobs whose worker is dead, and return them.

        A worker of this machine is dead when its process is gone, one of another machine when it has been
        silent for ``timeout_s``. The job has failed, with the reason as its message; one that was to be
        cancelled is.
        """
        with reading(self._engine) as connection:
            suspects = _select(connection, _with_status("running"))
        if not any(self._cause_of_death(job, timeout_s) for job in suspects):
            return []
        ended: list[Job] = []
        with writing(self._engine) as connection:
            for job in _select(connection, _with_status("running")):
                cause = self._cause_of_death(job, timeout_s)
                if cause and job.wants_cancel:
                    ended.append(self._end(connection, job, "cancelled"))
                elif cause:
                    ended.append(self._end(connection, job, "failed", message=cause))
        return ended

    def job(self, job_id: str) -> Job:
        """The job with this id.

        Raises:
            JobError: There is none; the message names the newest ones.
        """
        with reading(self._engine) as connection:
            return _one(connection, job_id)

    def jobs(self, status: str | None = None, limit: int = 100) -> list[Job]:
        """Jobs, newest first.

        Args:
            status: Only these.
            limit: At most so many.

        Raises:
            JobError: There is no such status.
        """
        if status is not None and status not in get_args(JobStatus):
            raise JobError(f"the status of a job is one of {', '.join(get_args(JobStatus))}, got {status!r}.")
        query = _newest() if status is None else _with_status(status)
        with reading(self._engine) as connection:
            return _select(connection, query.limit(limit))

    def _insert(
        self, connection: Connection, kind: str, request_text: str, request_hash: str, actor: str, device: str
    ) -> Job:
        job_id = f"job-{uuid4().hex[:12]}"
        connection.execute(
            insert(_JOBS).values(
                job_id=job_id,
                kind=kind,
                request_json=request_text,
                request_hash=request_hash,
                status="queued",
                wants_cancel=False,
                actor=actor,
                device=device,
                attempts=0,
                created_at=self._now(),
            )
        )
        return _one(connection, job_id)

    def _requeue(self, connection: Connection, job: Job) -> Job:
        if job.status in ("failed", "cancelled"):
            return _move(connection, job, "queued", finished_at=None, **_UNSTARTED)
        if job.wants_cancel:
            raise JobError(f"job {job.job_id!r} is being stopped. Wait some seconds until it is, then ask again.")
        return job

    def _settle(self, claimed: Job, to: JobStatus, **changes: Any) -> Job:
        with writing(self._engine) as connection:
            job = _one(connection, claimed.job_id)
            if (job.status, job.worker, job.attempts) != ("running", claimed.worker, claimed.attempts):
                raise JobError(
                    f"job {job.job_id!r} is no longer this worker's but {job.status}: the worker had been taken for "
                    "dead. What it did is kept on the disk; resume the job if it is not done."
                )
            return self._end(connection, job, to, **changes)

    def _end(self, connection: Connection, job: Job, to: JobStatus, **changes: Any) -> Job:
        return _move(connection, job, to, finished_at=self._now(), wants_cancel=False, **changes)

    def _cause_of_death(self, job: Job, timeout_s: float) -> str | None:
        """Why nobody is working on a running job any more; None if somebody is."""
        host, pid, started = _parts(job.worker or "")
        since = job.heartbeat_at or job.created_at
        silent_s = (self._now() - since).total_seconds()
        remedy = "Resume the job; what it finished is kept."
        if host == socket.gethostname():
            found = _start_of(pid)
            # The clock may have been set since, which moves all start times: that alone proves nothing.
            if found == started or (found is not None and silent_s < timeout_s):
                return None
            return f"its worker, process {pid}, is gone: it was killed, ran out of memory or crashed. {remedy}"
        if silent_s < timeout_s:
            return None
        return f"its worker, process {pid} on {host}, has been silent for {silent_s:.0f} s. {remedy}"


def worker_name(pid: int | None = None) -> str:
    """How a process of this machine signs for the jobs that it claims; no later process has the same name."""
    pid = os.getpid() if pid is None else pid
    return f"{socket.gethostname()}:{pid}:{_start_of(pid)}"


def is_running(worker: str) -> bool:
    """Whether a worker of this machine still runs, by its name."""
    _, pid, started = _parts(worker)
    return _start_of(pid) == started


def _parts(worker: str) -> tuple[str, int, str]:
    host, pid, started = worker.rsplit(":", 2)
    return host, int(pid), started


def _start_of(pid: int) -> str | None:
    """When a process started, ``hidden`` if the system does not tell, None if it is gone."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return "hidden"


def _check_name(name: str, text: str) -> None:
    if not text.strip() or not text.isprintable() or len(text) > MAX_NAME_CHARS:
        raise JobError(
            f"the {name} of a job is 1 to {MAX_NAME_CHARS} printable characters, got {text[:40]!r} "
            f"({len(text)} characters)."
        )


def _request_text(request: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(request), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise JobError(f"the request of a job must be JSON: {error}.") from error
    if len(text) > MAX_REQUEST_CHARS:
        raise JobError(
            f"the request of a job may take {MAX_REQUEST_CHARS} characters as JSON, got {len(text)}: put long lists "
            "into a file and name the file."
        )
    return text


def _newest() -> Select[Any]:
    return select(_JOBS).order_by(_JOBS.c.created_at.desc(), _JOBS.c.job_id)


def _newest_of(request_hash: str) -> Select[Any]:
    return _newest().where(_JOBS.c.request_hash == request_hash).limit(1)


def _with_status(status: str) -> Select[Any]:
    return _newest().where(_JOBS.c.status == status)


def _waiting_for(device: str) -> Select[Any]:
    waits = (_JOBS.c.status == "queued", _JOBS.c.device.in_((device, ANY_DEVICE)))
    return select(_JOBS).where(*waits).order_by(_JOBS.c.created_at, _JOBS.c.job_id).limit(1)


def _owned_by(claimed: Job) -> tuple[Any, ...]:
    mine = (_JOBS.c.worker == claimed.worker, _JOBS.c.attempts == claimed.attempts)
    return (_JOBS.c.status == "running", *mine)


def _select(connection: Connection, query: Select[Any]) -> list[Job]:
    return [_job(row) for row in connection.execute(query).mappings()]


def _job(row: Mapping[Any, Any]) -> Job:
    plain = {field.name: row[field.name] for field in fields(Job) if field.name in row}
    result = row["result_json"]
    return Job(
        **plain, request=json.loads(row["request_json"]), result=None if result is None else json.loads(result)
    )


def _one(connection: Connection, job_id: str) -> Job:
    if found := _select(connection, select(_JOBS).where(_JOBS.c.job_id == job_id)):
        return found[0]
    known = ", ".join(repr(job.job_id) for job in _select(connection, _newest().limit(MAX_IDS_SHOWN)))
    raise JobError(f"there is no job {job_id[:40]!r}. " + (f"The newest are {known}." if known else "There is none."))


def _move(connection: Connection, job: Job, to: JobStatus, **changes: Any) -> Job:
    """The job with another status."""
    assert to in NEXT[job.status], f"{job.status} -> {to}"
    return _change(connection, job, status=to, **changes)


def _change(connection: Connection, job: Job, **changes: Any) -> Job:
    connection.execute(update(_JOBS).where(_JOBS.c.job_id == job.job_id).values(changes))
    return _one(connection, job.job_id)
