"""The link from a text to those like it; the list is drawn by corpus_similar."""

import streamlit as st

TAB = "Similar"


def link(train_id: str, dataset: str, *, key: str) -> None:
    """A link to the texts of a data set like one of them, on any page."""
    target = st.session_state.get("pages", {}).get("corpus")
    with st.container(key=f"{key}-similar"):
        if target is not None:
            st.page_link(
                target, label="Find like this", query_params={"tab": TAB, "like": train_id, "dataset": dataset}
            )
