"""The texts of two lists: in both, only in A, only in B; the selected ones can be read and decided about."""

import polars as pl
import streamlit as st

from app import session
from app.components import corpus_text, decide
from app.components.answers import dataset_of
from lorif_core.views.decision_words import counted_texts
from lorif_core.views.hit_filters import statuses_of
from lorif_core.views.text import visible
from lorif_core.workspace.asking.compare import Comparison

LISTS = {"both": "In both", "a": "Only in A", "b": "Only in B"}
MAX_CELL = 300


def draw(found: Comparison) -> None:
    """One of the three lists as a table with row selection."""
    counts = dict(found.rank_changes["listed"].value_counts().iter_rows())
    names = {kind: f"{name} ({counts.get(kind, 0)})" for kind, name in LISTS.items()}
    listed = st.segmented_control(
        "Which texts",
        list(LISTS),
        format_func=lambda kind: names[kind],
        default="both" if found.shared else "a",
        required=True,
        key="compare-listed",
        persist_state="session",
        label_visibility="collapsed",
    )
    rows = found.rank_changes.filter(pl.col("listed") == listed).sort("rank_b" if listed == "b" else "rank_a")
    if rows.is_empty():
        st.text("No text is in this list.")
        return
    dataset = dataset_of((found.b if listed == "b" else found.a).index_id)
    statuses = statuses_of(session.workspace().decisions.states(dataset=dataset))
    ids = rows["train_id"].to_list()
    chosen = _table(rows, [statuses.get(one, ("kept", None))[0] for one in ids])
    _decide([ids[row] for row in chosen], statuses, dataset, (found.b if listed == "b" else found.a).query_id)


def _table(rows: pl.DataFrame, statuses: list[str]) -> list[int]:
    ids = rows["train_id"].to_list()
    found = st.dataframe(
        rows.select(
            pl.col("rank_a").alias("rank A"),
            pl.col("rank_b").alias("rank B"),
            pl.Series("status", statuses),
            pl.col("text").str.slice(0, MAX_CELL).map_elements(visible, return_dtype=pl.String),
            pl.col("train_id").map_elements(visible, return_dtype=pl.String).alias("id"),
        ),
        hide_index=True,
        height=min(40 + 36 * len(ids), 420),
        column_config={
            "rank A": st.column_config.NumberColumn(format="localized", width=70),
            "rank B": st.column_config.NumberColumn(format="localized", width=70),
            "status": st.column_config.TextColumn(width=75),
            "text": st.column_config.TextColumn(width="large"),
        },
        key=session.table_key("compare-rows", ids),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Texts with their ranks for both questions; select rows to decide about them",
    )
    return found["selection"]["rows"]


def _decide(ids: list[str], statuses: dict[str, tuple[str, str | None]], dataset: str, query: str) -> None:
    known = {statuses.get(one, ("kept", None))[0] for one in ids}
    with st.container(horizontal=True, vertical_alignment="center", key="selection"):
        st.text(f"{counted_texts(len(ids))} selected" if ids else "Select rows to decide about their texts.")
        status = known.pop() if len(known) == 1 else "mixed"
        decide.buttons(ids, status, key="compare", dataset=dataset, query=query)
    if len(ids) == 1 and not decide.is_asking():
        (shown,) = session.workspace().data.texts(ids, dataset)
        status, reason = statuses.get(ids[0], ("kept", None))
        corpus_text.draw(shown, key="compare", status=status, reason=reason)
