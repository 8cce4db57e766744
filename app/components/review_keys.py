"""The buttons of a review, each with a bare letter that presses it unless a text box has the focus."""

from collections.abc import Callable, Sequence

import streamlit as st

from app import session
from app.components import review_queue
from app.components.review_queue import Queue
from lorif_core.journal.entries import Batch, Reason

LABEL = "needs-review"
MAX_KEYS = 9


def reasons(known: Sequence[Reason]) -> str | None:
    """The reason for flags and exclusions, chosen by a number; stays until another is chosen."""
    chosen = st.session_state.get("review-reason")
    st.text("Reason for an exclusion or a flag: press its number; the same again takes it back.")
    with st.container(horizontal=True, key="review-reasons", gap="xsmall"):
        for number, reason in enumerate(known, start=1):
            st.button(
                reason.name,
                key=f"review-reason-{reason.name}",
                type="primary" if reason.name == chosen else "secondary",
                shortcut=str(number) if number <= MAX_KEYS else None,
                help=reason.description if reason.added_by is None else None,
                on_click=_choose_reason,
                args=(reason.name,),
            )
    return chosen


def decisions(queue: Queue, train_id: str, reason: str | None, dataset: str, query: str | None) -> None:
    """Keep, flag, exclude, needs review, skip, undo."""
    write = session.workspace()
    options = {"dataset": dataset, "query": query}
    with st.container(horizontal=True, key="review-decisions"):
        _decision("Keep", "k", queue, train_id, lambda ids, why: write.restore(ids, **why, **options), "It is fine.")
        _decision(
            "Flag",
            "f",
            queue,
            train_id,
            lambda ids, why: write.flag(ids, reason=reason, **why, **options),
            "Suspicious; it stays in the data.",
        )
        _decision(
            "Exclude",
            "x",
            queue,
            train_id,
            lambda ids, why: write.exclude(ids, reason=reason, **why, **options),
            "Leave it out of every export." if reason else "Choose a reason first: press a number.",
            is_off=reason is None,
        )
        _decision(
            "Needs review",
            "n",
            queue,
            train_id,
            lambda ids, why: write.decisions.label(ids, LABEL, actor=why["actor"], dataset=dataset),
            "Label it for somebody else.",
        )
        st.button("Skip", key="review-skip", shortcut="s", on_click=_skip, args=(queue, train_id))
        st.button("Undo", key="review-undo", shortcut="u", on_click=undo, args=(queue,), disabled=not queue.trail)
        st.button("Note", key="review-note", shortcut="m", on_click=_toggle_note)


def note(train_id: str, dataset: str) -> None:
    """A box for a note, if it is open."""
    if st.session_state.get("review-noting"):
        key = f"review-note-{train_id}"
        st.text_area("Note about this text", key=key, max_chars=10_000)
        st.button("Save the note", key="review-save-note", on_click=_save_note, args=(train_id, key, dataset))


def _decision(
    label: str,
    letter: str,
    queue: Queue,
    train_id: str,
    write: Callable[[list[str], dict], Batch],
    explanation: str,
    *,
    is_off: bool = False,
) -> None:
    request = session.request_id(f"review-{label}", [train_id])
    st.button(
        label,
        key=f"review-{label.lower().replace(' ', '-')}",
        shortcut=letter,
        help=explanation,
        disabled=is_off,
        on_click=_decide,
        args=(label, queue, train_id, write, request),
    )


def _decide(label: str, queue: Queue, train_id: str, write: Callable, request: str) -> None:
    why = {"actor": session.actor(), "client_id": request}
    if session.act(f"{label}: saved.", lambda: write([train_id], why)) is not None:
        review_queue.advance(queue, train_id, label)


def _skip(queue: Queue, train_id: str) -> None:
    review_queue.advance(queue, train_id, "Skip")


def undo(queue: Queue) -> None:
    """Take back what was done last, and open its text again."""
    if queue.trail and queue.done.get(queue.trail[-1]) == "Skip":
        review_queue.go_back(queue)
    elif session.act(
        "Undone.", lambda: session.workspace().undo(actor=session.actor(), dataset=session.dataset_id())
    ):
        review_queue.go_back(queue)


def _choose_reason(name: str) -> None:
    st.session_state["review-reason"] = None if st.session_state.get("review-reason") == name else name


def _toggle_note() -> None:
    st.session_state["review-noting"] = not st.session_state.get("review-noting", False)


def _save_note(train_id: str, key: str, dataset: str) -> None:
    text: str = st.session_state[key]  # read here: a click right after typing comes with the text, not after it
    write = session.workspace().decisions.note
    if session.act("Note saved.", lambda: write([train_id], text, actor=session.actor(), dataset=dataset)):
        st.session_state["review-noting"] = False
