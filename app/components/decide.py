"""Flag, exclude and restore, for one text or for many: always at the same place, always by id."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from app import session

MANY = 50
"""More texts than this at once want a confirmation."""


class Shortcuts(NamedTuple):
    """Bare letters that press the buttons, unless a text box has the focus."""

    flag: str | None = None
    exclude: str | None = None
    restore: str | None = None


NO_SHORTCUTS = Shortcuts()


def buttons(
    ids: Sequence[str],
    status: str,
    *,
    key: str,
    dataset: str,
    query: str | None = None,
    shortcuts: Shortcuts = NO_SHORTCUTS,
) -> None:
    """Three buttons in a row; those that would change nothing are disabled but keep their place.

    Args:
        ids: Train ids that a click decides about.
        status: kept, flagged, excluded, or mixed.
        key: Unique on the page.
        dataset: Id of the data set.
        query: Id of the question that led here.
        shortcuts: Keys for the three; for one place of a page only.
    """
    options = {"dataset": dataset, "query": query}
    st.button(
        "Flag",
        key=f"{key}-flag",
        on_click=flag,
        args=(list(ids), session.request_id("flag", ids), options),
        disabled=status == "flagged" or not ids,
        shortcut=shortcuts.flag,
        help="Mark as suspicious; it stays in the data.",
    )
    if st.button(
        "Exclude…",
        key=f"{key}-exclude",
        disabled=status == "excluded" or not ids,
        shortcut=shortcuts.exclude,
        help="Leave it out of every export. Asks for a reason.",
    ):
        # One dialog at a time: inside the reader, the reason is asked for after the reader has closed.
        st.session_state["excluding"] = {"ids": list(ids), **options}
        st.rerun()
    st.button(
        "Restore",
        key=f"{key}-restore",
        on_click=restore,
        args=(list(ids), session.request_id("restore", ids), options),
        disabled=status == "kept" or not ids,
        shortcut=shortcuts.restore,
        help="Keep it, whatever was decided before.",
    )


def flag(ids: list[str], request: str, options: dict[str, Any]) -> None:
    """Flag texts."""
    write = session.workspace().flag
    session.act(f"Flagged {_texts(ids)}.", lambda: write(ids, actor=session.actor(), client_id=request, **options))


def restore(ids: list[str], request: str, options: dict[str, Any]) -> None:
    """Keep texts."""
    write = session.workspace().restore
    session.act(f"Restored {_texts(ids)}.", lambda: write(ids, actor=session.actor(), client_id=request, **options))


def is_asking() -> bool:
    """Whether the reason of an exclusion is being asked for; a page opens no other dialog then."""
    return "excluding" in st.session_state


def _stop_asking() -> None:
    st.session_state.pop("excluding", None)


def ask_reason() -> None:
    """The dialog of an exclusion that was begun; the shell draws it last."""
    if is_asking():
        _dialog()


@st.dialog("Exclude from the data", on_dismiss=_stop_asking)
def _dialog() -> None:
    asked = st.session_state["excluding"]
    ids: list[str] = asked["ids"]
    st.text(
        f"{_texts(ids).capitalize()} will be left out of every export: {', '.join(ids[:5])}{'…' * (len(ids) > 5)}"
    )
    reasons = {reason.name: reason.description for reason in session.workspace().journal.reasons()}
    reason = st.selectbox("Reason", list(reasons), index=None, placeholder="Choose a reason", key="exclude-reason")
    if reason:
        st.text(reasons[reason])
    st.text_input("Comment", key="exclude-comment", max_chars=2000, placeholder="Optional")
    is_sure = len(ids) <= MANY or st.checkbox(f"Yes, exclude all {len(ids):,}", key="exclude-sure")
    request = session.request_id("exclude", ids)
    with st.container(horizontal=True):
        st.button(
            "Exclude",
            type="primary",
            key="exclude-now",
            disabled=not reason or not is_sure,
            on_click=_exclude,
            args=(asked, request),
        )
        if st.session_state.pop("excluded", False) or st.button("Cancel", key="exclude-cancel"):
            _stop_asking()
            st.rerun()


def _exclude(asked: dict[str, Any], request: str) -> None:
    # From the state: arguments are as old as the last run, which has not heard of a word typed just before the click.
    reason, comment = st.session_state["exclude-reason"], st.session_state.get("exclude-comment")
    session.act(
        f"Excluded {_texts(asked['ids'])}.",
        lambda: session.workspace().exclude(
            asked["ids"],
            reason=reason,
            text=comment or None,
            query=asked["query"],
            dataset=asked["dataset"],
            actor=session.actor(),
            client_id=request,
        ),
    )
    st.session_state["excluded"] = True


def _texts(ids: Sequence[str]) -> str:
    return "1 text" if len(ids) == 1 else f"{len(ids):,} texts"
