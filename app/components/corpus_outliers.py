"""Texts by self-influence: what the model can only have learnt from the text itself is odd, wrong or rare."""

import polars as pl
import streamlit as st

from app import session
from app.components import corpus_ranked
from app.components.answers import dataset_of
from lorif_core.workspace.indexes.method_of_index import method_of_index


def draw(dataset: str) -> None:
    """The list, the largest first unless one wants the smallest."""
    index_id = newest_index(dataset)
    if index_id is None:
        return
    st.caption(
        "Self-influence is a text's score on itself. A large one was memorised, as nothing else teaches it: "
        "odd, wrong or rare. A small one says what many others say too."
    )
    is_reversed = st.toggle("Smallest first", key="smallest-first", bind="query-params", on_change=_first_page)
    found = _ranked(session.workspace_path(), index_id, fingerprint_of(index_id))
    found = found.reverse() if is_reversed else found
    unit = method_of_index(session.workspace().files.catalog.index(index_id)).unit
    numbers = {"rank": found["rank"], f"self-influence, {unit}": found["self_influence"]}
    of = dataset_of(index_id)  # perhaps an earlier version, with texts that the newest lacks
    corpus_ranked.draw(found["train_id"].to_list(), numbers, of, key="corpus-outliers", takes_all=False)


def newest_index(dataset: str) -> str | None:
    """Id of the index that the header names; says how to make one where there is none."""
    if not session.indexes():
        session.empty_of_indexes()
        return None
    return session.index_id()


def fingerprint_of(index_id: str) -> str | None:
    """Of an index as it is now, so that what is cached is of it."""
    return next((one.fingerprint for one in session.workspace().indexes.records() if one.index_id == index_id), None)


def _first_page() -> None:
    session.set_url(page=None)


@st.cache_resource(max_entries=4, show_spinner=False)
def _ranked(path: str, index_id: str, fingerprint: str | None) -> pl.DataFrame:
    return session.workspace().indexes.outliers(index_id)
