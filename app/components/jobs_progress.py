"""How far a job is, with its buttons."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import session
from app.components import jobs_result
from lorif_core.journal.jobs import Job, Jobs
from lorif_core.views.text import visible
from lorif_core.workspace.jobs.ensure_worker import ensure_worker
from lorif_core.workspace.jobs.submit import jobs_of_kind, open_jobs

POLL_S = 1.5
MAX_FOLLOWED = 5
ENDED = jobs_result.ENDED
MARKS = {"queued": "…", "running": "▶", "done": "✓", "failed": "✗", "cancelled": "■"}


def draw(job: Job) -> None:
    """One job: what it is, how far it is, why it failed, cancel or resume."""
    with st.container(border=True, key=f"job-{job.job_id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            mark = "stopping…" if job.wants_cancel else job.status
            st.text(visible(f"{MARKS[job.status]} {jobs_result.title_of(job)}  ·  {mark}"), help=f"Job {job.job_id}")
            st.space("stretch")
            _buttons(job)
        if job.status == "running":
            share = job.done / job.total if job.total and job.done is not None else 0.0
            st.progress(min(share, 1.0), text=visible(_stage(job)))
        if job.message:
            st.text(visible(job.message))
        jobs_result.draw(job)
        st.text(_when(job))


@st.fragment(run_every=POLL_S)
def follow(kind: str, sentence: str) -> None:
    """The latest jobs of a kind, live; draws the page again whenever one has ended.

    Args:
        kind: Such as import.
        sentence: Said while there is none; may be empty.
    """
    with session.errors():
        jobs = jobs_of_kind(session.workspace().files, kind)[:MAX_FOLLOWED]
        ended = [job.job_id for job in jobs if job.status in ENDED]
        if st.session_state.setdefault(f"ended-{kind}", ended) != ended:
            st.session_state[f"ended-{kind}"] = ended
            session.forget_datasets()
            st.rerun()
        if not jobs and sentence:
            st.text(sentence)
        for job in jobs:
            draw(job)


def _buttons(job: Job) -> None:
    if job.status not in ENDED:
        is_clicked = st.button(
            "Cancel",
            key=f"cancel-{job.job_id}",
            disabled=job.wants_cancel,
            help="Stops within seconds; what it finished is kept.",
        )
        if is_clicked:
            _act("The job is being stopped.", lambda jobs: jobs.cancel(job.job_id, session.actor()))
    elif job.status != "done":
        is_clicked = st.button(
            "Resume", key=f"resume-{job.job_id}", help="Queues it once more; it goes on where it was."
        )
        if is_clicked:
            _act("The job waits for its worker.", lambda jobs: jobs.resume(job.job_id, session.actor()))


def _act(said: str, write: Callable[[Jobs], Job]) -> None:
    """Change a job, then draw the whole page: these buttons may stand in a fragment, which shows no messages."""
    workspace = session.workspace()

    def change() -> Any:
        job = write(open_jobs(workspace.files))
        if job.status == "queued":
            ensure_worker(workspace.path)
        return job

    session.act(said, change)
    st.rerun()


def _stage(job: Job) -> str:
    if not job.done:
        return job.stage or "starting"
    if not job.total:
        return f"{job.stage}: {job.done:,}"
    return f"{job.stage}: {job.done:,} of {job.total:,}"


def _when(job: Job) -> str:
    parts = [f"asked by {visible(job.actor)} at {job.created_at:%Y-%m-%d %H:%M} UTC"]
    if job.attempts > 1:
        parts.append(f"attempt {job.attempts}")
    if job.started_at and job.finished_at and job.status in ENDED:
        parts.append(f"took {(job.finished_at - job.started_at).total_seconds():.0f} s")
    return " · ".join(parts)
