"""A question to an index of losses that has no model: one of those that came with its table."""

from dataclasses import replace

import streamlit as st

from app import session
from lorif_core.config import ScoreConfig
from lorif_core.views.text import visible
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.folder.index_losses import IndexLosses, KeptQuestion


@st.cache_data(ttl=5, show_spinner=False)
def _losses(path: str, index_id: str) -> IndexLosses | None:
    return session.workspace().indexes.losses(index_id)


def losses_without_a_model(index_id: str) -> IndexLosses | None:
    """What is known of an index that nobody can put a free question to; None: it has a model."""
    found = _losses(session.workspace_path(), index_id)
    return found if found is not None and found.is_imported else None


def draw(index_id: str, losses: IndexLosses) -> Question | None:
    """The choice among the questions of the table; None where it came without any."""
    st.caption(f"This index has no model: {losses.sentence}.")
    if not losses.questions:
        st.text(
            "Its table came without questions. Import it again with rows whose ids are no texts, or ask with "
            "`lorif ask … --losses FILE`."
        )
        return None
    known = {one.question_id: one for one in losses.questions}
    if st.session_state.get("ask-table") not in known:
        st.session_state["ask-table"] = next(iter(known))
    chosen = st.selectbox("Question", list(known), format_func=lambda one: _told(known[one]), key="ask-table")
    return Question(prompt="", question_id=str(chosen), index_id=index_id)


def as_asked(question: Question, length: int, scoring: ScoreConfig) -> Question:
    """The question with what the form says beside it."""
    return replace(question, settings=scoring, k=length, num_opposing=length, search="exact", actor=session.actor())


def _told(question: KeptQuestion) -> str:
    said = visible(f"{question.prompt} ▸{question.completion}" if question.completion else question.prompt)
    return said if question.question_id == question.prompt else f"{visible(question.question_id)}: {said}"
