"""Investigate, the home: ask why the model said something, read the training texts behind it, decide."""

import streamlit as st

from app import session
from app.components import answer_header, context_choice, decide, hit_lists, question_form, text_reader
from app.components.answers import finished_question, shown_answer


def page() -> None:
    """Draw the page."""
    with session.errors():
        finished_question()
    with session.errors():
        answer = shown_answer()
        question_form.seed(answer)
        asking, results = st.columns([4, 9], gap="medium")
        with asking, session.errors():
            question_form.draw()
        with results, session.errors():
            if question_form.is_waiting():
                question_form.waiting()
            elif answer is None:
                question_form.earlier_questions()
            else:
                context_choice.notice(answer.index_id, key="answer")
                answer_header.draw(answer)
                shown = hit_lists.draw(answer)
                if not decide.is_asking():
                    text_reader.draw(answer, shown)
