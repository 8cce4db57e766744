"""What a job came to, in a sentence, and the link to it; and the toast on any page when one ends."""

from typing import Any, NamedTuple

import streamlit as st

from app import session
from app.components.home_road import link
from lorif_core.journal.jobs import Job
from lorif_core.views.tables import human_seconds
from lorif_core.views.text import counted, visible
from lorif_core.workspace.jobs.submit import open_jobs

ENDED = ("done", "failed", "cancelled")
NAMES = {
    "import": "Import",
    "index": "Index",
    "evaluate": "Measurement",
    "verify": "Verification",
    "map": "Map",
    "failures": "Failures",
}
"""What people call a kind of job."""

MEASUREMENTS = {
    "lds": "how good the scores are (LDS)",
    "sweep": "a sweep of settings",
    "fidelity": "fidelity to uncompressed scores",
    "retrain": "ground truth by training again",
    "planted": "planted texts found",
    "mislabel": "wrong labels found",
    "tail_patch": "tail patch",
    "brittleness": "brittleness",
}
NUM_WATCHED = 20


class JobResult(NamedTuple):
    """Where to see what a job did."""

    said: str
    """May hold names that people gave: plain text."""

    page: str
    label: str
    query: dict[str, str]


def title_of(job: Job) -> str:
    """What a job is, for people."""
    what = NAMES.get(job.kind, job.kind.capitalize())
    if job.kind == "evaluate":
        measured = str(job.request.get("measurement", ""))
        return f"{what}: {MEASUREMENTS.get(measured, measured)}"
    return what


def result_of(job: Job) -> JobResult | None:
    """What a job that is done came to; None where that is not known."""
    found: dict[str, Any] = job.result or {}
    if job.kind == "import" and "name" in found:
        came = "These texts were there already"
        if found["is_new"]:
            came = f"{counted(found['num_examples'], 'text')} came in"
        said = f"{came}, as {found['name']} version {found['version']}."
        dataset = {"dataset": str(found["dataset_id"])}
        if not any(one.dataset_id == found["dataset_id"] for one in session.workspace().indexes.records()):
            return JobResult(said, "indexes", "Build an index of it", {"tab": "Build"} | dataset)
        return JobResult(said, "corpus", "See the texts", dataset)
    if job.kind == "index" and "index_id" in found:
        index_id = str(found["index_id"])
        named = session.index_names().get(index_id)
        if named is None:
            return JobResult("The index was deleted since.", "indexes", "See the indexes", {})
        return JobResult(f"{named.name} is ready: {named.line}.", "investigate", "Ask it", {"index": index_id})
    if job.kind == "map":
        url = {"tab": "Map", "index": str(job.request["index_id"])}
        return JobResult("The map is drawn.", "corpus", "See the map", url)
    if job.kind == "failures" and "run_id" in found:
        asked = f"{counted(found['num_failures'], 'failure')} of {found['file']} asked."
        url = {"run": str(found["run_id"]), "index": str(job.request["index_id"])}
        return JobResult(asked, "failures", "See what taught them", url)
    if job.kind == "verify":
        said = "The model was trained again without the texts."
        return JobResult(said, "what-if", "See what changed", {"job": job.job_id} | _data_of(job))
    if job.kind == "evaluate":
        if job.request.get("measurement") == "sweep":
            return JobResult("The settings were compared.", "indexes", "See the sweep", {"tab": "Sweep"})
        return JobResult("The figures are kept with the index.", "indexes", "See the index", {})
    return None


def _data_of(job: Job) -> dict[str, str]:
    """The data set of the questions of a verification, for an address; empty where they are gone."""
    asked = set(job.request["arguments"]["queries"])
    found = [one.dataset_id for one in session.workspace().questions.records() if one.query_id in asked]
    return {"dataset": found[0]} if found else {}


def draw(job: Job) -> None:
    """What a job that is done came to, with a link to it."""
    found = result_of(job) if job.status == "done" else None
    if found is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key=f"job-result-{job.job_id}"):
        st.text(visible(found.said))
        link(found.page, found.label, found.query)


def toast_ends() -> None:
    """Say on any page that a job has ended since this tab looked last; for the fragment that watches."""
    jobs = {job.job_id: job for job in open_jobs(session.workspace().files).jobs(None, NUM_WATCHED)}
    before: dict[str, str] | None = st.session_state.get("jobs-seen")
    now = {job_id: job.status for job_id, job in jobs.items()}
    st.session_state["jobs-seen"] = now
    if before is None:
        return
    for job_id, status in now.items():
        if status in ENDED and before.get(job_id, "queued") not in ENDED:
            session.forget_datasets()
            session.forget_indexes()
            st.toast(f"{title_of(jobs[job_id])} {_ending(jobs[job_id])}. See Jobs.", duration="long")


def _ending(job: Job) -> str:
    if job.status != "done" or job.started_at is None or job.finished_at is None:
        return job.status
    return f"done in {human_seconds((job.finished_at - job.started_at).total_seconds())}"
