"""Failures: a file of failing prompts asked at once, and what taught them."""

import streamlit as st

from app import session
from app.components import context_choice, failures_file, failures_result
from lorif_core.errors import ArtefactError
from lorif_core.views.text import counted, visible
from lorif_core.workspace.failures.failure_run import FailureRun


def page() -> None:
    """Draw the page."""
    session.title("Failures", "Ask a file of failing prompts at once: which sources and texts taught these failures.")
    if not session.datasets():
        session.empty_of_data()
        return
    if not session.indexes():
        session.empty_of_indexes()
        return
    if (done := failures_file.finished_run()) is not None:
        session.set_url(run=done)
    with session.errors():
        run = _chosen()
        if run is None:
            failures_file.draw()
        else:
            context_choice.notice(run.index_id, key="failures")
            failures_result.draw(run)


def _chosen() -> FailureRun | None:
    """The run that the URL names; None where a new file is to be asked."""
    dataset = session.dataset_id()
    runs = {run.run_id: run for run in session.workspace().failures.records() if run.dataset_id == dataset}
    named = st.query_params.get("run")
    if not runs:
        return _opened(named)
    with st.container(horizontal=True, vertical_alignment="center", key="failures-run"):
        names = list(runs)
        key = session.table_key("failures-asked", [*names, named or ""])
        picked = st.selectbox(
            "Files that were asked",
            names,
            index=names.index(named) if named in names else None,
            placeholder="A new file",
            format_func=lambda one: label_of(runs[one]),
            key=key,
            on_change=_pick,
            args=(key,),
            width=420,
            label_visibility="collapsed",
        )
        st.button("Ask another file", key="failures-new", disabled=picked is None, on_click=_pick, args=(None,))
    return runs[picked] if picked is not None else _opened(named)


def label_of(run: FailureRun) -> str:
    """File, failures and index of a run, safe to show."""
    count = counted(len(run.questions), "failure")
    return visible(f"{run.said['file']} · {count} · {session.index_name(run.index_id)}")


def _opened(run_id: str | None) -> FailureRun | None:
    if run_id is None:
        return None
    try:
        return session.workspace().failures.open(run_id)
    except ArtefactError as error:
        session.show_error(error)
        return None


def _pick(key: str | None) -> None:
    session.set_url(run=None if key is None else st.session_state[key], tab=None)
