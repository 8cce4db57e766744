"""Corpus: everything without a question. Search, filter, look, decide; duplicates, outliers, a map."""

import streamlit as st

from app import session
from app.components import corpus_bulk, corpus_duplicates, corpus_map, corpus_outliers, corpus_texts

TABS = {
    "Texts": corpus_texts.draw,
    "Duplicates": corpus_duplicates.draw,
    "Outliers": corpus_outliers.draw,
    "Map": corpus_map.draw,
}
"""What the page can show, each for a data set."""


def page() -> None:
    """Draw the page."""
    session.title("Corpus", "Everything the model was trained on: search, filter, decide.")
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    tab = st.segmented_control(
        "What to see",
        list(TABS),
        default="Texts",
        required=True,
        key="tab",
        bind="query-params",
        label_visibility="collapsed",
    )
    with session.errors():
        TABS[tab or "Texts"](dataset)
    corpus_bulk.draw()
