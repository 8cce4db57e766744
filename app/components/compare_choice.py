"""Which two questions are compared, and a way to compare the first one with a variation of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from app import session
from app.components import ask_options, asking_stages
from app.components.answers import finished_answer, reopened
from app.components.review_queue import label_of
from lorif_core.catalog import QueryRecord
from lorif_core.views.text import visible
from lorif_core.workspace.asking.compare import Side
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.studio.ask_another_index import another_indexs_question

SIDES: dict[str, Side] = {"Supports": "supports", "Opposes": "opposes"}
LENGTHS = [10, 20, 50, 100]


class Choice(NamedTuple):
    """What the widgets say."""

    a: str
    """Id of a question."""

    b: str | None
    """Id of the other one; None when there is no other."""

    side: Side
    k: int


def finished_variation() -> None:
    """If a variation that was asked has its answer, it becomes B."""
    if (answer := finished_answer()) is not None:
        session.set_url(b=answer.query_id)


def choose(queries: Sequence[QueryRecord]) -> Choice:
    """Widgets for both questions, the side and the length; their state lies in the URL."""
    known = {record.query_id: record for record in reversed(queries)}
    a = _named("a", known) or _named_by(st.session_state.get("shown_query"), known) or _newest(known)
    b = _named("b", known) or _likeliest(known, a)
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare-choice"):
        a = _question("A", "a", a, known)
        b = _question("B", "b", b, known) if b is not None else None
        st.button("Swap", key="compare-swap", on_click=session.set_url, kwargs={"a": b, "b": a}, disabled=b is None)
        _variation(known[a])
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare-options"):
        side = st.segmented_control(
            "Texts that it", list(SIDES), default="Supports", required=True, key="side", bind="query-params"
        )
        k = st.segmented_control(
            "Length of the lists", LENGTHS, default=20, required=True, key="k", bind="query-params"
        )
    return Choice(a, b, SIDES[side or "Supports"], int(k or 20))


def _named(name: str, known: dict[str, QueryRecord]) -> str | None:
    return _named_by(st.query_params.get(name), known)


def _named_by(query_id: str | None, known: dict[str, QueryRecord]) -> str | None:
    return query_id if query_id in known else None


def _newest(known: dict[str, QueryRecord]) -> str:
    """The latest question to the data set on screen, else to any."""
    dataset = session.dataset_id()
    return next((one.query_id for one in known.values() if one.dataset_id == dataset), next(iter(known)))


def _likeliest(known: dict[str, QueryRecord], a: str) -> str | None:
    """The latest other question about the same data, rather one with the same prompt."""
    others = [one for one in known.values() if one.query_id != a and one.dataset_id == known[a].dataset_id]
    alike = [one for one in others if one.prompt == known[a].prompt]
    return next((one.query_id for one in [*alike, *others]), None)


def _question(label: str, name: str, chosen: str, known: dict[str, QueryRecord]) -> str:
    widget = f"compare-{name}-{chosen}"
    return st.selectbox(
        label,
        list(known),
        index=list(known).index(chosen),
        format_func=lambda one: label_of(known[one]),
        key=widget,
        on_change=lambda: session.set_url(**{name: st.session_state[widget]}),
        width=380,
    )


def _variation(record: QueryRecord) -> None:
    """The first question with something else: it becomes B when it is answered."""
    key = f"compare-{record.query_id}"
    with st.popover("Compare with…", key="compare-variation"):
        prompt = st.text_area("Prompt", record.prompt, height=80, key=f"{key}-prompt")
        completion = st.text_area(
            "Completion",
            record.completion,
            height=68,
            key=f"{key}-completion",
            help="Leave empty to let the model write it.",
        )
        names = {key: visible(name) for key, name in session.complete_indexes(record.dataset_id).items()}
        if not names:
            st.text("No index of this data is complete yet.")
            return
        place = list(names).index(record.index_id) if record.index_id in names else 0
        index_id = st.selectbox(
            "Index", list(names), index=place, format_func=lambda one: names[one], key=f"{key}-index"
        )
        scores = ask_options.NORMALISATIONS
        normalisation = st.selectbox(
            "Scores",
            list(scores),
            index=[str(one) for one in scores].index(record.normalisation),
            format_func=lambda one: scores[one],
            key=f"{key}-scores",
        )
        if st.button("Ask", type="primary", key="compare-ask", disabled=not prompt and not completion):
            asked = replace(of_index(record, index_id), k=LENGTHS[1], num_opposing=LENGTHS[1])
            asked = replace(asked, settings=replace(asked.scoring, normalisation=normalisation))
            asking_stages.ask(said(asked, record, prompt, completion))
            session.set_url(a=record.query_id)
            st.rerun()


def of_index(record: QueryRecord, index_id: str) -> Question:
    """A kept question as it is put to an index: with its chat, and whatever else is no box of the variation."""
    answer = reopened(record.query_id)
    return another_indexs_question(session.workspace(), answer, index_id, session.actor())


def said(asked: Question, record: QueryRecord, prompt: str, completion: str) -> Question:
    """The question with these words; others than before are explained as a whole."""
    if (prompt, completion) == (record.prompt, record.completion):
        return asked
    ends = asked.ends and bool(completion)
    return replace(asked, prompt=prompt, completion=completion or None, spoken=None, tokens=None, ends=ends)
