"""Figures of the scores of all examples on one question."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

BINS = 61
SUPPORTS, OPPOSES = "#2f6fde", "#d9661f"


def score_bins(scores: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How many scores lie between which edges: counts (B,), edges (B + 1,)."""
    if not len(scores):
        return np.zeros(1, dtype=np.int64), np.array([-1.0, 1.0])
    counts, edges = np.histogram(scores, bins=BINS)
    return counts, edges.astype(np.float64)


def score_histogram(scores: NDArray[np.float32], cut_off: float | None, opposing_cut_off: float | None) -> go.Figure:
    """How many examples have which score, with the scores at which the lists end.

    The counts are on a logarithmic axis: scores are heavy-tailed, and the few that matter would not show.

    Args:
        scores: Of all examples, (N,).
        cut_off: Smallest score of the supporting list; None when it is empty.
        opposing_cut_off: Largest score of the opposing list; None when it is empty.
    """
    counts, edges = score_bins(scores)
    middles = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=counts,
            width=np.diff(edges),
            marker={"color": np.where(middles >= 0, SUPPORTS, OPPOSES), "line_width": 0},
            hovertemplate="score about %{x:.3g}<br>%{y:,} texts<extra></extra>",
        )
    )
    for place, word in ((cut_off, "list begins"), (opposing_cut_off, "list begins")):
        if place is not None:
            figure.add_vline(
                x=place,
                line={"width": 1.5, "dash": "dot", "color": "#8a8f98"},
                annotation={"text": word, "font": {"size": 11}},
                annotation_position="top right" if place >= 0 else "top left",
            )
    figure.update_layout(
        height=170,
        margin={"l": 4, "r": 4, "t": 22, "b": 4},
        bargap=0.05,
        showlegend=False,
        xaxis={"title": {"text": "score (opposes < 0 < supports)", "font": {"size": 12}}},
        yaxis={"type": "log", "title": {"text": "texts", "font": {"size": 12}}, "nticks": 4, "tickformat": ",d"},
    )
    return figure
