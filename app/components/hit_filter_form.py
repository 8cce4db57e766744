"""Which hits are shown: text, source, status, and in a popover score, reason and every other metadata column."""

import streamlit as st

from app.components.answers import Context
from lorif_core.views.hit_filters import HitFilter, value_of
from lorif_core.views.text import visible
from lorif_core.workspace.asking.answer import Answer

STATUSES = ["kept", "flagged", "excluded"]
MAX_VALUES = 1000
PREFIX = "column-"
"""Of the keys of columns, in the URL too."""


def bar(answer: Answer, context: Context) -> HitFilter:
    """The filters and how to show what is left."""
    sources = sorted({hit.source for hit in answer.hits if hit.source})
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        find = st.text_input(
            "Find in texts", key="find", bind="query-params", placeholder="words, or /regex/", width=210
        )
        chosen = st.multiselect("Source", sources, key="source", bind="query-params", width=200) if sources else []
        statuses = st.multiselect("Status", STATUSES, key="status", bind="query-params", width=180)
        more = _more(answer, context)
        st.segmented_control(
            "Show as", ["Cards", "Table"], default="Cards", required=True, key="view", bind="query-params"
        )
        with st.container(width="content", gap=None):
            st.toggle("Token heat", value=True, key="heat", persist_state="session")
            st.toggle(
                "Word for word",
                value=True,
                key="verbatim",
                persist_state="session",
                help="Draws a line above what the answer says word for word too. It is no part of the score.",
            )
    values, reasons, smallest, largest = more
    return HitFilter(find or "", tuple(chosen), tuple(statuses), values, reasons, smallest, largest)


def reset() -> None:
    """Show everything again. For callbacks."""
    for name in ("find", "source", "status", "reason", "smallest", "largest"):
        if name in st.session_state:
            st.session_state[name] = {"find": "", "smallest": None, "largest": None}.get(name, [])
    for name in [one for one in st.session_state if str(one).startswith(PREFIX)]:
        st.session_state[name] = []


def _more(
    answer: Answer, context: Context
) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], tuple[str, ...], float | None, float | None]:
    columns = [
        name for name in dict.fromkeys(name for hit in answer.hits for name in hit.metadata) if name != "source"
    ]
    with st.popover("More filters", key="more-filters"):
        low, high = st.columns(2)
        smallest = low.number_input("Score at least", value=None, format="%.4g", key="smallest", bind="query-params")
        largest = high.number_input("Score at most", value=None, format="%.4g", key="largest", bind="query-params")
        known = sorted({reason for _, reason in context.statuses.values() if reason})
        reasons = st.multiselect("Reason of the decision", known, key="reason", bind="query-params") if known else []
        values = []
        for column in columns:
            found = sorted({value_of(hit, column) for hit in answer.hits})[:MAX_VALUES]
            st.text(visible(column))  # not the label, which would be read as Markdown
            picked = st.multiselect(
                "Values of a column",
                found,
                format_func=visible,
                key=f"{PREFIX}{column}",
                bind="query-params",
                label_visibility="collapsed",
            )
            values.append((column, tuple(picked)))
    return tuple(one for one in values if one[1]), tuple(reasons), smallest, largest
