"""The latest questions as rows to click, and what to do where nothing was asked yet."""

import streamlit as st

from app import session
from lorif_core.catalog import QueryRecord
from lorif_core.views.text import visible

NUM_SHOWN = 6
MAX_CHARS = 160


def draw() -> None:
    """The latest questions of the data set on screen; nothing where there are none."""
    asked = [one for one in session.workspace().questions.records() if one.dataset_id in _versions()]
    if not asked:
        return
    st.subheader("Recent questions", anchor=False)
    with st.container(key="recent", gap="xsmall"):
        for one in asked[: -NUM_SHOWN - 1 : -1]:
            _row(one)


def _versions() -> set[str]:
    every = session.all_datasets()
    corpus = every[session.dataset_id()].corpus_id
    return {key for key, one in every.items() if one.corpus_id == corpus}


def _row(asked: QueryRecord) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", border=True, key=f"recent-{asked.query_id}", gap="small"
    ):
        st.text(_short(f"{asked.prompt} ▸{asked.completion}"), width="stretch")
        st.text(_short(f"{session.index_name(asked.index_id)} · {asked.created_at:%d %b %H:%M}"), width="content")
        page = st.session_state.get("pages", {}).get("investigate")
        if page is not None:
            st.page_link(page, label="Open", query_params={"query": asked.query_id})


def _short(text: str) -> str:
    shown = visible(" ".join(text.split()))
    return shown if len(shown) <= MAX_CHARS else f"{shown[: MAX_CHARS - 1]}…"
