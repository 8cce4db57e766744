"""Two questions compared: the questions, how alike the rankings are, the lists with their texts."""

import polars as pl
import streamlit as st

from app import session
from app.components import compare_lists, token_view
from lorif_core.views import tokens as payloads
from lorif_core.views.comparisons import rank_lines
from lorif_core.views.tokens import diff
from lorif_core.workspace.asking.compare import Comparison

SURELY_SAME = 0.9999
"""Rank correlation of one scoring with itself, up to rounding."""

WORDS = {
    "index_id": "index",
    "tokens": "chosen tokens",
    "contrast": "what it is compared with",
    "normalisation": "scores",
}


def draw(found: Comparison) -> None:
    """Everything."""
    _questions(found)
    _figures(found)
    left, right = st.columns([5, 7], gap="medium")
    with left:
        st.plotly_chart(
            rank_lines(found.rank_changes),
            key="compare-lines",
            config={"displayModeBar": False},
            alt="Rank of each text for A and for B; the lists beside it have the numbers",
        )
        st.caption("Ranks count all texts of the data; 1 is the strongest. A line per text of either list.")
    with right:
        compare_lists.draw(found)


def _questions(found: Comparison) -> None:
    for column, name, asked in zip(st.columns(2, gap="medium"), "AB", (found.a, found.b), strict=True):
        with column, st.container(border=True, key=f"compare-question-{name}", gap="xsmall"):
            payload = payloads.asked(asked.prompt, asked.completion, asked.contrast)
            token_view.draw(payload, key=f"compare-said-{name}")
            with st.container(key=f"compare-quiet-{name}"):
                scores = "scores in nats" if asked.normalisation == "none" else f"{asked.normalisation} scores"
                st.text(
                    f"{name} · question {asked.query_id} · {session.index_name(asked.index_id)} · {scores} · "
                    f"{asked.objective} {asked.objective_value:.3f} nats"
                )
    with st.container(key="compare-differences", gap="xsmall"):
        names = [WORDS.get(one, one) for one in found.differences]
        st.text(f"They differ in: {', '.join(names)}" if names else _same(found))
        for name, pieces in (("prompt", found.prompt_diff), ("completion", found.completion_diff)):
            if name in found.differences:
                token_view.draw(diff(pieces), key=f"compare-diff-{name}")


def _same(found: Comparison) -> str:
    same = "It is the same question twice"
    if found.rank_correlation is None or found.rank_correlation > SURELY_SAME:
        return f"{same}."
    return f"{same}, scored with other settings, such as the refinement."


def _figures(found: Comparison) -> None:
    size = max(len(found.shared) + max(len(found.only_a), len(found.only_b)), 1)
    correlation = "—" if found.rank_correlation is None else f"{found.rank_correlation:+.3f}"
    with st.container(horizontal=True, gap="medium", key="compare-figures"):
        st.metric("In both lists", f"{len(found.shared)} of {size}", width="content")
        st.metric("Only in A", str(len(found.only_a)), width="content")
        st.metric("Only in B", str(len(found.only_b)), width="content")
        st.metric(
            "Rank correlation",
            correlation,
            width="content",
            help="Spearman, of the scores of all texts: +1 the same order, 0 unrelated, −1 reversed.",
        )
        st.metric("Texts ranked by both", f"{found.num_common:,}", width="content")
        farthest = found.rank_changes.select((pl.col("rank_a") - pl.col("rank_b")).abs().max()).item()
        if farthest is not None:
            st.metric("Largest change of rank", f"{farthest:,}", width="content")
