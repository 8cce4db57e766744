"""The words of a team: the reasons that a decision can give, and the labels in use."""

import streamlit as st

from app import session
from lorif_core.journal.entries import MAX_NAME_LENGTH
from lorif_core.views.text import literal, visible


def reasons(*, is_admin: bool) -> None:
    """The reasons, and for an admin the form that adds one."""
    st.markdown("**Reasons**")
    known = session.workspace().journal.reasons()
    st.dataframe(
        {
            "reason": [one.name for one in known],
            "what it is for": [visible(one.description) for one in known],
            "added by": [visible(one.added_by or "") for one in known],
        },
        hide_index=True,
        height="content",
        key=session.table_key("team-reasons", [one.name for one in known]),
        alt="Reasons that a decision can give",
    )
    if not is_admin:
        st.text("Only an admin adds reasons.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="team-reason"):
        st.text_input(
            "New reason", key="team-reason-name", placeholder="low-effort", max_chars=MAX_NAME_LENGTH, width=200
        )
        st.text_input("What it is for", key="team-reason-for", max_chars=MAX_NAME_LENGTH, width=420)
        st.button("Add", key="team-reason-add", on_click=_add)


def _add() -> None:
    # From the state: arguments are as old as the last run, which has not heard of a word typed just before the click.
    name, description = st.session_state["team-reason-name"].strip(), st.session_state["team-reason-for"]
    add = session.workspace().journal.add_reason
    if session.act("Reason added.", lambda: add(name, description, session.actor())):
        st.session_state["team-reason-name"] = st.session_state["team-reason-for"] = ""


def labels(dataset: str) -> None:
    """The labels in use, with how many texts carry each, and the way to these."""
    st.markdown("**Labels**")
    found = session.workspace().team.labels(dataset=dataset)
    if not found:
        st.text(
            "No text has a label. The key N gives one to the selected texts, a rule on the Export page gives any: "
            "label odd where year < 2000."
        )
        return
    st.dataframe(
        {"label": [visible(name) for name in found], "texts": list(found.values())},
        hide_index=True,
        key=session.table_key("team-labels", list(found)),
        alt="Labels in use",
    )
    pages = st.session_state.get("pages", {})
    if (page := pages.get("corpus")) is not None:
        with st.container(horizontal=True, key="team-label-links"):
            for name in list(found)[:5]:
                quoted = name.replace("\\", "\\\\").replace('"', '\\"')
                st.page_link(
                    page, label=f"See “{literal(name)}” in Corpus", query_params={"where": f'label = "{quoted}"'}
                )
