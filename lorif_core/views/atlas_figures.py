"""The map of an index as a scatter: one point per text, coloured and shaped by a column."""

import plotly.graph_objects as go
import polars as pl

from lorif_core.views.removal_figures import literal

MAX_POINTS = 100_000
MAX_VALUES = 8
"""Values of a column with a colour and a symbol of their own: the most frequent ones."""

COLOURS = ("#2f6fde", "#d9661f", "#3ca951", "#9467bd", "#b7791f", "#c2447a", "#17858b", "#7a6a58", "#8a8f98")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "triangle-down", "circle-open")
"""The last of both is for all other values."""

OTHERS, MISSING = "all others", "(missing)"


def sampled(points: pl.DataFrame, most: int = MAX_POINTS) -> pl.DataFrame:
    """The points, or an even sample of them that is always the same."""
    return points if len(points) <= most else points.sample(most, seed=0).sort("train_id")


def atlas_scatter(points: pl.DataFrame, values: pl.Series) -> go.Figure:
    """A WebGL scatter; a point's ``customdata`` is its train id.

    Args:
        points: train_id, x, y.
        values: Of the column that colours them, one per point.
    """
    if values.dtype.is_numeric() and values.n_unique() > MAX_VALUES:
        return _drawn([_numbers(points, values)])
    named = values.cast(pl.String).fill_null(MISSING)
    counts = named.value_counts(sort=True, name="count").sort(["count", named.name], descending=[True, False])
    known = counts[named.name].head(MAX_VALUES).to_list()
    shown = pl.Series([one if one in known else OTHERS for one in named])
    return _drawn(
        [
            _points(points.filter(shown == name), literal(name), place if name != OTHERS else -1)
            for place, name in enumerate([*known, OTHERS])
            if (shown == name).any()
        ]
    )


def _points(points: pl.DataFrame, name: str, place: int) -> go.Scattergl:
    return go.Scattergl(
        x=points["x"].to_list(),
        y=points["y"].to_list(),
        customdata=points["train_id"].to_list(),
        text=[literal(one) for one in points["train_id"]],
        mode="markers",
        name=f"{name} ({len(points):,})",
        marker={"color": COLOURS[place], "symbol": SYMBOLS[place], "size": 6, "opacity": 0.75},
        hovertemplate="%{text}<extra>" + name + "</extra>",
    )


def _numbers(points: pl.DataFrame, values: pl.Series) -> go.Scattergl:
    return go.Scattergl(
        x=points["x"].to_list(),
        y=points["y"].to_list(),
        customdata=points["train_id"].to_list(),
        text=[f"{literal(one)}: {value}" for one, value in zip(points["train_id"], values, strict=True)],
        mode="markers",
        marker={
            "color": values.cast(pl.Float64).to_list(),
            "colorscale": "Cividis",
            "size": 6,
            "opacity": 0.75,
            "showscale": True,
            "colorbar": {"thickness": 12},
        },
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _drawn(traces: list[go.Scattergl]) -> go.Figure:
    figure = go.Figure(traces)
    figure.update_layout(
        height=560,
        margin={"l": 4, "r": 4, "t": 30, "b": 4},  # the buttons stand above, so the legend stands below
        dragmode="lasso",
        legend={"orientation": "h", "y": -0.1, "yanchor": "top", "x": 0},
        xaxis={"showticklabels": False, "zeroline": False, "title": {"text": "first direction"}},
        yaxis={"showticklabels": False, "zeroline": False, "title": {"text": "second direction"}},
    )
    return figure
