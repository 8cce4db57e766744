"""What an answer rests on: how much was scored, how long it took, how concentrated the influence is."""

from typing import Literal

import streamlit as st

from app import session
from app.components import compare_methods, token_view
from app.components.answers import Context, context_of
from lorif_core.views.hits import SIGN_CONVENTION
from lorif_core.views.score_figures import score_histogram
from lorif_core.views.tables import human_seconds
from lorif_core.views.text import visible
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.studio import beside_answers as studio

OBJECTIVES = {
    "loss": "In nats: −log p of the completion under the model; small when the model would say it.",
    "margin": "In nats: log p − log(1 − p) of the completion; above 0 when it is likelier than everything else.",
    "contrast": "In nats: log p(A) − log p(B); above 0 when the model prefers the first completion.",
}
"""What the value of an objective is."""


GONE = "The scores of all texts are gone; ask again"


def draw(answer: Answer) -> None:
    """The question, the facts, the histogram."""
    context = context_of(answer)
    _question(answer)
    facts, figure = st.columns([6, 5], gap="medium")
    with facts:
        _facts(answer, context)
    with figure:
        if context.scores is None:
            is_fast = answer.fast_search is not None
            why = "A fast search does not score all texts; ask exactly" if is_fast else GONE
            st.text(f"{why} to see how they are spread.")
        else:
            st.plotly_chart(
                score_histogram(
                    context.scores,
                    answer.supports[-1].score if answer.supports else None,
                    answer.opposes[-1].score if answer.opposes else None,
                ),
                key="score-histogram",
                config={"displayModeBar": False},
            )


def _question(answer: Answer) -> None:
    asked = answer.question
    text = f"{asked.prompt} ▸{asked.completion}"
    if asked.contrast is not None:
        text += f"\nrather than ▸{asked.contrast}"
    with st.container(key="question"):
        token_view.text(text, key="question-text")


def _facts(answer: Answer, context: Context) -> None:
    with st.container(horizontal=True, gap="small", key="facts"):
        st.metric(
            "Texts scored" if answer.fast_search is None else "Texts searched",
            f"{answer.num_scored:,}",
            width="content",
        )
        st.metric("Took", human_seconds(answer.elapsed_s), width="content")
        if context.scores is not None:
            share = studio.list_shares(context.scores, answer)
            st.metric(
                "Lists hold",
                f"{share:.0%}",
                width="content",
                help="Of the summed sizes of all scores. A high share means that few texts matter.",
            )
        st.metric(
            "Objective",
            f"{answer.objective_value:.3f}",
            width="content",
            help=OBJECTIVES[answer.objective],
        )
    with st.container(key="remarks"):
        st.text(" · ".join(_remarks(answer)), width="stretch")
    with st.container(horizontal=True, vertical_alignment="center", key="answer-tools"):
        _trust(answer.index_id)
        compare_methods.draw(answer, context.dataset_id)
        with st.popover("Copy as Python", type="tertiary"):
            st.code(studio.answer_as_python(session.workspace(), answer), language="python")
        with st.popover("What a score means", type="tertiary"):
            st.text(SIGN_CONVENTION)


def _remarks(answer: Answer) -> list[str]:
    said = [f"query {answer.query_id}", f"objective {answer.objective}", f"index {answer.index_id}"]
    chosen = answer.question.tokens
    said.insert(0, "explains all tokens" if chosen is None else f"explains tokens {_ranges(chosen)}")
    said += [*([] if answer.members is None else [answer.members]), *answer.remarks()]
    query_id, was_kept = st.session_state.get("was_kept", (None, True))
    if query_id != answer.query_id or was_kept:
        said.append("kept earlier, read from cache")
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


TRUST_COLOURS: dict[str, Literal["gray", "green", "red"]] = {
    "not checked": "gray",
    "checked": "green",
    "doubtful": "red",
}
TRUST_MARKS = {"not checked": "?", "checked": "✓", "doubtful": "⚠"}


def _trust(index_id: str) -> None:
    """One word on the scores of the index, and the measurements behind it."""
    found = session.workspace().indexes.trust(index_id)
    st.badge(f"{TRUST_MARKS[found.level]} scores {found.level}", color=TRUST_COLOURS[found.level])
    with st.popover("Why", type="tertiary", key="trust"):
        if not found.checks:
            st.text("Nobody has measured yet how good the scores of this index are. A quick check is")
            st.code("lorif evaluate fidelity WORKSPACE --queries FILE", language=None)
        for check in found.checks:
            mark = TRUST_MARKS["checked" if check.is_passed else "doubtful"]
            st.text(visible(f"{mark} {check.meaning} (chance: {check.chance:.3g})"))
        has_lds = any(check.kind == "lds" for check in found.checks)
        if (page := st.session_state.get("pages", {}).get("indexes")) is not None:
            label = "All lines of that evaluation" if has_lds else "How to compare them with retrained models"
            st.page_link(page, label=label, query_params={"tab": "Indexes", "ix": index_id})
