"""Figures of a team's work."""

from datetime import datetime, time, timedelta

import plotly.graph_objects as go
import polars as pl

from lorif_core.views.text import visible

PEOPLE_COLOURS = ("#2f6fde", "#d9661f", "#2a9d6f", "#8b6ad0", "#c2438a", "#7a8594")
"""One a person; the last is of all who come after."""

OTHERS = "others"

DAY_MS = 86_400_000

LEAST_DAYS = 14
"""Days on the axis, so that the first day is a bar and no wall."""


def days_figure(every_day: pl.DataFrame) -> go.Figure:
    """Decisions a day, a colour a person; those of the people with the fewest are one bar together.

    Args:
        every_day: day, person, num_texts, of ``workspace.team.who_decided.every_day``.
    """
    most = (
        every_day.group_by("person")
        .agg(pl.col("num_texts").sum())
        .sort(["num_texts", "person"], descending=[True, False])
    )
    named = most["person"].to_list()[: len(PEOPLE_COLOURS) - 1]
    figure = go.Figure()
    for person, colour in zip([*named, OTHERS], PEOPLE_COLOURS, strict=False):
        is_theirs = pl.col("person") == person if person in named else ~pl.col("person").is_in(named)
        days = every_day.filter(is_theirs).group_by("day").agg(pl.col("num_texts").sum()).sort("day")
        if not days.is_empty():
            figure.add_bar(
                x=days["day"].to_list(),
                y=days["num_texts"].to_list(),
                name=visible(person),
                width=DAY_MS * 0.75,  # a day alone would be a hair
                marker={"color": colour, "line_width": 0},
                hovertemplate="%{x|%Y-%m-%d}<br>%{y:,} texts<extra>%{fullData.name}</extra>",
            )
    if not every_day.is_empty():
        first, last = (datetime.combine(day, time(12)) for day in (every_day["day"][0], every_day["day"][-1]))
        begin = min(first, last - timedelta(days=LEAST_DAYS - 1))
        figure.update_xaxes(range=[begin - timedelta(days=1), last])
    figure.update_layout(
        barmode="stack",
        height=240,
        margin={"l": 4, "r": 4, "t": 30, "b": 4},
        showlegend=True,
        legend={"orientation": "h", "traceorder": "normal", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={"type": "date", "tickformat": "%b %d", "nticks": 10},
        yaxis={"title": {"text": "texts decided", "font": {"size": 12}}, "nticks": 5, "tickformat": ",d"},
    )
    return figure
