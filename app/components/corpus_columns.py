"""Which columns the table of texts shows, and in which order: chosen by the person, kept in the address."""

from collections.abc import Sequence

import streamlit as st

from app.components.corpus_filters import IMPORTED, first_page
from lorif_core.corpus.facets import Facet
from lorif_core.views.corpus_rows import usual_columns
from lorif_core.views.text import literal

KEY = "cols"


def choose(found: Sequence[Facet]) -> list[str]:
    """The columns to show; the usual ones while none is chosen."""
    names = [one.column for one in found]
    with st.popover("Columns", width="content"):
        chosen = st.pills(
            "Columns of the table",
            names,
            selection_mode="multi",
            format_func=literal,
            key=KEY,
            bind="query-params",
            help="None chosen: the first ones that are no ids or free text. Kept in the address and in this browser.",
        )
    return list(chosen or usual_columns(found))


def is_usual() -> bool:
    """Whether nobody chose."""
    return not st.session_state.get(KEY)


def remember(names: Sequence[str], known: Sequence[str]) -> None:
    """Show the columns that this browser showed last. For callbacks."""
    st.session_state[KEY] = [one for one in names if one in known]


def sort_by(column: str) -> None:
    """Sort all texts by a column; again: the other way; again: as they were imported. For callbacks."""
    first_page()
    if st.session_state.get("sort") != column:
        st.session_state["sort"], st.session_state["desc"] = column, False
    elif not st.session_state.get("desc"):
        st.session_state["desc"] = True
    else:
        st.session_state["sort"], st.session_state["desc"] = IMPORTED, False
