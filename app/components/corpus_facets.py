"""Lists and bars beside the table: what every column and the clusters hold; a click filters."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from app import session
from app.components import corpus_filters, corpus_grid
from lorif_core.corpus.facets import Facet
from lorif_core.views.choices import CLUSTERS, column_of, with_choice, without_column
from lorif_core.views.corpus_rows import Payload, facet_box, picked
from lorif_core.views.text import visible
from lorif_core.workspace.folder.kept_map import Cluster


def draw(
    found: Sequence[Facet],
    picks: Sequence[str],
    clusters: Sequence[tuple[Cluster, int]],
    chosen: Sequence[int],
) -> None:
    """Draw them.

    Args:
        found: Facets of the columns.
        picks: One condition for each column that was clicked.
        clusters: With their counts; empty without a map.
        chosen: Numbers of the clusters that were clicked.
    """
    zone, own = session.zone(), {column_of(pick): pick for pick in picks}
    boxes = [facet_box(facet, own.get(facet.column), zone) for facet in found]
    if clusters:
        boxes = [_cluster_box(clusters, chosen), *boxes]
    corpus_grid.facets(boxes, partial(_pick, found, list(picks), clusters, list(chosen)))


def _label(cluster: Cluster) -> str:
    return visible(cluster.label)


def _cluster_box(clusters: Sequence[tuple[Cluster, int]], chosen: Sequence[int]) -> Payload:
    return {
        "column": CLUSTERS,
        "label": "cluster",
        "isHistogram": False,
        "choices": [
            {"label": _label(one), "count": count, "on": one.number in chosen}
            for one, count in sorted(clusters, key=lambda pair: (-pair[1], pair[0].number))
        ],
        "ends": ["", ""],
        "rest": "",
    }


def _pick(
    found: Sequence[Facet],
    picks: Sequence[str],
    clusters: Sequence[tuple[Cluster, int]],
    chosen: Sequence[int],
    clicked: dict[str, Any],
) -> None:
    """Take a click; one into what is no longer there changes nothing."""
    if clicked["column"] == CLUSTERS:
        number = next((one.number for one, _ in clusters if _label(one) == clicked["label"]), None)
        set_clusters(sorted({*chosen} if number is None else {*chosen} ^ {number}))
        return
    own = next((one for one in picks if column_of(one) == clicked["column"]), None)
    try:
        choice = picked(found, clicked, own, session.zone())
    except (StopIteration, ValueError):
        return
    name = clicked["column"]
    corpus_filters.set_picks(without_column(picks, name) if choice is None else with_choice(picks, choice))


def chosen_clusters() -> tuple[int, ...]:
    """Numbers of the clusters in the URL."""
    return tuple(int(one) for one in st.query_params.get_all("cluster") if one.isdecimal() and len(one) < 6)


def set_clusters(numbers: Sequence[int]) -> None:
    """Write the clusters to show into the URL."""
    corpus_filters.first_page()
    if numbers:
        st.query_params["cluster"] = [str(one) for one in numbers]
    else:
        session.set_url(cluster=None)
