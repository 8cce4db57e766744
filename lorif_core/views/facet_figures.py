"""Histograms of metadata columns, to be clicked."""

from collections.abc import Sequence

import plotly.graph_objects as go

from lorif_core.corpus.facets import Bin, HistogramFacet

BAR = "#2f6fde"


def histogram(facet: HistogramFacet) -> go.Figure:
    """How many examples have which number; a bar's ``customdata`` is its place among the bins."""
    middles = [_middle(one) for one in facet.bins]
    widths = [(one.range.maximum or 0) - (one.range.minimum or 0) for one in facet.bins]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=[one.count for one in facet.bins],
            width=[width or 1 for width in widths],
            customdata=list(range(len(middles))),
            marker={"color": BAR, "line_width": 0},
            hovertemplate="about %{x:.4g}<br>%{y:,} texts<extra></extra>",
        )
    )
    figure.update_layout(
        height=150,
        margin={"l": 4, "r": 4, "t": 6, "b": 4},
        bargap=0.06,
        showlegend=False,
        dragmode="select",
        selectdirection="h",
        yaxis={"nticks": 3, "tickformat": ",d"},
        xaxis={"nticks": 5},
    )
    return figure


def chosen_bins(facet: HistogramFacet, places: Sequence[int]) -> list[Bin]:
    """The bins of clicked bars."""
    return [facet.bins[place] for place in places if 0 <= place < len(facet.bins)]


def _middle(one: Bin) -> float:
    return ((one.range.minimum or 0.0) + (one.range.maximum or 0.0)) / 2
