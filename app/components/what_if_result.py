"""What a removal is predicted to do to kept questions: counts, a warning, bars and a table."""

from typing import TYPE_CHECKING

import streamlit as st

from app import session
from lorif_core.views.removal_figures import MAX_BARS
from lorif_core.views.text import visible
from lorif_core.views.tokens import signed

if TYPE_CHECKING:
    from lorif_core.workspace.curation.removing import PredictedChange, Verification, VerifiedChange, WhatIf

MAX_CELL = 120


def predicted(found: "WhatIf") -> None:
    """The whole prediction."""
    controls = [change for change in found.queries if change.role == "control"]
    harmed = [change for change in found.harmed if change.role == "control"]
    with st.container(horizontal=True, key="what-if-counts"):
        st.metric("Texts removed", f"{len(found.train_ids):,}")
        st.metric("Helped", f"{len(found.helped):,}", help="Targets whose completion gets less likely.")
        st.metric(
            "Harmed",
            f"{len(found.harmed):,}",
            help="Controls whose completion gets less likely, and targets whose gets more likely.",
        )
        st.metric("Control questions", f"{len(controls):,}", help="Their completions shall stay as they are.")
    if harmed:
        worst = min(harmed, key=lambda change: change.change)
        with st.container(border=True, key="what-if-warning"):
            st.text(
                f"⚠ Collateral damage: {len(harmed):,} of {len(controls):,} control questions lose support, question "
                f"#{worst.query_id} the most ({signed(worst.change)} nats). Look before you exclude these texts."
            )
    elif not controls:
        st.text("There is no control question: ask some that shall stay as they are, to see collateral damage.")
    st.plotly_chart(
        found.figure(),
        key="what-if-bars",
        config={"displayModeBar": False},
        alt="Predicted change of every question's completion; the table below has the numbers",
    )
    if len(found.queries) > MAX_BARS:
        st.caption(f"The {MAX_BARS} questions that change the most; the table has all {len(found.queries):,}.")
    _table(found.queries)
    st.caption(
        "Predicted from influence, in nats of the completion's log-probability. A target is helped when its "
        "completion gets less likely, a control is harmed by that. The order of the questions counts; the size is "
        "exaggerated: verify to measure it."
    )


def verified(found: "Verification") -> None:
    """What training again did, beside the prediction."""
    with st.container(horizontal=True, key="what-if-verified"):
        st.metric("Questions", f"{len(found.queries):,}")
        correlation = "—" if found.rank_correlation is None else f"{found.rank_correlation:.2f}"
        st.metric("Rank correlation", correlation, help="Spearman, of predicted and actual change.")
        st.metric("Two trainings took", f"{found.elapsed_s:.0f} s")
    st.plotly_chart(
        found.figure(),
        key="what-if-scatter",
        config={"displayModeBar": False},
        alt="Predicted against actual change; the table below has the numbers",
    )
    _verified_table(found.queries)


def _table(changes: "list[PredictedChange]") -> None:
    st.dataframe(
        {
            "question": [f"#{change.query_id}" for change in changes],
            "role": [change.role for change in changes],
            "prompt": [_cell(change.prompt) for change in changes],
            "completion": [_cell(change.completion) for change in changes],
            "change": [change.change for change in changes],
            "outcome": [change.outcome for change in changes],
        },
        hide_index=True,
        column_config={"change": st.column_config.NumberColumn("change, nats", format="%+.3f")},
        key=session.table_key("what-if-table", [change.query_id for change in changes]),
        alt="Predicted change of every question",
    )


def _verified_table(changes: "list[VerifiedChange]") -> None:
    st.dataframe(
        {
            "question": [f"#{change.query_id}" for change in changes],
            "prompt": [_cell(change.prompt) for change in changes],
            "completion": [_cell(change.completion) for change in changes],
            "predicted": [change.predicted for change in changes],
            "actual": [change.actual for change in changes],
            "answer with": [_cell(change.answer_with) for change in changes],
            "answer without": [_cell(change.answer_without) for change in changes],
        },
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%+.3f") for name in ("predicted", "actual")},
        key=session.table_key("what-if-verified-table", [change.query_id for change in changes]),
        alt="Predicted and actual change of every question, with what both models say",
    )


def _cell(text: str) -> str:
    return visible(text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…")
