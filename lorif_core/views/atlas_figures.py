"""The map of an index as a Plotly figure for notebooks: a point per text, coloured by a column, clusters named."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import polars as pl

from lorif_core.views.removal_figures import literal

MAX_POINTS = 100_000
MAX_VALUES = 11
"""Values of a column with a colour of their own: the most frequent ones."""

COLOURS = (
    "#2f6fde", "#d9661f", "#3ca951", "#9467bd", "#c2447a", "#17858b",
    "#b7791f", "#5b8c00", "#7a5cc7", "#0f9fd0", "#a0522d", "#8a8f98",
)  # fmt: skip
SYMBOLS = (
    "circle", "diamond", "square", "triangle-up", "cross", "x",
    "star", "triangle-down", "pentagon", "hexagon", "bowtie", "circle-open",
)  # fmt: skip
"""The last of both is for all other values."""

OTHERS, MISSING = "all others", "(missing)"
START_CHARACTERS = 90
"""Of a text, shown where the pointer is."""

SIZES = ((1_000, 7), (5_000, 6), (20_000, 4.5), (100_000, 3))
"""Most points, and how large a point is then, in pixels."""


def sampled(points: pl.DataFrame, most: int = MAX_POINTS) -> pl.DataFrame:
    """The points that have a place, or an even sample of them that is always the same."""
    placed = points.filter(pl.col("x").is_not_null())
    return placed if len(placed) <= most else placed.sample(most, seed=0).sort("train_id")


def atlas_figure(
    points: pl.DataFrame,
    values: pl.Series,
    *,
    starts: Sequence[str] | None = None,
    names: Mapping[int, str] | None = None,
    is_signed: bool = False,
) -> go.Figure:
    """A WebGL scatter; a point's ``customdata`` is its train id.

    Args:
        points: train_id, x, y, cluster; every one with a place.
        values: What colours them, one per point.
        starts: How each text begins, to be shown where the pointer is; None: the ids are.
        names: Of the clusters, by number, to be written where most of their points lie.
        is_signed: Numbers are scores: two colours that meet at zero.
    """
    said = points["train_id"].to_list() if starts is None else [start_of(one) for one in starts]
    hovers = pl.Series([literal(one) for one in said])
    is_spread = values.dtype.is_numeric() and (is_signed or values.n_unique() > MAX_VALUES)
    traces = [_numbers(points, values, hovers, is_signed)] if is_spread else _groups(points, values, hovers)
    figure = _drawn(traces)
    for number, name in (names or {}).items():
        _write_name(figure, points.filter(pl.col("cluster") == number), name)
    return figure


def start_of(text: str) -> str:
    """How a text begins, on one line."""
    line = " ".join(text[: 2 * START_CHARACTERS].split())
    return line if len(line) <= START_CHARACTERS else f"{line[:START_CHARACTERS]}…"


def _groups(points: pl.DataFrame, values: pl.Series, hovers: pl.Series) -> list[go.Scattergl]:
    named = values.cast(pl.String).fill_null(MISSING)
    counts = named.value_counts(sort=True, name="count").sort(["count", named.name], descending=[True, False])
    known = counts[named.name].head(MAX_VALUES).to_list()
    shown = pl.Series([one if one in known else OTHERS for one in named], dtype=pl.String)
    return [
        _points(points.filter(shown == name), literal(name), hovers.filter(shown == name), len(points), place)
        for place, name in ((-1, OTHERS), *enumerate(known))
        if (shown == name).any()
    ]


def _points(points: pl.DataFrame, name: str, hovers: pl.Series, total: int, place: int) -> go.Scattergl:
    return go.Scattergl(
        x=points["x"].to_list(),
        y=points["y"].to_list(),
        customdata=points["train_id"].to_list(),
        text=hovers.to_list(),
        mode="markers",
        name=f"{name} ({len(points):,})",
        marker={"color": COLOURS[place], "symbol": SYMBOLS[place], "size": _size(total), "opacity": 0.7},
        hovertemplate="%{text}<extra>" + name + "</extra>",
    )


def _numbers(points: pl.DataFrame, values: pl.Series, hovers: pl.Series, is_signed: bool) -> go.Scattergl:
    numbers = values.cast(pl.Float64)
    # One far score would leave all others the colour of zero: the scale ends where one text in a hundred lies beyond.
    end = float(numbers.abs().quantile(0.99) or 0) or float(numbers.abs().max() or 1)  # type: ignore[arg-type]
    scale = (
        {"colorscale": [[0, "#c2500f"], [0.5, "#c9ccd1"], [1, "#1f5fd0"]], "cmin": -end, "cmax": end}
        if is_signed
        else {"colorscale": "Cividis"}
    )
    order = numbers.abs().fill_null(0).arg_sort() if is_signed else pl.Series(range(len(points)))
    drawn, ordered, told = points[order], numbers.gather(order), hovers.gather(order)
    return go.Scattergl(
        x=drawn["x"].to_list(),
        y=drawn["y"].to_list(),
        customdata=drawn["train_id"].to_list(),
        text=[
            f"{said}<br>{number:.4g}" if number is not None else said
            for said, number in zip(told, ordered, strict=True)
        ],
        mode="markers",
        marker={
            "color": ordered.to_list(),
            **scale,
            "size": _size(len(points)),
            "opacity": 0.8,
            "showscale": True,
            "colorbar": {"thickness": 10, "outlinewidth": 0, "x": 1.0},
        },
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _size(num_points: int) -> float:
    return next((size for most, size in SIZES if num_points <= most), SIZES[-1][1])


def _write_name(figure: go.Figure, points: pl.DataFrame, name: str) -> None:
    if points.is_empty():
        return
    figure.add_annotation(
        x=points["x"].median(),
        y=points["y"].median(),
        text=literal(name),
        showarrow=False,
        font={"size": 11},
        bgcolor="rgba(128,128,128,0.16)",
        borderpad=2,
        captureevents=False,
    )


def _drawn(traces: list[go.Scattergl]) -> go.Figure:
    figure = go.Figure(traces)
    blank = {"showticklabels": False, "zeroline": False, "showgrid": False, "ticks": ""}
    figure.update_layout(
        height=620,
        margin={"l": 2, "r": 2, "t": 26, "b": 2},  # the buttons stand above, so the legend stands below
        dragmode="lasso",
        hoverlabel={"align": "left"},
        legend={"orientation": "h", "y": -0.02, "yanchor": "top", "x": 0, "itemsizing": "constant"},
        xaxis=blank,
        yaxis=blank | {"scaleanchor": "x"},
    )
    return figure
