"""Commands about long work: worker, jobs, cancel, resume."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, console, print_json, say
from lorif_core.views.text import visible

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from lorif_core.journal.jobs import Job


def worker(
    workspace: Positional[Path], /, *, device: str = "auto", idle_exit_s: float = 60.0, once: bool = False
) -> None:
    """Do the jobs that wait in a workspace: build indexes, retrain, evaluate. One worker per device.

    Other commands start one in the background when there is a job for it; this one is for running it
    by hand, on a second GPU or on another machine.

    Args:
        workspace: Folder of the workspace.
        device: auto (a GPU when there is one, else the CPU), cpu or cuda:N.
        idle_exit_s: Leave when no job came for so many seconds.
        once: Do at most one job, and do not wait for one.
    """
    from lorif_core.workspace.jobs.worker import run_worker

    run_worker(workspace, device=device, idle_exit_s=idle_exit_s, once=once, on_event=_say_at_once)


def jobs(workspace: Positional[Path], /, *, status: TextArg = None, limit: int = 20, json: Json = False) -> None:
    """List the jobs of a workspace, newest first: how far they are, and why one failed.

    Args:
        workspace: Folder of the workspace.
        status: Only queued, running, done, failed or cancelled ones.
        limit: At most so many.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.workspace.folder.workspace_files import open_files
    from lorif_core.workspace.jobs.submit import open_jobs

    known = open_jobs(open_files(workspace))
    known.reap()
    found = known.jobs(status, limit)
    if json:
        print_json({"jobs": [asdict(job) for job in found]})
    elif found:
        _print_jobs(found)
    else:
        say("There is no job." if status is None else f"There is no {status} job.")


def cancel(workspace: Positional[Path], job: Positional[str], /, *, json: Json = False) -> None:
    """Stop a job within seconds. What it finished is kept; `lorif resume` goes on from there.

    Args:
        workspace: Folder of the workspace.
        job: Id of the job, see `lorif jobs`.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.folder.workspace_files import open_files
    from lorif_core.workspace.jobs.submit import open_jobs

    known = open_jobs(open_files(workspace))
    cancelled = known.cancel(job, current_actor())
    known.reap()
    if json:
        print_json(asdict(cancelled))
    elif cancelled.status == "cancelled":
        say(f"Job {job} is cancelled.")
    else:
        say(f"Job {job} is being stopped; `lorif jobs {workspace}` shows when it is.")


def resume(workspace: Positional[Path], job: Positional[str], /, *, json: Json = False) -> None:
    """Go on with a job that failed or was cancelled, and start a worker if there is none.

    Args:
        workspace: Folder of the workspace.
        job: Id of the job, see `lorif jobs`.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.folder.workspace_files import open_files
    from lorif_core.workspace.jobs.ensure_worker import ensure_worker
    from lorif_core.workspace.jobs.submit import open_jobs

    known = open_jobs(open_files(workspace))
    known.reap()
    resumed = known.resume(job, current_actor())
    ensure_worker(workspace, device=resumed.device)
    if json:
        print_json(asdict(resumed))
    else:
        say(f"Job {job} is {resumed.status}; `lorif jobs {workspace}` shows how far it is.")


COMMANDS = {"worker": worker, "jobs": jobs, "cancel": cancel, "resume": resume}
"""The commands of this module by name."""


def _say_at_once(text: str) -> None:
    """Print without waiting for more: the output is a log that people follow."""
    print(visible(text), flush=True)


def _print_jobs(found: "Sequence[Job]") -> None:
    from lorif_core.views.tables import records_table

    columns = ["id", "kind", "status", "progress", "started", "by", "message"]
    console().print(records_table("Jobs", columns, [_row(job) for job in found]))


def _row(job: "Job") -> list[Any]:
    progress = f"{job.stage} {job.done}/{job.total}" if job.stage and job.status != "done" else ""
    started = f"{job.started_at.astimezone():%Y-%m-%d %H:%M}" if job.started_at else ""
    status = "stopping" if job.wants_cancel else job.status
    return [job.job_id, job.kind, status, progress, started, job.actor, job.message or ""]


def say_submitted(job: "Job", workspace: Path, *, json: bool) -> None:
    """Say that a job waits for its worker, and how to follow it."""
    if json:
        print_json(asdict(job))
        return
    say(f"Job {job.job_id} ({job.kind}) is {job.status}. `lorif jobs {workspace}` shows how far it is.")
