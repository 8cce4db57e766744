"""Corpus: everything without a question. Search, filter, look, decide; find duplicates."""

from dataclasses import replace

import streamlit as st

from app import session
from app.components import corpus_bulk, corpus_duplicates, corpus_filters, corpus_table, corpus_text, decide
from lorif_core.corpus.browse import Page
from lorif_core.views.choices import narrowed
from lorif_core.workspace.browsing import View
from lorif_core.workspace.choosing import facets_beside, matching_ids, texts_of


def page() -> None:
    """Draw the page."""
    session.title("Corpus", "Everything the model was trained on: search, filter, decide.")
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    tab = st.segmented_control(
        "What to see",
        ["Texts", "Duplicates"],
        default="Texts",
        required=True,
        key="tab",
        bind="query-params",
        label_visibility="collapsed",
    )
    with session.errors():
        if tab == "Duplicates":
            corpus_duplicates.draw(dataset)
        else:
            _texts(dataset)
    corpus_bulk.draw()


def _texts(dataset: str) -> None:
    workspace = session.workspace()
    columns = workspace.files.examples(dataset).metadata_columns
    chosen = corpus_filters.bar(["train_id", *columns])
    is_filtered = bool(chosen.picks or chosen.view != View())
    corpus_filters.chips(chosen.picks, is_filtered=is_filtered)
    left, right = st.columns([3, 9], gap="medium")
    with left, session.errors():
        corpus_filters.facets(facets_beside(workspace, chosen.view, chosen.picks, dataset), chosen.picks)
    with right, session.errors():
        view = replace(chosen.view, where=narrowed(chosen.view.where, chosen.picks))
        found = workspace.browse(
            view, offset=corpus_table.current_offset(), limit=corpus_table.PER_PAGE, dataset=dataset
        )
        _list(view, found, dataset)


def _list(view: View, found: Page, dataset: str) -> None:
    workspace = session.workspace()
    actions = st.container(horizontal=True, vertical_alignment="center", key="corpus-actions")
    texts = texts_of(workspace, found.frame["train_id"].to_list(), dataset)
    selected = corpus_table.draw(found, [one.text for one in texts])
    corpus_table.paging(found)
    with actions:
        st.text(f"{found.total:,} of {session.datasets()[dataset].num_examples:,}")
        key = session.table_key("corpus-all", [repr(view), str(found.total)])
        takes_all = st.toggle(f"Select all {found.total:,}", key=key, disabled=not found.total)
        ids = matching_ids(workspace, view, dataset) if takes_all else selected
        st.text(f"{len(ids):,} selected")
        chosen = found.frame.filter(found.frame["train_id"].is_in(ids))["status"].unique().to_list()
        status = chosen[0] if len(chosen) == 1 and not takes_all else "mixed"
        corpus_bulk.actions(ids, status, dataset=dataset)
    if len(selected) == 1 and not decide.is_asking():
        shown = next(one for one in texts if one.train_id == selected[0])
        row = found.frame.filter(found.frame["train_id"] == selected[0]).row(0, named=True)
        corpus_text.draw(shown, key="corpus", status=row["status"], reason=row["reason"])
        corpus_text.metadata(shown, key="corpus")
        corpus_text.time_line(workspace.events_of(selected[0], dataset=dataset))
