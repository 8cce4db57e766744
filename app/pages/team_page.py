"""Team: who reviews what, how far they are, what they agreed on."""

import streamlit as st

from app import session
from app.components import (
    team_comments,
    team_guidelines,
    team_import,
    team_members,
    team_progress,
    team_rounds,
    team_words,
)

PARTS = ("Progress", "Rounds", "Guidelines", "Comments", "Members", "Reasons and labels", "Import decisions")


def page() -> None:
    """Draw the page."""
    session.title("Team", "Who reviews what, how far everybody is, and what you agreed on.")
    if not session.datasets():
        session.empty_of_data()
        return
    is_admin = session.workspace().journal.role_of(session.actor()) == "admin"
    part = session.tab(PARTS)
    with session.errors():
        _draw(part, session.dataset_id(), is_admin=is_admin)


def _draw(part: str, dataset: str, *, is_admin: bool) -> None:
    if part == "Progress":
        team_rounds.my_share(dataset)
        team_progress.draw(dataset)
    elif part == "Rounds":
        team_rounds.draw(dataset, is_admin=is_admin)
    elif part == "Guidelines":
        team_guidelines.edit(dataset, is_admin=is_admin)
    elif part == "Comments":
        team_comments.latest(dataset)
    elif part == "Members":
        team_members.draw(is_admin=is_admin)
    elif part == "Import decisions":
        team_import.draw(dataset)
    else:
        words, labels = st.columns([7, 5], gap="large")
        with words:
            team_words.reasons(is_admin=is_admin)
        with labels:
            team_words.labels(dataset)
