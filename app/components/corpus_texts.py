"""All texts under search, condition and clicked facets: a list to read and to decide about."""

from dataclasses import replace

import streamlit as st

from app import session
from app.components import (
    chosen_texts,
    corpus_bulk,
    corpus_columns,
    corpus_facets,
    corpus_filters,
    corpus_grid,
    corpus_table,
    corpus_text,
    decide,
)
from lorif_core.corpus.browse import Page
from lorif_core.corpus.facets import Facet
from lorif_core.views.choices import narrowed
from lorif_core.workspace.datasets.view import View, search_of
from lorif_core.workspace.folder.kept_map import Cluster, has_atlas, mapped_index


def draw(dataset: str) -> None:
    """Filters, facets and the list."""
    workspace = session.workspace()
    columns = workspace.files.examples(dataset).metadata_columns
    chosen = corpus_filters.bar(["train_id", *columns])
    numbers, index = corpus_facets.chosen_clusters(), _map_of(dataset)
    is_filtered = bool(chosen.picks or numbers or chosen.view != View(zone=chosen.view.zone))
    corpus_filters.chips(chosen.picks)
    seen = replace(chosen.view, clusters=numbers, index=index)
    view = replace(seen, where=narrowed(seen.where, chosen.picks))
    found: list[Facet] = []
    clusters: list[tuple[Cluster, int]] = []
    with session.errors():
        found = workspace.data.facets_beside(seen, chosen.picks, dataset)
        if index is not None:
            clusters = workspace.data.clusters(view, index_id=index, dataset=dataset)
    right = st.container()
    if found or clusters or numbers:
        left, right = st.columns([3, 10], gap="medium")
        with left, session.errors():
            corpus_facets.draw(found, chosen.picks, clusters, numbers)
    with right, session.errors():
        page = workspace.data.browse(
            view, offset=corpus_table.current_offset(), limit=corpus_table.PER_PAGE, dataset=dataset
        )
        _list(view, page, found, dataset, is_filtered=is_filtered)


def _map_of(dataset: str) -> str | None:
    """The index whose clusters are meant: the header's if it has a map, else the newest that has one."""
    files = session.workspace().files
    if session.indexes() and has_atlas(files, session.index_id()):
        return session.index_id()
    return mapped_index(files, dataset)


def _list(view: View, page: Page, found: list[Facet], dataset: str, *, is_filtered: bool) -> None:
    workspace = session.workspace()
    ids = page.frame["train_id"].to_list()
    with st.container(horizontal=True, vertical_alignment="center", key="corpus-actions"):
        st.text(f"{page.total:,} of {session.datasets()[dataset].num_examples:,}")
        if is_filtered:
            st.button("Reset all", key="corpus-reset", on_click=corpus_filters.reset, type="tertiary")
        st.space("stretch")
        _decide_about_all(view, page.total, dataset)
        columns = corpus_columns.choose(found)
    corpus_grid.draw(
        page,
        [one.text for one in workspace.data.texts(ids, dataset)],
        workspace.data.passages(view, page, dataset=dataset),
        corpus_grid.heads(
            columns,
            found,
            st.session_state.get("sort") or "",
            is_descending=bool(st.session_state.get("desc")),
        ),
        workspace.data.types(dataset),
        dataset=dataset,
        is_usual=corpus_columns.is_usual(),
        on={
            "sort": lambda told: corpus_columns.sort_by(told["column"]),
            "read": lambda train_id: session.set_url(open=train_id),
            "remembered": lambda names: corpus_columns.remember(names, [one.column for one in found]),
        },
    )
    corpus_table.paging(page.total, page.offset)
    chosen_texts.offer(list(zip(ids, page.decided("status"), strict=True)), dataset=dataset)
    if not decide.is_asking():
        corpus_text.reader(dataset, search=search_of(view))


def _decide_about_all(view: View, total: int, dataset: str) -> None:
    if st.button(f"Decide about all {total:,}…", key="corpus-many", disabled=not total):
        corpus_bulk.ask(session.workspace().data.matching_ids(view, dataset), dataset)
        st.rerun()
