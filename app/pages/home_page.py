"""Home: how far the way from data to curated data has come, what comes next, and the latest questions."""

import streamlit as st

from app import session
from app.components import home_road, recent_questions


def page() -> None:
    """Draw the page; a link to a question of before Home was first goes on to Investigate."""
    if "query" in st.query_params or "asking" in st.query_params:
        st.switch_page(st.session_state["pages"]["investigate"], query_params=session.url_items())
    session.title(
        "Find the texts that taught it", "From what a model says, to the training texts behind it, to better data."
    )
    with session.errors():
        home_road.draw(session.road())
    if session.datasets():
        with session.errors():
            recent_questions.draw()
