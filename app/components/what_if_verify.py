"""Check a prediction by training with and without the texts: a job, its progress, its result."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from app import session
from app.components import jobs_progress, what_if_result
from lorif_core.catalog import QueryRecord
from lorif_core.errors import LorifError
from lorif_core.journal.jobs import Job
from lorif_core.views.tables import human_seconds
from lorif_core.views.text import counted, visible
from lorif_core.workspace.jobs.requests import verify_request
from lorif_core.workspace.jobs.submit import jobs_of_kind, open_jobs, start_job
from lorif_core.workspace.studio.results import verification_of
from lorif_core.workspace.studio.suggestions import suggested_recipe

if TYPE_CHECKING:
    from lorif_core.workspace.curation.training_time import TrainingTime

POLL_S = 1.0


def draw(ids: Sequence[str], queries: Sequence[str]) -> None:
    """The form."""
    st.subheader("Verify by training again", anchor=False)
    st.caption("Trains twice, with and without the texts, in the background.")
    suggested = suggested_recipe(session.workspace())
    with st.container(horizontal=True, vertical_alignment="bottom", key="what-if-verify-row"):
        recipe = st.text_input(
            "Recipe",
            value=suggested,
            key="what-if-recipe",
            max_chars=4000,
            width=520,
            help="A TOML file on the server that says how the model was trained: checkpoint, learning_rate, epochs, "
            "seed. See docs/reference/recipes.md.",
        )
        time, refusal = _time(recipe)
        told = "" if time is None else f" · about {human_seconds(time.seconds)}"
        st.button(
            f"Verify on {counted(len(queries), 'question')}{told}",
            key="what-if-verify",
            type="primary",
            disabled=not (ids and queries and recipe),
            on_click=_start,
            args=(list(ids), list(queries)),
        )
    with st.container(key="what-if-time"):
        st.text(visible(refusal) if refusal else _sentence(time, recipe))


def _time(recipe: str) -> tuple["TrainingTime | None", str | None]:
    """How long it will take, and why the recipe cannot be used if it cannot."""
    if not recipe:
        return None, None
    try:
        return session.workspace().removals.training_time(session.dataset_id(), recipe), None
    except LorifError as error:
        return None, session.sentence_of(error)


def _sentence(time: "TrainingTime | None", recipe: str) -> str:
    if not recipe:
        return "Name the recipe by which the model was trained."
    return "How long it takes is not known yet: nothing was timed." if time is None else time.sentence


def _start(ids: list[str], queries: list[str]) -> None:
    workspace, recipe = session.workspace(), st.session_state["what-if-recipe"]

    def start() -> Any:
        job = start_job(workspace.files, verify_request(ids, queries, recipe), session.actor(), again=False)
        session.set_url(job=job.job_id)
        return job

    session.act("The training waits for its worker.", start)


def result(queries: Sequence[QueryRecord]) -> None:
    """The verification that the URL names, else the newest, of those that trained for one of these questions."""
    asked = {record.query_id for record in queries}
    jobs = jobs_of_kind(session.workspace().files, "verify")
    known = {job.job_id: job for job in jobs if asked.intersection(job.request["arguments"]["queries"])}
    if not known:
        return
    named = st.query_params.get("job")
    labels = {job_id: visible(_label(job)) for job_id, job in known.items()}
    shown = st.selectbox(
        "Verification",
        list(known),
        index=list(known).index(named) if named in known else 0,
        format_func=lambda job_id: labels[job_id],
        key=f"what-if-job-{named}",
    )
    job = known[shown]
    if job.status in ("queued", "running"):
        _poll(job.job_id)
        return
    jobs_progress.draw(job)
    if (found := verification_of(job)) is not None:
        what_if_result.verified(found)


@st.fragment(run_every=POLL_S)
def _poll(job_id: str) -> None:
    with session.errors():
        job = open_jobs(session.workspace().files).job(job_id)
        if job.status in jobs_progress.ENDED:
            st.rerun()
        jobs_progress.draw(job)


def _label(job: Job) -> str:
    arguments = job.request["arguments"]
    removed, asked = len(arguments["train_ids"]), len(arguments["queries"])
    return f"{job.created_at:%Y-%m-%d %H:%M} · {counted(removed, 'text')}, {counted(asked, 'question')}"
