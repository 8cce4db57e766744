"""Compare: two questions side by side, which differ in completion, prompt, index or method."""

import streamlit as st

from app import session
from app.components import answer_style, asking_stages, compare_choice, compare_result


def page() -> None:
    """Draw the page."""
    answer_style.draw()
    session.title("Compare", "Two questions side by side: which texts both bring up, and how ranks change.")
    with session.errors():
        compare_choice.finished_variation()
    queries = [] if not session.datasets() else session.workspace().questions.records()
    if not queries:
        session.empty("No question was asked yet.", 'lorif ask {workspace} --prompt "…" --generate')
        return
    with session.errors():
        choice = compare_choice.choose(queries)
        if asking_stages.is_waiting():
            asking_stages.waiting()
        elif choice.b is None:
            st.text("Only one question was asked so far: compare it with a variation of it.")
        else:
            found = session.workspace().compare(choice.a, choice.b, side=choice.side, k=choice.k)
            compare_result.draw(found)
