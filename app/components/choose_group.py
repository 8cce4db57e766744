"""All texts with one value of a metadata column, as a condition; column and value lie in the URL."""

import streamlit as st

from app import session
from lorif_core.corpus.facets import ValuesFacet
from lorif_core.views.choices import of_values
from lorif_core.views.text import visible


def draw(dataset: str) -> str:
    """Widgets that choose a group; its condition, empty while there is none."""
    found = {
        one.column: one for one in session.workspace().data.facets(dataset=dataset) if isinstance(one, ValuesFacet)
    }
    if not found:
        st.text("The data have no column with values to choose a group by.")
        return ""
    names = list(found)
    place = names.index("source") if "source" in names else 0
    column = st.selectbox(
        "Column", names, index=place, key="column", bind="query-params", format_func=visible, width=180
    )
    counts = {str(one.value): one for one in found[column].values}
    value = st.selectbox(
        "Group",
        list(counts),
        key="value",
        bind="query-params",
        format_func=lambda name: visible(f"{name} ({counts[name].count:,} texts)"),
        width=320,
    )
    return of_values(column, [counts[value].value]) if value in counts else ""
