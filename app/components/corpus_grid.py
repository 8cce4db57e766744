"""The table of texts with its columns, and the facets beside it, drawn by a renderer of their own.

``st.dataframe`` sorts what is on screen, by position; this table asks for another order of all texts, and tells ids.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import streamlit as st
from streamlit.components import v2

from app import session
from lorif_core.corpus.browse import Page
from lorif_core.corpus.facets import Facet, HistogramFacet
from lorif_core.corpus.highlighting import Snippet
from lorif_core.corpus.value_types import ValueType
from lorif_core.views.corpus_rows import Payload, header_bars, text_parts
from lorif_core.views.shown_values import cell_text, instant_text
from lorif_core.views.text import visible

_SOURCE = files("app.components")
_mount = v2.component(
    "lorif_corpus",
    js=_SOURCE.joinpath("corpus_grid.js").read_text(encoding="utf-8"),
    css=_SOURCE.joinpath("corpus_grid.css").read_text(encoding="utf-8"),
)
NUMBERS = ("int", "float", "decimal")
GRID, FACETS = "corpus-grid", "corpus-facets"


def draw(
    page: Page,
    texts: Sequence[str],
    passages: Sequence[Snippet],
    columns: Sequence[Payload],
    types: Mapping[str, ValueType],
    *,
    dataset: str,
    is_usual: bool,
    on: Mapping[str, Callable[[Any], None]],
) -> None:
    """A page of texts.

    Args:
        page: With decisions.
        texts: Of the page.
        passages: What a search found in each; empty without a search.
        columns: From ``heads``.
        types: Of the data set's columns.
        dataset: Id of the data set.
        is_usual: Whether nobody chose the columns.
        on: What to do with ``sort`` (a column), ``read`` (an id) and ``remembered`` (columns).
    """
    ids, zone = page.frame["train_id"].to_list(), session.zone()
    names = [one["name"] for one in columns]
    statuses, reasons = page.decided("status").to_list(), page.decided("reason").to_list()
    rows = [
        {
            "id": train_id,
            "shown": visible(train_id),
            "status": statuses[place],
            "reason": visible(reasons[place] or ""),
            "parts": text_parts(texts[place], passages[place] if passages else None),
            "cells": [_cell(page.frame[name][place], types.get(name), zone) for name in names],
        }
        for place, train_id in enumerate(ids)
    ]
    data = {
        "mode": "grid",
        "label": "Texts of the data set",
        "dataset": dataset,
        "isUsual": is_usual,
        "columns": list(columns),
        "rows": rows,
    }
    _mount(
        key=GRID,
        data=data,
        height="content",
        on_sort_change=lambda: _hear(GRID, "sort", on),
        on_read_change=lambda: _hear(GRID, "read", on),
        on_remembered_change=lambda: _hear(GRID, "remembered", on),
    )


def heads(names: Sequence[str], facets: Sequence[Facet], sort: str, *, is_descending: bool) -> list[Payload]:
    """What stands above the columns: name, order, a small histogram."""
    by_name = {one.column: one for one in facets}
    return [
        {
            "name": name,
            "label": visible(name),
            "order": None if name != sort else "descending" if is_descending else "ascending",
            "isNumber": isinstance(by_name[name], HistogramFacet) and by_name[name].type in NUMBERS,
            "bars": header_bars(by_name[name]),
        }
        for name in names
        if name in by_name
    ]


def facets(boxes: Sequence[Payload], on_pick: Callable[[Any], None]) -> None:
    """Values and bars of every column, to choose from.

    Args:
        boxes: From ``views.corpus_rows.facet_box``.
        on_pick: Told what was clicked: ``column``, ``label``, perhaps ``last``.
    """
    _mount(
        key=FACETS,
        data={"mode": "facets", "facets": list(boxes)},
        height="content",
        on_pick_change=lambda: _hear(FACETS, "pick", {"pick": on_pick}),
    )


def _hear(key: str, name: str, on: Mapping[str, Callable[[Any], None]]) -> None:
    told = st.session_state[key].get(name)
    if told is not None:
        on[name](told)


def _cell(value: Any, kind: ValueType | None, zone: str | None) -> str:
    if value is None:
        return ""
    shown = instant_text(value, kind, zone)
    return visible(shown if isinstance(shown, str) else cell_text(value))[:200]
