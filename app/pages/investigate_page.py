"""Investigate: ask why the model said something, read the training texts behind it, decide."""

import streamlit as st

from app import session
from app.components import (
    answer_header,
    answer_style,
    asking_stages,
    context_choice,
    decide,
    earlier_questions,
    hit_lists,
    question_form,
    text_reader,
)
from app.components.answers import context_of, finished_question, shown_answer
from lorif_core.workspace.asking.answer import Answer


def page() -> None:
    """Draw the page."""
    answer_style.draw()
    with session.errors():
        finished_question()
    with session.errors():
        answer = shown_answer()
        question_form.seed(answer)
        asking, results = st.columns([4, 9], gap="medium")
        with asking, session.errors():
            question_form.draw()
        with results, session.errors():
            if asking_stages.is_waiting():
                asking_stages.waiting()
            elif answer is None:
                earlier_questions.draw()
            else:
                _answer(answer)


def _answer(answer: Answer) -> None:
    with st.container(key="answer"):
        context_choice.notice(answer.index_id, key="answer")
        context = context_of(answer)
        answer_header.draw(answer, context)
        shown = hit_lists.draw(answer, context)
    if not decide.is_asking():
        text_reader.draw(answer, shown)
