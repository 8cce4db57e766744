"""Histograms of metadata columns, to be clicked."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import plotly.graph_objects as go

from lorif_core.corpus.facets import Bin, HistogramFacet
from lorif_core.views.shown_values import bin_text
from lorif_core.views.text import visible

BAR = "#2f6fde"


def histogram(facet: HistogramFacet, zone: str | None = None) -> go.Figure:
    """How many examples have which number or time; a bar's ``customdata`` is its place among the bins.

    Args:
        facet: Its bins.
        zone: IANA name of the person's time zone; None: that of this process.
    """
    ends = [(_place(one.range.minimum), _place(one.range.maximum)) for one in facet.bins]
    middles = [low + (high - low) / 2 for low, high in ends]
    widths = [_width(high - low) for low, high in ends]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=[one.count for one in facet.bins],
            width=[width or 1 for width in widths],
            customdata=list(range(len(middles))),
            marker={"color": BAR, "line_width": 0},
            hovertext=[visible(bin_text(facet, one, zone)) for one in facet.bins],
            hovertemplate="%{hovertext}<br>%{y:,} texts<extra></extra>",
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
        xaxis={"nticks": 5, "tickformat": "%H:%M"} if facet.type == "time" else {"nticks": 5},
    )
    return figure


def chosen_bins(facet: HistogramFacet, places: Sequence[int]) -> list[Bin]:
    """The bins of clicked bars."""
    return [facet.bins[place] for place in places if 0 <= place < len(facet.bins)]


def _place(end: Any) -> Any:
    """Where an end of a bin lies on the axis: a number, or a date and time by the clock, which Plotly draws."""
    if isinstance(end, datetime):
        return end.replace(tzinfo=None)
    if isinstance(end, date):
        return datetime(end.year, end.month, end.day)
    if isinstance(end, time):
        return datetime.combine(date(1970, 1, 1), end)
    return end / timedelta(seconds=1) if isinstance(end, timedelta) else float(end)


def _width(length: Any) -> float:
    """Of a bar; times are measured in milliseconds."""
    return (length / timedelta(milliseconds=1) if isinstance(length, timedelta) else length) or 1
