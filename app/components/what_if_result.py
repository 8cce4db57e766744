"""What a removal is predicted to do to kept questions: probabilities now and then, gains, harms, ranges."""

from typing import TYPE_CHECKING

import streamlit as st

from app import session
from lorif_core.views.effect_figures import MAX_ROWS
from lorif_core.views.effect_text import completion_text, predicted_text, probability_text, range_text
from lorif_core.views.text import visible

if TYPE_CHECKING:
    from lorif_core.workspace.curation.removing import PredictedChange, Verification, VerifiedChange, WhatIf
    from lorif_core.workspace.curation.verifications import Verifications

MAX_CELL = 120
STYLE = """
<style>
.st-key-what-if-basis [data-testid="stText"], .st-key-what-if-time [data-testid="stText"] {
  font-size: .875rem; opacity: .8; }
</style>
"""


def predicted(found: "WhatIf") -> None:
    """The whole prediction."""
    targets = [change for change in found.queries if change.role == "target"]
    controls = [change for change in found.queries if change.role == "control"]
    _counts(found, controls)
    _warning(found, controls)
    with st.container(key="what-if-basis"):
        st.text(found.basis)
    st.html(STYLE)
    st.plotly_chart(
        found.figure(),
        key="what-if-lines",
        config={"displayModeBar": False},
        alt="Probability of every completion now and predicted; the tables below have the numbers",
    )
    if len(found.queries) > MAX_ROWS:
        st.caption(f"The {MAX_ROWS} questions that change the most; the tables have all {len(found.queries):,}.")
    st.markdown("**Completions you want to hear less**")
    _effects(targets, "what-if-targets-table", "Probability of every target now and predicted")
    st.markdown("**These completions should not change**")
    if controls:
        _effects(controls, "what-if-controls-table", "Probability of every control now and predicted")
    else:
        st.text("There is no other question to look after: ask some, to see what else would change.")
    _details(found)


def verified(found: "Verification") -> None:
    """What one verification found."""
    with st.container(horizontal=True, key="what-if-verified"):
        st.metric("Questions", f"{len(found.queries):,}")
        correlation = "—" if found.rank_correlation is None else f"{found.rank_correlation:.2f}"
        st.metric("Rank correlation", correlation, help="Spearman, of predicted and actual change.")
        st.metric("Two trainings took", f"{found.elapsed_s:.0f} s")
    _answers(found.queries)
    with st.expander("Details of this verification, in nats"):
        st.plotly_chart(
            found.figure(),
            key="what-if-scatter",
            config={"displayModeBar": False},
            alt="Predicted against actual change in nats; the table below has the numbers",
        )
        _verified_table(found.queries)


def all_verified(found: "Verifications") -> None:
    """Predicted against actual, of everything that was verified so far."""
    st.subheader("Predicted against actual", anchor=False)
    if not found.effects:
        with st.container(key="what-if-none-verified"):
            st.text("Nothing was verified yet. What you verify stays here, and gives predictions their range.")
        return
    figure, numbers = st.columns([2, 3])
    with figure:
        st.plotly_chart(
            found.figure(),
            key="what-if-all-verified",
            config={"displayModeBar": False},
            alt="Predicted against actual probability of every verified question; the table below has the numbers",
        )
    with numbers:
        newest = found.effects[::-1]
        st.dataframe(
            {
                "question": [f"#{one.query_id}" for one in newest],
                "completion": [
                    completion_text(_cell(one.completion), one.num_tokens, is_per_token=one.is_per_token)
                    for one in newest
                ],
                "texts removed": [one.num_removed for one in newest],
                "now": [probability_text(one.now) for one in newest],
                "predicted": [predicted_text(one.predicted, one.beyond) for one in newest],
                "actual": [probability_text(one.actual) for one in newest],
                "verified (UTC)": [f"{one.verified_at:%Y-%m-%d %H:%M}" for one in newest],
            },
            hide_index=True,
            key=session.table_key("what-if-all-verified-table", [one.query_id for one in newest]),
            alt="Predicted and actual probability of every verified question",
        )
    st.caption("Predictions as they were made, before any was multiplied by what was measured.")


