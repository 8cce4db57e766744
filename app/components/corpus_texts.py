"""All texts under search, condition and clicked facets: a list to read and to decide about."""

from dataclasses import replace

import streamlit as st

from app import session
from app.components import corpus_bulk, corpus_filters, corpus_table, corpus_text, decide
from lorif_core.corpus.browse import Page
from lorif_core.views.choices import narrowed
from lorif_core.views.tables import bracketed
from lorif_core.workspace.datasets.view import View, search_of


def draw(dataset: str) -> None:
    """Filters, facets and the list."""
    workspace = session.workspace()
    columns = workspace.files.examples(dataset).metadata_columns
    chosen = corpus_filters.bar(["train_id", *columns])
    is_filtered = bool(chosen.picks or chosen.view != View(zone=chosen.view.zone))
    corpus_filters.chips(chosen.picks, is_filtered=is_filtered)
    left, right = st.columns([3, 9], gap="medium")
    with left, session.errors():
        corpus_filters.facets(workspace.data.facets_beside(chosen.view, chosen.picks, dataset), chosen.picks)
    with right, session.errors():
        view = replace(chosen.view, where=narrowed(chosen.view.where, chosen.picks))
        found = workspace.data.browse(
            view, offset=corpus_table.current_offset(), limit=corpus_table.PER_PAGE, dataset=dataset
        )
        _list(view, found, dataset)


def _list(view: View, found: Page, dataset: str) -> None:
    workspace = session.workspace()
    actions = st.container(horizontal=True, vertical_alignment="center", key="corpus-actions")
    passages = workspace.data.passages(view, found, dataset=dataset)
    texts = [one.text for one in workspace.data.texts(found.frame["train_id"].to_list(), dataset)]
    selected = corpus_table.draw(found, [bracketed(passage) for passage in passages] or texts)
    corpus_table.paging(found.total, found.offset)
    with actions:
        st.text(f"{found.total:,} of {session.datasets()[dataset].num_examples:,}")
        key = session.table_key("corpus-all", [repr(view), str(found.total)])
        takes_all = st.toggle(f"Select all {found.total:,}", key=key, disabled=not found.total)
        ids = workspace.data.matching_ids(view, dataset) if takes_all else selected
        st.text(f"{len(ids):,} selected")
        chosen = found.decided("status").filter(found.frame["train_id"].is_in(ids)).unique().to_list()
        status = chosen[0] if len(chosen) == 1 and not takes_all else "mixed"
        corpus_bulk.actions(ids, status, dataset=dataset)
    if len(selected) == 1 and not decide.is_asking():
        corpus_text.whole(selected[0], dataset, key="corpus", search=search_of(view))
