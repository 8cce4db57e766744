"""Review: one text at a time, decided with one key each."""

import streamlit as st

from app import session
from app.components import (
    chosen_texts,
    corpus_text,
    review_keys,
    review_near,
    review_queue,
    review_why,
    team_comments,
    team_guidelines,
)
from app.components.review_queue import Queue
from lorif_core.views.decision_words import BLIND
from lorif_core.workspace.curation.choice import Choice


def page() -> None:
    """Draw the page."""
    session.title(
        "Review", "One text at a time, with what brought it here. Every key is on its button; ? lists them."
    )
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    queries = [record for record in session.workspace().questions.records() if record.dataset_id == dataset]
    choice = review_queue.choose(queries)
    if choice.source == "condition" and not choice.where.strip():
        st.text("Type a condition: it says which texts to review.")
        return
    if choice.source == "query" and choice.query is None:
        session.empty("No question was asked yet.", 'lorif ask {workspace} --prompt "…" --generate')
        return
    with session.errors():
        queue = review_queue.open_queue(choice, dataset, with_decided=st.session_state.get("review-decided", False))
        review_queue.follow_undo(queue)
        chosen_texts.leave_to_buttons()
        _review(queue, choice, dataset)


def _review(queue: Queue, choice: Choice, dataset: str) -> None:
    train_id = review_queue.current(queue)
    review_queue.header(queue, train_id)
    if train_id is None:
        _finished(queue, choice)
        return
    workspace, index_id = session.workspace(), review_near.index_on_screen()
    cause = review_why.cause_of(train_id, choice, dataset)
    states = workspace.decisions.states(dataset=dataset)
    state = next(iter(states.filter(states["train_id"] == train_id).to_dicts()), {})
    reading, about = st.columns([8, 4], gap="medium")
    with reading:
        shown = {} if choice.is_blind else state
        review_why.draw(cause, choice, shown.get("status", "kept"), shown.get("reason"))
        review_keys.decisions(queue, train_id, review_near.chosen(train_id, index_id), dataset, cause.query_id)
        review_keys.reasons(workspace.journal.reasons())
        review_keys.comment(train_id, dataset)
        with session.errors():
            review_near.draw(train_id, index_id, dataset, is_blind=choice.is_blind)
    with about:
        team_guidelines.beside(dataset)
        review_why.others(cause)
        corpus_text.metadata(cause.shown, session.workspace().data.types(dataset), key="review")
        if choice.is_blind:
            st.caption(BLIND)
        else:
            corpus_text.time_line(cause.events)
            team_comments.draw(train_id, dataset, key="review")
    review_near.prefetch(next((one for one in queue.left if one != train_id), None), index_id)


def _finished(queue: Queue, choice: Choice) -> None:
    if queue.ids:
        done = "The only text" if len(queue.ids) == 1 else f"All {len(queue.ids):,} texts"
        st.text(f"{done} of this queue {'is' if len(queue.ids) == 1 else 'are'} done.")
        st.button("Undo", key="review-undo", shortcut="u", on_click=review_keys.undo, args=(queue,))
    elif choice.source == "flagged":
        session.empty("No text is flagged.", "lorif flag {workspace} ID")
    else:
        st.text("Nothing is left to review here: every text was decided already, or none matches.")
