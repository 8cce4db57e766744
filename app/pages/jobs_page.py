"""Jobs: long work, how far it is, why it failed; and what the workspace holds."""

from typing import get_args

import streamlit as st

from app import session
from app.components import jobs_builds, jobs_progress, jobs_summary
from lorif_core.journal.jobs import JobStatus
from lorif_core.workspace.folder.workspace_status import describe_workspace
from lorif_core.workspace.jobs.worker import open_jobs

POLL_S = 1.5
MAX_JOBS = 50


def page() -> None:
    """Draw the page."""
    session.title("Jobs", "Long work is done by a worker beside the studio; closing this page does not stop it.")
    shown = st.selectbox("Which", ("all", *get_args(JobStatus)), key="state", bind="query-params", width=180)
    _list(None if shown == "all" else shown)
    st.subheader("The workspace", anchor=False)
    with session.errors():
        jobs_summary.draw(describe_workspace(session.workspace().files))


@st.fragment(run_every=POLL_S)
def _list(status: str | None) -> None:
    with session.errors():
        jobs = open_jobs(session.workspace().files).jobs(status, MAX_JOBS)
        if not jobs:
            session.empty(
                "No job yet." if status is None else f"No job is {status}.",
                "lorif index {workspace} --model FOLDER --as-job",
            )
        for job in jobs:
            jobs_progress.draw(job)
        jobs_builds.draw()
