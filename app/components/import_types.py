"""Types of the columns of an import: which were found and how, and which a person wants instead."""

from typing import Any

import streamlit as st

from app import session
from lorif_core.data.column_types import NAMED_TYPES
from lorif_core.data.previewing import ImportPreview
from lorif_core.views.text import visible

TYPES = (*NAMED_TYPES, "decimal(10,2)")
"""Other decimals are typed."""

KEPT = "import-types-kept"
"""In the session: the columns whose type is changed, for a list that others come to or leave."""

MAX_HEIGHT, ROW_HEIGHT = 320, 35


def choose(found: ImportPreview) -> tuple[str, ...]:
    """Ask for other types than those that were found; each as COLUMN=TYPE."""
    names = [told.name for told in found.types]
    if not names:
        return ()
    picked = st.multiselect(
        "Change the type of",
        names,
        default=[name for name in st.session_state.get(KEPT, []) if name in names],
        key=session.table_key("import-types", names),
        format_func=visible,
        placeholder="Columns whose type is another one",
    )
    st.session_state[KEPT] = picked
    if not picked:
        return ()
    with st.container(horizontal=True, key="import-type-choices"):
        chosen = {name: _type_of(name) for name in picked}
    return tuple(f"{name}={kind}" for name, kind in chosen.items() if kind)


def _type_of(name: str) -> str | None:
    return st.selectbox(
        f"Type of {label_of(name)}",
        TYPES,
        index=None,
        key=session.table_key("import-type", [name]),
        accept_new_options=True,
        placeholder="as found",
        width=180,
        help="A row whose cell is none of it cannot be used. Other decimals can be typed, such as decimal(12,4).",
    )


def show(found: ImportPreview) -> None:
    """The columns that do not make the text, each with its type, how it was found, and what may surprise."""
    if not found.types:
        return
    cells: dict[str, list[Any]] = {
        "column": [visible(told.name) for told in found.types],
        "type": [told.type for told in found.types],
        "found": [visible(told.found) for told in found.types],
        "missing": [told.num_missing for told in found.types],
        "such as": [visible(told.example) for told in found.types],
    }
    if any(told.note for told in found.types):
        cells["note"] = [visible(told.note) for told in found.types]
    st.dataframe(
        cells,
        hide_index=True,
        height=min((len(found.types) + 1) * ROW_HEIGHT + 3, MAX_HEIGHT),
        column_config={
            "column": st.column_config.TextColumn(width=140),
            "type": st.column_config.TextColumn(width=110),
            "found": st.column_config.TextColumn(width=150),
            "missing": st.column_config.NumberColumn(width=70, format="localized"),
            "such as": st.column_config.TextColumn(width=150),
            "note": st.column_config.TextColumn(width=520),
        },
        key=session.table_key("import-columns-found", [told.name for told in found.types]),
        alt="Columns that do not make the text, with their types",
    )


def label_of(name: str) -> str:
    """A column's name where Markdown is obeyed: with every sign of it escaped."""
    return "".join(f"\\{char}" if not char.isalnum() and char != " " else char for char in visible(name))
