"""The buttons of a review, each with a bare letter that presses it unless a text box has the focus."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from app import session
from app.components import decide, decision_keys, review_queue
from app.components.decide import Action
from app.components.review_queue import Queue
from lorif_core.journal.entries import MAX_TEXT_LENGTH, Batch, Reason
from lorif_core.views.decision_words import counted_texts


def reasons(known: Sequence[Reason]) -> None:
    """The reason of the next exclusions, chosen by a number; stays until another is chosen."""
    chosen = decide.last_reason()
    st.text("Reason for X: press a number; the same again takes it back.")
    with st.container(horizontal=True, key="actions-review-reasons", gap="xsmall"):
        for number, reason in enumerate(known, start=1):
            st.button(
                reason.name,
                key=f"review-reason-{reason.name}",
                type="primary" if reason.name == chosen else "secondary",
                shortcut=str(number) if number <= decide.MAX_KEYS else None,
                help=reason.description if reason.added_by is None else None,
                on_click=_choose_reason,
                args=(reason.name,),
            )


def decisions(queue: Queue, train_id: str, others: list[str], dataset: str, query: str | None) -> None:
    """Keep, flag, exclude, needs review, skip, undo, comment.

    Args:
        queue: What is reviewed.
        train_id: The open text.
        others: Near texts that are decided about, too.
        dataset: Id of the data set.
        query: Id of the question that brought the text here.
    """
    reason, options = decide.last_reason(), decide.Options(dataset=dataset, query=query)
    draw = partial(_decision, queue, [train_id, *others], options)
    with st.container(horizontal=True, vertical_alignment="center", key="actions-review", gap="xsmall"):
        draw("Keep", decision_keys.KEEP, "keep", "It is fine.")
        draw("Flag", decision_keys.FLAG, "flag", "Suspicious; it stays in the data.")
        said = f"As {reason}, the last reason." if reason else "Leave it out of every export; asks for a reason."
        draw("Exclude" if reason else "Exclude…", decision_keys.EXCLUDE, "exclude", said)
        if reason:
            ids = [train_id, *others]
            decide.other_reason(ids, options, key="review", then=partial(_decided, queue, ids, "Exclude"))
        draw("Needs review", decision_keys.REVIEW, "review", "Label it for somebody else.")
        _plain("Skip", decision_keys.SKIP, partial(review_queue.advance, queue, train_id, "Skip"))
        _plain("Undo", decision_keys.UNDO, partial(undo, queue), is_off=not queue.trail)
        _plain("Comment…", decision_keys.COMMENT, _toggle_comment)
    if others:
        st.text(f"The next decision is about {counted_texts(1 + len(others))}: this one and {len(others)} near it.")


def comment(train_id: str, dataset: str) -> None:
    """A box for a comment, if it is open."""
    if st.session_state.get("review-commenting"):
        key = f"review-comment-box-{train_id}"
        st.text_area("Comment on this text", key=key, max_chars=MAX_TEXT_LENGTH)
        request = session.request_id("comment", [train_id])
        st.button("Save the comment", key="review-save", on_click=_save, args=(train_id, key, dataset, request))


def _plain(label: str, letter: str, act: Callable[[], None], *, is_off: bool = False) -> None:
    key = f"review-{label.rstrip('…').lower()}"
    st.button(label, key=key, shortcut=letter, on_click=act, disabled=is_off, type="tertiary")


def _decision(
    queue: Queue,
    ids: list[str],
    options: decide.Options,
    label: str,
    letter: str,
    action: Action,
    explanation: str,
) -> None:
    st.button(
        label,
        key=f"review-{'needs-review' if action == 'review' else action}",
        shortcut=letter,
        help=explanation,
        on_click=decide.act_on,
        args=(ids, action, session.request_id(f"review-{action}", ids), options),
        kwargs={"then": partial(_decided, queue, ids, decide.WORDS[action].button)},
    )


def _decided(queue: Queue, ids: list[str], what: str, done: Batch) -> None:
    for other in ids[1:]:
        if other in queue.ids:
            queue.done[other] = what
    queue.acts[done.batch_id] = ids
    st.session_state.pop("review-near", None)
    review_queue.advance(queue, ids[0], what)


def undo(queue: Queue) -> None:
    """Take back what was done last, and open its text again."""
    if queue.trail and queue.done.get(queue.trail[-1]) == "Skip":
        review_queue.go_back(queue)
    else:
        session.undo()


def _choose_reason(name: str) -> None:
    st.session_state["last-reason"] = None if decide.last_reason() == name else name


def _toggle_comment() -> None:
    st.session_state["review-commenting"] = not st.session_state.get("review-commenting", False)


def _save(train_id: str, key: str, dataset: str, request: str) -> None:
    text: str = st.session_state[key]  # read here: a click right after typing comes with the text, not after it
    write, by = session.workspace().team.comment, session.actor()
    if session.act("Comment saved.", lambda: write(train_id, text, actor=by, client_id=request, dataset=dataset)):
        st.session_state["review-commenting"] = False
