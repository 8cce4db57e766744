"""What Investigate shows while no answer is open: the latest questions, to open one."""

import streamlit as st

from app import session
from lorif_core.catalog import QueryRecord
from lorif_core.views.text import visible

NUM_EARLIER = 12


def draw() -> None:
    """The latest questions as a list with row selection."""
    every = session.workspace().questions.records()
    asked = every[: -NUM_EARLIER - 1 : -1]
    if not asked and not session.complete_indexes():
        return  # the form says what to do first
    if not asked:
        session.empty(
            "Nothing was asked yet. Type a prompt on the left and what the model said, then Ask.",
            'lorif ask {workspace} --prompt "…" --generate',
        )
        return
    st.subheader("Asked before", anchor=False)
    latest = f"The latest {NUM_EARLIER} of {len(every):,}. " if len(every) > NUM_EARLIER else ""
    st.caption(f"{latest}Choose a row to open its answer, or ask something new on the left.")
    chosen = st.dataframe(
        {
            "prompt": [visible(one.prompt) for one in asked],
            "completion": [visible(one.completion) for one in asked],
            "index": [session.index_name(one.index_id) for one in asked],
            "asked by": [visible(one.asked_by) for one in asked],
            "when (UTC)": [f"{one.created_at:%Y-%m-%d %H:%M}" for one in asked],
        },
        key=session.table_key("earlier", [one.query_id for one in asked]),
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        alt="Questions asked before, newest first",
    )
    _open_row(asked, chosen["selection"]["rows"])


def _open_row(asked: list[QueryRecord], rows: list[int]) -> None:
    if rows:
        session.set_url(query=asked[rows[0]].query_id)
        st.rerun()
