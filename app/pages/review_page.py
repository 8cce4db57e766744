"""Review: one text at a time, decided with one key each."""

import streamlit as st

from app import session
from app.components import corpus_text, review_keys, review_queue, team_comments, team_guidelines
from app.components.review_queue import Queue
from lorif_core.workspace.curation.choice import Choice


def page() -> None:
    """Draw the page."""
    session.title("Review", "One text at a time. Every key is written on its button.")
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
        queue = review_queue.open_queue(choice, dataset)
        _review(queue, choice, dataset)


def _review(queue: Queue, choice: Choice, dataset: str) -> None:
    train_id = review_queue.current(queue)
    with st.container(horizontal=True, vertical_alignment="center", key="review-progress"):
        if queue.ids:
            review_queue.progress(queue, train_id)
        st.button("Build the queue again", key="review-renew", on_click=review_queue.renew)
    if train_id is None:
        _finished(queue, choice)
        return
    workspace = session.workspace()
    (shown,) = workspace.data.texts([train_id], dataset)
    states = workspace.decisions.states(dataset=dataset)
    state = next(iter(states.filter(states["train_id"] == train_id).to_dicts()), {})
    reading, about = st.columns([8, 4], gap="medium")
    with reading:
        corpus_text.draw(shown, key="review", status=state.get("status", "kept"), reason=state.get("reason"))
        review_keys.decisions(queue, train_id, st.session_state.get("review-reason"), dataset, choice.query)
        review_keys.reasons(workspace.journal.reasons())
        review_keys.note(train_id, dataset)
    with about:
        corpus_text.metadata(shown, session.workspace().data.types(dataset), key="review")
        corpus_text.time_line(workspace.decisions.events_of(train_id, dataset=dataset))
        team_comments.draw(train_id, dataset, key="review")
        team_guidelines.beside(dataset)


def _finished(queue: Queue, choice: Choice) -> None:
    if queue.ids:
        st.text(f"All {len(queue.ids):,} texts of this queue are done.")
        st.button("Undo", key="review-undo", shortcut="u", on_click=review_keys.undo, args=(queue,))
    elif choice.source == "flagged":
        session.empty("No text is flagged.", "lorif flag {workspace} ID")
    else:
        st.text("Nothing is left to review here: every text was decided already, or none matches.")
