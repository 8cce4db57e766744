"""The answer in one line: question, completion, how many texts were scored, whether the scores can be trusted."""

from typing import Literal

import streamlit as st

from app import session
from app.components import answer_details, compare_methods, token_view
from app.components.answers import Context
from lorif_core.views.text import counted, visible
from lorif_core.views.tokens import asked
from lorif_core.workspace.asking.answer import Answer

TRUST_COLOURS: dict[str, Literal["gray", "green", "red"]] = {
    "not checked": "gray",
    "checked": "green",
    "doubtful": "red",
}
TRUST_MARKS = {"not checked": "?", "checked": "✓", "doubtful": "⚠"}


def draw(answer: Answer, context: Context) -> None:
    """The line, and below it what a reader has to know of this answer."""
    question = answer.question
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="answer-line"):
        with st.container(key="question"):
            token_view.draw(asked(question.prompt, question.said, question.contrast), key="question-text")
        done = "scored" if answer.fast_search is None else "searched"
        st.text(f"{counted(answer.num_scored, 'text')} {done}")
        trust = session.workspace().indexes.trust(answer.index_id)
        st.badge(f"{TRUST_MARKS[trust.level]} scores {trust.level}", color=TRUST_COLOURS[trust.level])
        compare_methods.draw(answer, context.dataset_id)
        answer_details.draw(answer, context, trust)
    if told := _remarks(answer):
        with st.container(key="remarks"):
            st.text(" · ".join(told), width="stretch")


def _remarks(answer: Answer) -> list[str]:
    """What was chosen, cut, approximated or read back; where the list becomes noise stands in the list itself."""
    chosen = answer.question.tokens
    said = [] if chosen is None else [f"explains tokens {_ranges(chosen)}"]
    said += [one for one in answer.remarks() if one != answer.noise_note()]
    query_id, was_kept = st.session_state.get("was_kept", (None, False))
    said += ["asked before: read from cache"] if query_id == answer.query_id and was_kept else []
    before: Answer | None = st.session_state.get("before")
    if before is not None and before.query_id != answer.query_id and before.ids == answer.ids:
        said.append("same ranking as the question before")
    return [visible(one) for one in said]


def _ranges(places: tuple[int, ...]) -> str:
    """``3–6, 9`` for 3, 4, 5, 6, 9."""
    runs: list[list[int]] = []
    for place in sorted(places):
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
