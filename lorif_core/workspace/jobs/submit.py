"""Ask for a job: keep its request in the journal, and see that a worker does it."""

from lorif_core.journal.jobs import ANY_DEVICE, Job, Jobs
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.jobs.ensure_worker import ensure_worker
from lorif_core.workspace.jobs.kinds import json_of, kind_of
from lorif_core.workspace.jobs.places import normal_device
from lorif_core.workspace.jobs.requests import Request


def open_jobs(files: WorkspaceFiles) -> Jobs:
    """The jobs of a workspace.

    Raises:
        JournalError: The journal cannot be opened.
    """
    return Jobs(files.journal.engine)


def jobs_of_kind(files: WorkspaceFiles, kind: str, limit: int = 100) -> list[Job]:
    """Those among the ``limit`` newest jobs that are of a kind, newest first; dead ones are ended first.

    Raises:
        JournalError: The journal cannot be opened.
    """
    jobs = open_jobs(files)
    jobs.reap()
    return [job for job in jobs.jobs(None, limit) if job.kind == kind]


def submit(
    files: WorkspaceFiles, request: Request, actor: str, *, device: str = ANY_DEVICE, again: bool = False
) -> Job:
    """The job that does a request; a worker does it when there is one, see ``start_job``.

    Args:
        files: The workspace.
        request: Of one of the kinds.
        actor: Who asks.
        device: Where it shall run.
        again: Do it again, if it is done.

    Raises:
        LorifError: The job cannot be kept.
    """
    jobs = open_jobs(files)
    return jobs.submit(kind_of(request), json_of(request), actor=actor, device=normal_device(device), again=again)


def start_job(
    files: WorkspaceFiles, request: Request, actor: str, *, device: str = ANY_DEVICE, again: bool = True
) -> Job:
    """The job that does a request, and a worker that does the job. As ``submit``.

    Raises:
        LorifError: The job cannot be kept, or no worker can be started.
    """
    job = submit(files, request, actor, device=device, again=again)
    ensure_worker(files.root, device=device)
    return job
