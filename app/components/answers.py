"""The answer on screen: which one the URL names, and what is derived from it, kept in memory."""

from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app import session
from app.background import tasks
from lorif_core.errors import ArtefactError
from lorif_core.views.hit_filters import statuses_of
from lorif_core.views.score_scale import BarScale, bar_scale, standing
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.studio import beside_answers as studio


class Context(NamedTuple):
    """What is drawn beside an answer."""

    dataset_id: str
    """Data set whose examples were ranked."""

    scores: NDArray[np.float32] | None
    """Of every example, sorted; None when they are gone."""

    statuses: dict[str, tuple[str, str | None]]
    """Train id → (status, reason); who is missing is kept."""

    scale: BarScale
    """Of the bars of both lists."""

    def status(self, train_id: str) -> str:
        """Present status of an example."""
        return self.statuses.get(train_id, ("kept", None))[0]

    def reason(self, train_id: str) -> str | None:
        """Why it has it."""
        return self.statuses.get(train_id, ("kept", None))[1]

    def decided(self, train_id: str) -> tuple[str, str | None]:
        """Present status of an example, and why it has it."""
        return self.statuses.get(train_id, ("kept", None))

    def standing(self, score: float) -> str | None:
        """Where a score stands among all, from its own end; None when they are gone."""
        return None if self.scores is None else standing(self.scores, score)


@st.cache_resource(max_entries=64, ttl=600, show_spinner=False)
def _reopened(path: str, query_id: str) -> Answer:
    return session.workspace().reopen(query_id)


def reopened(query_id: str) -> Answer:
    """The answer of a kept question, from memory if it was opened lately.

    Raises:
        CatalogError: There is no such question.
    """
    return _reopened(session.workspace_path(), query_id)


@st.cache_resource(max_entries=16, ttl=600, show_spinner=False)
def _sorted_scores(path: str, query_id: str) -> NDArray[np.float32]:
    return studio.sorted_scores(session.workspace(), query_id)


@st.cache_data(max_entries=256, show_spinner=False)
def _dataset_at(path: str, index_id: str) -> str:
    return next(one.dataset_id for one in session.workspace().indexes.records() if one.index_id == index_id)


def dataset_of(index_id: str) -> str:
    """Id of the data set that an index ranks."""
    return _dataset_at(session.workspace_path(), index_id)


def shown_answer() -> Answer | None:
    """The answer that the URL names; the last one of this tab when one comes back to the page.

    Raises:
        CatalogError: There is no such question.
    """
    query_id = st.query_params.get("query") or st.session_state.get("shown_query")
    if query_id is None:
        return None
    st.session_state.pop("shown_query", None)  # not again if it cannot be opened
    answer = _reopened(session.workspace_path(), query_id)
    st.session_state["shown_query"] = query_id
    session.set_url(query=query_id)
    return answer


@st.cache_resource(show_spinner=False)
def _finished(path: str) -> dict[str, str]:
    """Task → the question that it answered, for a second tab that waits for the same one."""
    return {}


def finished_answer() -> Answer | None:
    """The answer of the question that the URL says is being asked, once; None while there is none."""
    task_id = st.query_params.get("asking")
    task = tasks().find(task_id) if task_id else None
    if task is not None and not task.is_done:
        return None
    session.set_url(asking=None)
    finished = _finished(session.workspace_path())
    if task is None:
        query_id = finished.get(task_id or "")
        return None if query_id is None else reopened(query_id)
    tasks().forget(task.task_id)
    answer: Answer = task.result()
    _reopened.clear(session.workspace_path(), answer.query_id)
    _sorted_scores.clear(session.workspace_path(), answer.query_id)
    if answer.query_id is not None:
        finished[task.task_id] = answer.query_id
    return answer


def finished_question() -> None:
    """If the question that the URL says is being asked has its answer, name that in the URL instead."""
    if (answer := finished_answer()) is None:
        return
    before = st.session_state.get("shown_query")
    if before is not None and before != answer.query_id:
        st.session_state["before"] = _reopened(session.workspace_path(), before)
    st.session_state["was_kept"] = (answer.query_id, answer.is_kept)
    session.set_url(query=answer.query_id, open=None)


def context_of(answer: Answer) -> Context:
    """What is drawn beside an answer."""
    path, dataset = session.workspace_path(), dataset_of(answer.index_id)
    assert answer.query_id is not None  # the page shows kept questions
    try:
        scores = _sorted_scores(path, answer.query_id)
    except ArtefactError:
        scores = None
    return Context(
        dataset_id=dataset,
        scores=scores,
        statuses=statuses_of(session.workspace().decisions.states(dataset=dataset)),
        scale=bar_scale(answer.hits),
    )
