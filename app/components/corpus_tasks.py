"""Work on the data that needs no model, in a thread of its own: questions do not wait for it."""

import streamlit as st

from app import session
from app.background import Task, Tasks

POLL_S = 0.5


@st.cache_resource(show_spinner=False)
def _tasks_of(path: str) -> Tasks:
    return Tasks()


def data_tasks() -> Tasks:
    """The tasks of the open workspace that need no model, shared by every tab."""
    return _tasks_of(session.workspace_path())


@st.fragment(run_every=POLL_S)
def wait(task: Task, sentence: str) -> None:
    """Say what is being done and for how long; draws the page again once it is."""
    if task.is_done:
        st.rerun()
    st.text(f"{sentence}: {task.elapsed_s:.0f} s so far.")
