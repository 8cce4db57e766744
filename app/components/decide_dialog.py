"""The dialog before a decision: which texts it is about, why, and whether so many are meant."""

from typing import Any

import streamlit as st

from app import session
from app.components import decide
from app.components.decision_keys import mount
from lorif_core.journal.entries import Reason
from lorif_core.views.decision_words import counted_texts
from lorif_core.views.text import visible

SHOWN = 50
"""Texts of one decision that can be read before it is made; of more, the first ones as a sample."""

SAMPLE = 10
MAX_CHARS = 600


def draw() -> None:
    """The dialog, if something was begun; the shell draws it last."""
    if decide.is_asking():
        title = decide.WORDS[st.session_state["excluding"]["action"]].title
        st.dialog(title, width="medium", on_dismiss=_stop)(_body)()


def _stop() -> None:
    st.session_state.pop("excluding", None)


def _body() -> None:
    if st.session_state.pop("was-asked", False):
        st.rerun()
    asked = st.session_state["excluding"]
    action, dataset = asked["action"], asked["options"]["dataset"]
    with session.errors():
        ids = _meant(asked)
        _texts(ids, dataset)
        is_many = len(ids) > decide.MANY
        is_sure = not is_many or st.checkbox(decide.WORDS[action].sure.format(len(ids)), key="decide-sure")
        request = session.request_id(f"asked-{action}", ids)
        if action == "exclude":
            _reasons(decide.reasons_offered(dataset), asked, ids, request, is_off=not is_sure)
        st.text_input("Comment", key="decide-comment", max_chars=2000, placeholder="Optional: type it first")
        with st.container(horizontal=True):
            if action != "exclude":
                st.button(
                    decide.WORDS[action].button,
                    type="primary",
                    key="decide-now",
                    disabled=not is_sure,
                    on_click=_write,
                    args=(asked, ids, request, None),
                )
            if st.button("Cancel", key="decide-cancel"):
                _stop()
                st.rerun()


def _meant(asked: dict[str, Any]) -> list[str]:
    """The texts, or the first so many of them."""
    ids: list[str] = asked["ids"]
    if asked["top"] is None:
        return ids
    count = st.number_input("How many of the top", 1, len(ids), asked["top"], key="decide-top", width=180)
    return ids[: int(count)]


def _texts(ids: list[str], dataset: str) -> None:
    is_sample = len(ids) > SHOWN
    shown = session.workspace().data.texts(ids[: SAMPLE if is_sample else SHOWN], dataset)
    st.text(counted_texts(len(ids)) + (f"; the first {SAMPLE} of them:" if is_sample else ":"))
    texts = [
        {"about": visible(_about(one)), "text": visible(one.text[:MAX_CHARS] + "…" * (len(one.text) > MAX_CHARS))}
        for one in shown
    ]
    mount({"mode": "texts", "label": "Texts of this decision", "texts": texts}, "decide-texts")


def _about(shown: Any) -> str:
    source = (shown.metadata or {}).get("source")
    return f"{source} · {shown.train_id}" if source is not None else shown.train_id


def _reasons(offered: list[Reason], asked: dict[str, Any], ids: list[str], request: str, *, is_off: bool) -> None:
    st.text("Why? A reason excludes at once.")
    with st.container(horizontal=True, key="decide-reasons", gap="xsmall"):
        for number, reason in enumerate(offered, start=1):
            st.button(
                reason.name,
                key=f"decide-reason-{reason.name}",
                type="primary" if number == 1 else "secondary",
                shortcut=str(number) if number <= decide.MAX_KEYS else None,
                disabled=is_off,
                help=reason.description if reason.added_by is None else None,
                on_click=_write,
                args=(asked, ids, request, reason.name),
            )


def _write(asked: dict[str, Any], ids: list[str], request: str, reason: str | None) -> None:
    # From the state: arguments are as old as the last run, which has not heard of a word typed just before the click.
    comment = st.session_state.get("decide-comment") or None
    done = decide.write(ids, asked["action"], request, asked["options"], reason, comment)
    if done is not None and asked["then"] is not None:
        asked["then"](done)
    _stop()
    st.session_state["was-asked"] = True
