"""The list of indexes: what each is called and is, to use, rename or delete it."""

from collections.abc import Sequence

import streamlit as st

from app import session
from lorif_core.catalog import IndexRecord
from lorif_core.views.tables import human_seconds
from lorif_core.views.text import visible
from lorif_core.workspace.folder.index_names import NamedIndex
from lorif_core.workspace.indexes.name_index import MAX_DESCRIPTION, MAX_NAME

NUM_SHOWN = 50
STATUSES = {"complete": "", "building": "being built", "failed": "failed", "damaged": "damaged"}
IN_USE = "in use"


def draw(records: Sequence[IndexRecord]) -> None:
    """A row for each index; those of the newest come first."""
    named, members = session.index_names(), session.workspace().indexes.all_members()
    in_use = session.index_id() if session.indexes() else None
    with st.container(key="indexes-named", gap="xsmall"):
        for record in records[:NUM_SHOWN]:
            if (one := named.get(record.index_id)) is not None:
                label = members[record.index_id].label if record.index_id in members else ""
                _row(record, one, label, is_used=record.index_id == in_use)
    if len(records) > NUM_SHOWN:
        st.caption(f"The newest {NUM_SHOWN} of {len(records):,}; `lorif indexes` lists all.")


def _row(record: IndexRecord, named: NamedIndex, members: str, *, is_used: bool) -> None:
    index_id = record.index_id
    with st.container(horizontal=True, vertical_alignment="center", border=True, key=f"index-row-{index_id}"):
        with st.container(gap=None, key=f"index-about-{index_id}"):
            marks = [mark for mark in (STATUSES[record.status], IN_USE if is_used else "") if mark]
            st.text(visible(named.name) + "".join(f"  ·  {mark}" for mark in marks))
            took = "" if record.build_seconds is None else f" · built in {human_seconds(record.build_seconds)}"
            st.text(visible(f"{named.line}{f' · {members}' if members else ''}{took}"))
            if named.description:
                st.text(visible(named.description))
        if record.status == "complete":
            st.button("Ask", key=f"index-ask-{index_id}", on_click=_ask_it, args=(index_id,))
        if st.button("Rename…", key=f"index-rename-{index_id}"):
            _rename(index_id)
        if st.button("Delete…", key=f"index-delete-{index_id}"):
            _delete(index_id)
    if st.session_state.pop("index-asked", None) == index_id:
        st.switch_page(st.session_state["pages"]["investigate"])


def _ask_it(index_id: str) -> None:
    session.use_index(index_id)
    st.session_state["index-asked"] = index_id


@st.dialog("Name of the index")
def _rename(index_id: str) -> None:
    named = session.index_names().get(index_id)
    if named is None:
        st.text("This index was deleted since.")
        return
    st.text(visible(named.line))
    given = named.name if named.is_given else ""
    name = st.text_input("Name", given, key=f"index-name-{index_id}", max_chars=MAX_NAME)
    key = f"index-description-{index_id}"
    about = st.text_area("Description", named.description, key=key, max_chars=MAX_DESCRIPTION)
    if st.button("Save", key="index-name-save", type="primary"):
        workspace = session.workspace()
        session.act(
            "The index is renamed.",
            lambda: workspace.indexes.rename(index_id, name, description=about, actor=session.actor()),
        )
        session.forget_indexes()
        st.rerun()


@st.dialog("Delete this index?")
def _delete(index_id: str) -> None:
    workspace = session.workspace()
    with session.errors():
        loss = workspace.indexes.loss(index_id)
        st.text(visible(loss.name))
        st.text(visible(loss.line))
        st.text(visible(loss.sentence))
        is_meant = st.checkbox("I want to delete it", key=session.table_key("index-meant", [index_id]))
        if st.button("Delete", key="index-delete-it", type="primary", disabled=not is_meant):
            session.act("The index is deleted.", lambda: workspace.indexes.delete(index_id, actor=session.actor()))
            session.forget_indexes()
            st.rerun()