def _counts(found: "WhatIf", controls: "list[PredictedChange]") -> None:
    with st.container(horizontal=True, key="what-if-counts"):
        st.metric("Texts removed", f"{len(found.train_ids):,}")
        st.metric("Helped", f"{len(found.helped):,}", help="Moves the way you want: less likely.")
        st.metric(
            "Harmed",
            f"{len(found.harmed):,}",
            help="Gets less likely although it should not change, or more likely although you want to hear it less.",
        )
        gains = sum(change.outcome == "helped" for change in controls)
        harms = sum(change.outcome == "harmed" for change in controls)
        st.metric(
            "Should not change",
            f"{len(controls):,}",
            help=f"{gains:,} get more likely, {harms:,} less likely, {len(controls) - gains - harms:,} stay.",
        )


def _warning(found: "WhatIf", controls: "list[PredictedChange]") -> None:
    harmed = [change for change in found.harmed if change.role == "control"]
    if not harmed:
        return
    worst = min(harmed, key=lambda change: change.change)
    with st.container(border=True, key="what-if-warning"):
        st.text(
            f"⚠ Collateral damage: {len(harmed):,} of {len(controls):,} completions that should not change get less "
            f"likely, that of question #{worst.query_id} the most. Look before you exclude these texts."
        )


def _effects(changes: "list[PredictedChange]", key: str, alt: str) -> None:
    effects = [change.effect for change in changes]
    shown = {
        "question": [f"#{change.query_id}" for change in changes],
        "prompt": [_cell(change.prompt) for change in changes],
        "completion": [
            completion_text(_cell(change.completion), effect.num_tokens, is_per_token=effect.is_per_token)
            for change, effect in zip(changes, effects, strict=True)
        ],
        "now": [probability_text(effect.now) for effect in effects],
        "predicted": [predicted_text(effect.predicted, effect.beyond) for effect in effects],
        "range": [range_text(effect.low, effect.high) for effect in effects],
        "effect": [_moves(change) for change in changes],
    }
    st.dataframe(shown, hide_index=True, key=session.table_key(key, [change.query_id for change in changes]), alt=alt)


def _moves(change: "PredictedChange") -> str:
    if change.outcome == "unchanged":
        return "stays"
    return "▼ less likely" if change.change < 0 else "▲ more likely"


def _details(found: "WhatIf") -> None:
    with st.expander("Details, in nats"):
        st.caption(
            "Predicted from influence, in nats of the completion's log-probability. The order of the questions "
            "counts; the size is exaggerated."
        )
        st.dataframe(
            {
                "question": [f"#{change.query_id}" for change in found.queries],
                "role": [change.role for change in found.queries],
                "change": [change.change for change in found.queries],
                "outcome": [change.outcome for change in found.queries],
            },
            hide_index=True,
            column_config={"change": st.column_config.NumberColumn("change, nats", format="%+.3f")},
            key=session.table_key("what-if-table", [change.query_id for change in found.queries]),
            alt="Predicted change of every question",
        )


def _answers(changes: "list[VerifiedChange]") -> None:
    st.dataframe(
        {
            "question": [f"#{change.query_id}" for change in changes],
            "prompt": [_cell(change.prompt) for change in changes],
            "answer with": [_cell(change.answer_with) for change in changes],
            "answer without": [_cell(change.answer_without) for change in changes],
        },
        hide_index=True,
        key=session.table_key("what-if-answers", [change.query_id for change in changes]),
        alt="What the models trained with and without the texts say",
    )


def _verified_table(changes: "list[VerifiedChange]") -> None:
    st.dataframe(
        {
            "question": [f"#{change.query_id}" for change in changes],
            "completion": [_cell(change.completion) for change in changes],
            "predicted": [change.predicted for change in changes],
            "actual": [change.actual for change in changes],
        },
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%+.3f") for name in ("predicted", "actual")},
        key=session.table_key("what-if-verified-table", [change.query_id for change in changes]),
        alt="Predicted and actual change of every question in nats",
    )


def _cell(text: str) -> str:
    return visible(text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…")
