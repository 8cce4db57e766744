"""Indexes: import data, see what an index costs, build it, look at it, sweep its settings."""

import streamlit as st

from app import session
from app.components import indexes_build, indexes_import, indexes_list, indexes_sweep

PARTS = {
    "Indexes": indexes_list.draw,
    "Import": indexes_import.draw,
    "Build": indexes_build.draw,
    "Sweep": indexes_sweep.draw,
}


def page() -> None:
    """Draw the page."""
    session.title("Indexes", "From a file of texts to an index that answers questions, and what it costs.")
    tab = st.segmented_control(
        "What to do",
        list(PARTS),
        default="Indexes",
        required=True,
        key="tab",
        bind="query-params",
        label_visibility="collapsed",
    )
    with session.errors():
        PARTS[tab or "Indexes"]()
