"""The question of an answer, asked of another index and put beside it: two clicks from one method to two."""

import streamlit as st

from app import session
from app.components import asking_stages
from lorif_core.views.text import literal
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.studio.ask_another_index import another_indexs_question


def draw(answer: Answer, dataset: str) -> None:
    """A button per other complete index of the same data."""
    names = {key: name for key, name in session.complete_indexes(dataset).items() if key != answer.index_id}
    with st.popover("Compare with", type="tertiary", key="compare-methods"):
        if not names:
            st.text("This is the only index of the data. Build one by another method to compare both.")
            if (page := st.session_state.get("pages", {}).get("indexes")) is not None:
                st.page_link(page, label="Build another index", query_params={"tab": "Build"})
            return
        st.caption("The same question, asked of another index")
        for index_id, name in names.items():
            if st.button(literal(name), key=f"compare-with-{index_id}", width="stretch"):
                _ask(answer, index_id)


def _ask(answer: Answer, index_id: str) -> None:
    asking_stages.ask(another_indexs_question(session.workspace(), answer, index_id, session.actor()))
    url = {"a": str(answer.query_id), "asking": st.query_params["asking"]}
    if (page := st.session_state.get("pages", {}).get("compare")) is not None:
        st.switch_page(page, query_params=url)
    session.set_url(**url)
