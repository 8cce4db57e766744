"""A page of texts as a table with row selection, and its paging; what is selected is told by id."""

import math
from collections.abc import Sequence

import polars as pl
import streamlit as st

from app import session
from lorif_core.corpus.browse import Page
from lorif_core.views.text import visible

PER_PAGE = 25
MAX_CELL = 300


def current_offset() -> int:
    """Place of the first text of the page that the URL names."""
    typed = st.query_params.get("page", "1")
    return (max(1, int(typed)) - 1) * PER_PAGE if typed.isdecimal() and len(typed) < 10 else 0


def draw(page: Page, texts: Sequence[str]) -> list[str]:
    """The table; ids of the selected rows."""
    ids = page.frame["train_id"].to_list()
    chosen = st.dataframe(
        _shown(page, texts),
        hide_index=True,
        height=40 + 36 * max(len(ids), 1),
        row_height=36,
        column_config={
            "id": st.column_config.TextColumn("id", width=80),
            "status": st.column_config.TextColumn("status", width=80),
            "text": st.column_config.TextColumn("text", width=440),
            "reason": st.column_config.TextColumn("reason", width=110),
        },
        key=session.table_key("corpus-rows", ids),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Texts of the data set; select rows to decide about them",
    )
    return [ids[row] for row in chosen["selection"]["rows"] if row < len(ids)]


def paging(total: int, offset: int) -> None:
    """Which part of a list is shown; first, previous, next, last."""
    last = max(1, math.ceil(total / PER_PAGE))
    now = offset // PER_PAGE + 1
    with st.container(horizontal=True, vertical_alignment="center", key="corpus-paging"):
        for label, target, is_off in (
            ("First", 1, now == 1),
            ("Previous", now - 1, now == 1),
            ("Next", now + 1, now >= last),
            ("Last", last, now >= last),
        ):
            st.button(
                label,
                key=f"corpus-{label.lower()}",
                disabled=is_off,
                on_click=session.set_url,
                kwargs={"page": target if target > 1 else None},
            )
        st.text(f"Page {now:,} of {last:,}")


def _shown(page: Page, texts: Sequence[str]) -> pl.DataFrame:
    known = {
        "id": [visible(one) for one in page.frame["train_id"]],
        "status": page.decided("status").to_list(),
        "text": [visible(text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…") for text in texts],
        "reason": [reason or "" for reason in page.decided("reason")],
    }
    return pl.DataFrame(known)
