"""Why a text is in the queue: the question that brought it up, what the model said, its rank and score, its heat."""

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from app import session
from app.components import answers, token_view
from lorif_core.journal.entries import ExampleEvent
from lorif_core.views import tokens as payloads
from lorif_core.views.decision_words import DONE_WORDS, counted_texts
from lorif_core.views.hits import Hit
from lorif_core.views.text import visible
from lorif_core.views.tokens import signed
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.curation.choice import Choice
from lorif_core.workspace.datasets.datasets import ShownText
from lorif_core.workspace.studio.beside_answers import Appearance, appearances


class Cause(NamedTuple):
    """What brought a text to the queue."""

    shown: ShownText
    events: Sequence[ExampleEvent]
    """What people decided about it, newest first."""

    found: Sequence[Appearance]
    """Every kept question that lists it, the highest rank first."""

    query_id: str | None
    """The question that brought it here: of the queue, of the decision that put it there, else its best rank."""


def cause_of(train_id: str, choice: Choice, dataset: str) -> Cause:
    """Why a text is in the queue of a choice."""
    workspace = session.workspace()
    (shown,) = workspace.data.texts([train_id], dataset)
    events = workspace.decisions.events_of(train_id, dataset=dataset)
    found = appearances(workspace, train_id, dataset)
    known = [one.query_id for one in found]
    wanted = [choice.query, *(event.batch.query_id for event in events if not event.is_undone), *known]
    return Cause(shown, events, found, next((one for one in wanted if one in known), None))


def draw(cause: Cause, choice: Choice, status: str, reason: str | None) -> None:
    """The reason that it is here, the question with what was said, and the text with its heat."""
    answer = answers.reopened(cause.query_id) if cause.query_id is not None else None
    hit = _hit(answer, cause.shown.train_id)
    with st.container(border=True, key="review-text", gap="small"):
        st.text(visible(_because(cause, choice)))
        if answer is not None and hit is not None:
            question = answer.question
            token_view.draw(
                payloads.asked(question.prompt, question.completion or "", question.contrast), key="review-question"
            )
            side = "support" if hit.score >= 0 else "oppose"
            st.text(f"Rank {hit.rank} of the texts that {side} it · score {signed(hit.score)}")
        if hit is not None and hit.tokens:
            token_view.draw(payloads.heated(payloads.words_of_hit(hit), hit), key="review-heated")
            token_view.legend(key="review-legend")
        else:
            token_view.text(cause.shown.text, key="review-literal")
        st.text(visible(f"{cause.shown.train_id} · {status}" + (f" · {reason}" if reason else "")))


def _because(cause: Cause, choice: Choice) -> str:
    if choice.source == "query":
        return f"It is here because it ranks among the top {choice.k} of question {choice.query}."
    if choice.source == "condition":
        return f"It is here because of the condition {choice.where}"
    if choice.source == "share":
        return "It is here because it is part of your share."
    for event in cause.events:
        if event.batch.kind in ("flag", "exclude") and not event.is_undone:
            batch = event.batch
            rest = batch.num_events - 1
            with_others = f" with {counted_texts(rest).replace('text', 'other text')}" if rest else ""
            done = f"{DONE_WORDS[batch.kind]} it{with_others}" + (f" as {batch.reason}" if batch.reason else "")
            comment = f": {batch.text}" if batch.text else ""
            return f"It is here because {batch.actor} {done} on {batch.at:%Y-%m-%d at %H:%M} UTC{comment}"
    return "It is here because a link named it."


def others(cause: Cause) -> None:
    """Other questions that rank it, each opened by a click."""
    rest = [one for one in cause.found if one.query_id != cause.query_id]
    st.markdown("**Other questions that it ranks for**")
    if not rest:
        st.text("None of the questions asked so far.")
        return
    chosen = st.dataframe(
        {
            "rank": [one.rank for one in rest],
            "side": [one.side for one in rest],
            "score": [signed(one.score) for one in rest],
            "question": [visible(f"{one.prompt} ▸ {one.completion.strip()}") for one in rest],
        },
        hide_index=True,
        key=session.table_key("review-others", [cause.shown.train_id, *(one.query_id for one in rest)]),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "rank": st.column_config.NumberColumn(width=50),
            "side": st.column_config.TextColumn(width=75),
        },
        alt="Other questions in whose lists the text is; select one to open it",
    )
    if rows := chosen["selection"]["rows"]:
        target = st.session_state.get("pages", {}).get("investigate")
        if target is not None:
            st.switch_page(target, query_params={"query": rest[rows[0]].query_id, "open": cause.shown.train_id})


def _hit(answer: Answer | None, train_id: str) -> Hit | None:
    return next((hit for hit in answer.hits if hit.train_id == train_id), None) if answer is not None else None
