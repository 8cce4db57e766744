"""Decide about many texts at once: what will happen is shown with a sample, and confirmed."""

from collections.abc import Sequence

import streamlit as st

from app import session
from app.components import decide, token_view

ACTIONS: dict[str, decide.Action] = {"flag": "flag", "exclude": "exclude", "restore": "keep"}
"""Method of the workspace → what people call it."""

SAMPLE = 5


def actions(ids: Sequence[str], status: str, *, dataset: str) -> None:
    """Flag, exclude, keep: at once for a few texts, through a dialog for more than ``decide.MANY``."""
    if len(ids) <= decide.MANY:
        decide.buttons(ids, status, key="corpus", dataset=dataset)
    else:
        st.button(
            f"Decide about {len(ids):,} texts…",
            key="corpus-many",
            type="primary",
            on_click=ask,
            args=(list(ids), dataset),
        )


def ask(ids: list[str], dataset: str, action: str = "flag", reason: str | None = None) -> None:
    """Open the dialog on the next run. For callbacks."""
    st.session_state["corpus-asked"] = {"ids": ids, "dataset": dataset, "action": action, "reason": reason}


def draw() -> None:
    """The dialog, if it was asked for; a page calls it last."""
    if "corpus-asked" in st.session_state and not decide.is_asking():
        _dialog()


def _close() -> None:
    st.session_state.pop("corpus-asked", None)


@st.dialog("Decide about many texts", width="large", on_dismiss=_close)
def _dialog() -> None:
    asked = st.session_state["corpus-asked"]
    ids: list[str] = asked["ids"]
    with session.errors():
        st.text(f"{len(ids):,} texts are meant. Some of them:")
        for place, shown in enumerate(session.workspace().data.texts(ids[:SAMPLE], asked["dataset"])):
            token_view.text(f"{shown.train_id}:  {shown.text[:400]}", key=f"corpus-sample-{place}")
        action = st.segmented_control(
            "What to do",
            list(ACTIONS),
            default=asked["action"],
            required=True,
            format_func=lambda one: ACTIONS[one],
            key="corpus-action",
        )
        reasons = [one.name for one in session.workspace().journal.reasons()]
        place = reasons.index(asked["reason"]) if asked["reason"] in reasons else None
        reason = st.selectbox(
            "Reason", reasons, index=place, placeholder="An exclusion needs one", key="corpus-reason"
        )
        comment = st.text_input("Comment", key="corpus-comment", max_chars=2000, placeholder="Optional")
        is_sure = st.checkbox(decide.WORDS[ACTIONS[action]].sure.format(len(ids)), key="corpus-sure")
        request = session.request_id(f"bulk-{action}", ids)
        is_ready = is_sure and (reason is not None or action != "exclude")
        with st.container(horizontal=True):
            if st.button("Decide", type="primary", key="corpus-decide", disabled=not is_ready):
                _write(asked, action or "flag", reason, comment, request)
                _close()
                st.rerun()
            if st.button("Cancel", key="corpus-cancel"):
                _close()
                st.rerun()


def _write(asked: dict, action: str, reason: str | None, comment: str, request: str) -> None:
    ids = asked["ids"]
    write = getattr(session.workspace(), action)
    session.act(
        f"{decide.WORDS[ACTIONS[action]].done} {len(ids):,} texts.",
        lambda: write(
            ids,
            reason=reason,
            text=comment or None,
            actor=session.actor(),
            client_id=request,
            dataset=asked["dataset"],
        ),
    )
