"""History: who decided what, when and why; revert an act, settle a disagreement."""

from typing import get_args

import streamlit as st

from app import session
from app.components import history_list
from app.components.history_texts import snippets
from lorif_core.journal.entries import BatchKind
from lorif_core.views.decision_words import kind_word
from lorif_core.views.text import counted, visible

STEP = 100
TABS = ("Acts", "Disagreements")


def page() -> None:
    """Draw the page."""
    session.title("History", "Who decided what, when and why. Nothing is ever deleted.")
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    tab = session.tab(TABS)
    with session.errors():
        if tab == TABS[1]:
            history_list.conflicts(session.workspace().decisions.conflicts(dataset=dataset), dataset)
        else:
            _acts(dataset)


def _acts(dataset: str) -> None:
    workspace = session.workspace()
    with st.container(horizontal=True, vertical_alignment="bottom", key="history-filters"):
        who = st.text_input("Who", key="who", bind="query-params", placeholder="Everyone", max_chars=200, width=180)
        kinds = ("all", *get_args(BatchKind))
        kind = st.selectbox("What", kinds, format_func=kind_word, key="kind", bind="query-params", width=150)
        train_id = st.text_input(
            "Text", key="text", bind="query-params", placeholder="Any id", max_chars=1000, width=180
        )
        limit = st.number_input("At most", STEP, 100_000, STEP, STEP, key="most", bind="query-params", width=150)
    entries = workspace.decisions.history(
        train_id=train_id.strip() or None,
        actor=who.strip() or None,
        kind=None if kind == "all" else kind,
        limit=int(limit),
        dataset=dataset,
    )
    if not entries:
        session.empty("No such act yet.", "lorif flag {workspace} ID")
        return
    count = counted(len(entries), "act")
    st.text(count + (", and perhaps older ones" if len(entries) == limit else ""))
    chosen, shown = history_list.table(entries, dataset), train_id.strip()
    if chosen is not None:
        batch = chosen.batch
        ids = workspace.journal.examples_of(batch.corpus_id, batch.batch_id)
        changes = workspace.decisions.changes_of(batch.batch_id, dataset=dataset)
        shown = history_list.details(chosen, ids, changes, dataset) or shown
    if shown:
        st.subheader("Time line of this text", anchor=False)
        st.text(f"{snippets([shown], dataset)[shown]}  ·  {visible(shown)}")
        history_list.time_line(workspace.decisions.events_of(shown, dataset=dataset))
