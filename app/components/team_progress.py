"""How far people are: a figure by day, and tables by person, reason and day."""

import polars as pl
import streamlit as st

from app import session
from lorif_core.views.team_figures import days_figure
from lorif_core.views.text import visible
from lorif_core.workspace.team.who_decided import by_person, by_reason, every_day

NO_REASON = "no reason given"


@st.cache_data(max_entries=8, show_spinner=False)
def _days(path: str, dataset: str, revision: int, zone: str | None) -> pl.DataFrame:
    """``revision`` makes a new entry after every write."""
    return session.workspace().team.progress(dataset=dataset, zone=zone)


def draw(dataset: str) -> None:
    """What everybody decided; what is undone does not count."""
    workspace, zone = session.workspace(), session.zone()
    days = _days(str(workspace.path), dataset, workspace.journal.revision(), zone)
    people = by_person(days)
    if people.is_empty():
        session.empty("Nobody has decided anything yet.", "lorif flag {workspace} ID", page="review", label="Review")
        return
    if not (calendar := every_day(days)).is_empty():
        st.plotly_chart(days_figure(calendar), key="team-days", config={"displayModeBar": False})
    st.caption(f"A text that was decided about twice counts twice. Days by the clock of {zone or 'UTC'}.")
    left, right = st.columns([7, 5], gap="large")
    with left:
        _people(people)
        _calendar(calendar)
    with right:
        _reasons(by_reason(days))


def _people(people: pl.DataFrame) -> None:
    columns = ["decided", "kept", "flagged", "excluded", "commented", "labelled"]
    st.dataframe(
        {
            "person": [visible(one) for one in people["person"]],
            **{name: people[name].to_list() for name in columns},
            "last on": people["last_day"].to_list(),
        },
        hide_index=True,
        key=session.table_key("team-people", people["person"].to_list()),
        alt="Texts decided by each person",
    )


def _reasons(reasons: pl.DataFrame) -> None:
    names = [NO_REASON if one is None else one for one in reasons["reason"]]
    st.dataframe(
        {"reason": names, "flagged": reasons["flagged"].to_list(), "excluded": reasons["excluded"].to_list()},
        hide_index=True,
        key=session.table_key("team-by-reason", names),
        alt="Texts flagged and excluded for each reason",
    )


def _calendar(calendar: pl.DataFrame) -> None:
    shown = calendar.filter(pl.col("num_texts") > 0).sort(["day", "person"], descending=[True, False])
    st.dataframe(
        {
            "day": shown["day"].to_list(),
            "person": [visible(one) for one in shown["person"]],
            "texts": shown["num_texts"].to_list(),
        },
        hide_index=True,
        key=session.table_key("team-by-day", [f"{day}\0{person}" for day, person, _ in shown.iter_rows()]),
        alt="Texts decided on each day by each person",
    )
