"""Work on the data that needs no model, in a thread of its own: questions do not wait for it."""

import streamlit as st

from app import session
from app.background import Tasks


@st.cache_resource(show_spinner=False)
def _tasks_of(path: str) -> Tasks:
    return Tasks()


def data_tasks() -> Tasks:
    """The tasks of the open workspace that need no model, shared by every tab."""
    return _tasks_of(session.workspace_path())
