"""Pages of a list of texts: how long they are, which one the URL names, buttons to turn them."""

import math

import streamlit as st

from app import session

PER_PAGE = 25
MAX_CELL = 300


def current_offset() -> int:
    """Place of the first text of the page that the URL names."""
    typed = st.query_params.get("page", "1")
    return (max(1, int(typed)) - 1) * PER_PAGE if typed.isdecimal() and len(typed) < 10 else 0


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
