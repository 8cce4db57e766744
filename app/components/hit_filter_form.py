"""Which hits are shown: text, and behind a button source, status, score, reason and every metadata column."""

from dataclasses import replace

import streamlit as st

from app.components.answers import Context
from lorif_core.views.hit_filters import HitFilter, value_of
from lorif_core.views.text import visible
from lorif_core.workspace.asking.answer import Answer

STATUSES = ["kept", "flagged", "excluded"]
MAX_VALUES = 1000
PREFIX = "column-"
"""Of the keys of columns, in the URL too."""


def draw(answer: Answer, context: Context) -> HitFilter:
    """Three controls of one row: a box that finds, the filters, and how to show what is left."""
    find = st.text_input(
        "Find in texts",
        key="find",
        bind="query-params",
        placeholder="Find: words, or /regex/",
        width=200,
        label_visibility="collapsed",
    )
    found = _filters(answer, context)
    with st.popover("View", key="hit-view"):
        st.segmented_control(
            "Show as", ["Cards", "Table"], default="Cards", required=True, key="view", bind="query-params"
        )
        st.toggle("Heat", value=True, key="heat", persist_state="session", help="Which words the score comes from.")
        st.toggle(
            "Word for word",
            value=True,
            key="verbatim",
            persist_state="session",
            help="Draws a line above what the answer says word for word too. It is no part of the score.",
        )
    return replace(found, find=find or "")


def reset() -> None:
    """Show everything again. For callbacks."""
    for name in ("find", "source", "status", "reason", "smallest", "largest"):
        if name in st.session_state:
            st.session_state[name] = {"find": "", "smallest": None, "largest": None}.get(name, [])
    for name in [one for one in st.session_state if str(one).startswith(PREFIX)]:
        st.session_state[name] = []


def _filters(answer: Answer, context: Context) -> HitFilter:
    """Everything but the words to find; the button says how many filters are set."""
    with st.popover(_label(), key="more-filters"):
        sources = sorted({hit.source for hit in answer.hits if hit.source})
        chosen = st.multiselect("Source", sources, key="source", bind="query-params") if sources else []
        statuses = st.multiselect("Status", STATUSES, key="status", bind="query-params")
        low, high = st.columns(2)
        smallest = low.number_input("Score at least", value=None, format="%.4g", key="smallest", bind="query-params")
        largest = high.number_input("Score at most", value=None, format="%.4g", key="largest", bind="query-params")
        known = sorted({reason for _, reason in context.statuses.values() if reason})
        reasons = st.multiselect("Reason of the decision", known, key="reason", bind="query-params") if known else []
        values = _of_columns(answer)
    return HitFilter("", tuple(chosen), tuple(statuses), values, tuple(reasons), smallest, largest)


def _label() -> str:
    """``Filters``, and how many are set."""
    state = st.session_state
    names = ["source", "status", "reason", *(str(one) for one in state if str(one).startswith(PREFIX))]
    count = sum(bool(state.get(name)) for name in names)
    count += sum(state.get(name) is not None for name in ("smallest", "largest"))
    return f"Filters ({count})" if count else "Filters"


def _of_columns(answer: Answer) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Chosen values of every other metadata column."""
    columns = [
        name for name in dict.fromkeys(name for hit in answer.hits for name in hit.metadata) if name != "source"
    ]
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
    return tuple(one for one in values if one[1])
