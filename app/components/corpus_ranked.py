"""A list of texts by id with a number beside each: paged, readable, to be decided about. For outliers and the map."""

from collections.abc import Mapping, Sequence

import polars as pl
import streamlit as st

from app import session
from app.components import corpus_bulk, corpus_table, corpus_text, decide
from lorif_core.views.hit_filters import statuses_of
from lorif_core.views.text import counted, visible


def draw(ids: Sequence[str], numbers: Mapping[str, pl.Series], dataset: str, *, key: str, takes_all: bool) -> None:
    """The page of the list that the URL names, and buttons for what is selected in it.

    Args:
        ids: All of the list, in its order.
        numbers: Columns beside the ids, as long as they.
        dataset: Id of the data set.
        key: Unique on the page.
        takes_all: Whether one may decide about the whole list at once.
    """
    workspace, per_page = session.workspace(), corpus_table.PER_PAGE
    offset = min(corpus_table.current_offset(), max(0, (len(ids) - 1) // per_page * per_page))
    shown = list(ids[offset : offset + per_page])
    statuses = statuses_of(workspace.decisions.states(dataset=dataset))
    actions = st.container(horizontal=True, vertical_alignment="center", key=f"{key}-actions")
    found = st.dataframe(
        pl.DataFrame(
            {name: column[offset : offset + per_page] for name, column in numbers.items()}
            | {
                "id": [visible(one) for one in shown],
                "status": [statuses.get(one, ("kept", None))[0] for one in shown],
                "text": [visible(one.text[: corpus_table.MAX_CELL]) for one in workspace.data.texts(shown, dataset)],
            }
        ),
        hide_index=True,
        height=40 + 36 * max(len(shown), 1),
        row_height=36,
        column_config={
            **{name: st.column_config.NumberColumn(format="%.4g", width=140) for name in numbers},
            "rank": st.column_config.NumberColumn(format="localized", width=70),
            "id": st.column_config.TextColumn(width=90),
            "status": st.column_config.TextColumn(width=80),
            "text": st.column_config.TextColumn(width="large"),
        },
        key=session.table_key(f"{key}-rows", shown),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Texts; select rows to decide about them",
    )
    selected = [shown[row] for row in found["selection"]["rows"] if row < len(shown)]
    corpus_table.paging(len(ids), offset)
    with actions:
        st.text(counted(len(ids), "text"))
        is_all = takes_all and st.toggle(f"Select all {len(ids):,}", key=session.table_key(f"{key}-all", ids))
        chosen = list(ids) if is_all else selected
        st.text(f"{counted(len(chosen), 'text')} selected")
        known = {statuses.get(one, ("kept", None))[0] for one in chosen}
        corpus_bulk.actions(chosen, known.pop() if len(known) == 1 else "mixed", dataset=dataset)
    if len(selected) == 1 and not decide.is_asking():
        corpus_text.whole(selected[0], dataset, key=key)
