"""Corpus: everything without a question. Search, filter, decide; texts like one, duplicates, outliers, a map."""

from app import session
from app.components import (
    corpus_bulk,
    corpus_duplicates,
    corpus_map,
    corpus_outliers,
    corpus_similar,
    corpus_texts,
    find_similar,
)

TABS = {
    "Texts": corpus_texts.draw,
    find_similar.TAB: corpus_similar.draw,
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
    tab = session.tab(list(TABS))
    with session.errors():
        TABS[tab](dataset)
    corpus_bulk.draw()
