"""Comments on a text as a thread, wherever a text is open; and the latest ones on the Team page."""

import streamlit as st

from app import session
from app.components import corpus_text
from lorif_core.journal.entries import MAX_TEXT_LENGTH
from lorif_core.views.text import visible
from lorif_core.workspace.team.comment_threads import Comment

LATEST = 100


def draw(train_id: str, dataset: str, *, key: str) -> None:
    """The thread of a text, and the box to say something in it.

    Args:
        train_id: The text.
        dataset: Id of its data set.
        key: Unique on the page.
    """
    team = session.workspace().team
    thread = team.comments(train_id, dataset=dataset)
    with st.container(key=f"{key}-comments", gap="xsmall"):
        st.markdown("**Comments**" if not thread else f"**Comments** ({len(thread)})")
        for one in thread:
            _comment(one, dataset, key)
        may_write = session.workspace().journal.role_of(session.actor()) != "viewer"
        box = f"{key}-comment-{train_id}"
        number = st.session_state.get(f"{box}-number", 0)  # another box once a comment was saved, which is empty
        st.text_area(
            "Your comment",
            key=f"{box}-{number}",
            height=68,
            max_chars=MAX_TEXT_LENGTH,
            placeholder="Say something about this text"
            if may_write
            else "Viewers read; an admin can make you a curator",
            label_visibility="collapsed",
            disabled=not may_write,
        )
        st.button(
            "Comment",
            key=f"{key}-comment-save",
            disabled=not may_write,
            on_click=_save,
            args=(train_id, dataset, box, session.request_id("comment", [train_id])),
        )


def _comment(one: Comment, dataset: str, key: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        beside = f" · {one.beside}" if one.beside else ""
        session.small_text(f"{one.by} · {one.at:%Y-%m-%d %H:%M} UTC{beside}", key=f"{key}-by-{one.batch_id}")
        if one.beside is None and one.by == session.actor():
            st.button(
                "Delete",
                key=f"{key}-uncomment-{one.batch_id}",
                type="tertiary",
                help="Takes your comment back; History keeps it and can bring it back.",
                on_click=_take_back,
                args=(one.batch_id, dataset),
            )
    st.text(visible(one.text))


def latest(dataset: str) -> None:
    """The newest comments on any text; a click opens the text with its thread."""
    found = session.workspace().team.latest_comments(LATEST, dataset=dataset)
    if not found:
        st.text("Nobody has said anything yet. Open a text of an answer, or in Review, to comment on it.")
        return
    chosen = st.dataframe(
        {
            "when (UTC)": [one.at.replace(tzinfo=None) for _, one in found],
            "who": [visible(one.by) for _, one in found],
            "comment": [visible(one.text) for _, one in found],
            "text": [visible(train_id) for train_id, _ in found],
        },
        hide_index=True,
        column_config={"when (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", width=140)},
        key=session.table_key("team-comments", [one.batch_id for _, one in found]),
        on_select="rerun",
        selection_mode="single-row",
        alt="The latest comments; select one to open its text",
    )
    if rows := chosen["selection"]["rows"]:
        train_id = found[rows[0]][0]
        text, thread = st.columns([7, 5], gap="large")
        with text:
            corpus_text.whole(train_id, dataset, key="team")
        with thread:
            draw(train_id, dataset, key="team")


def _save(train_id: str, dataset: str, box: str, request: str) -> None:
    number = st.session_state.get(f"{box}-number", 0)
    said: str = st.session_state[f"{box}-{number}"]
    comment = session.workspace().team.comment
    if session.act(
        "Comment saved.",
        lambda: comment(train_id, said, actor=session.actor(), client_id=request, dataset=dataset),
    ):
        st.session_state[f"{box}-number"] = number + 1


def _take_back(batch_id: str, dataset: str) -> None:
    undo = session.workspace().undo
    session.act("Comment deleted.", lambda: undo(batch_id, actor=session.actor(), dataset=dataset))
