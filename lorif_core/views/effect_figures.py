"""Figures of completions' probabilities: now and after a removal, and what was predicted against what came."""

from collections.abc import Sequence

import plotly.graph_objects as go

from lorif_core.views.removal_figures import COLOURS, literal

MAX_ROWS = 15
SYMBOLS = {"helped": "circle", "harmed": "diamond", "unchanged": "square"}
"""Beside the colour, so that the outcome is seen without it."""

RANGE = "rgba(138, 143, 152, .35)"
PER_CENT = {"tickformat": ".0%", "range": [-0.03, 1.03], "zeroline": False}


def effect_lines(
    query_ids: Sequence[str],
    labels: Sequence[str],
    now: Sequence[float],
    predicted: Sequence[float | None],
    ranges: Sequence[tuple[float | None, float | None]],
    outcomes: Sequence[str],
) -> go.Figure:
    """A line per completion from its probability now to the predicted one, with the range as a bar behind it.

    Those that move the most are on top, at most ``MAX_ROWS``; one whose prediction is not to be believed has none.

    Args:
        query_ids: On the axis.
        labels: Prompt and completion, shown literally while hovering.
        now: Probabilities, from 0 to 1.
        predicted: The same after the removal; None: not to be believed.
        ranges: Low and high end; None: there is no range.
        outcomes: helped, harmed or unchanged.
    """
    moves = [1.0 if after is None else abs(after - before) for before, after in zip(now, predicted, strict=True)]
    order = sorted(range(len(now)), key=lambda place: (-moves[place], place))[:MAX_ROWS]
    figure = go.Figure()
    for place in order:
        _draw_row(figure, f"#{literal(query_ids[place])}", now[place], predicted[place], ranges[place])
    _draw_points(figure, order, query_ids, labels, now, predicted, outcomes)
    figure.update_layout(
        height=110 + 26 * len(order),
        margin={"l": 4, "r": 4, "t": 30, "b": 4},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": "probability of the completion"}, **PER_CENT},
        yaxis={
            "categoryorder": "array",
            "categoryarray": [f"#{literal(query_ids[place])}" for place in reversed(order)],
            "type": "category",
            "dtick": 1,
        },
    )
    return figure


def _draw_row(
    figure: go.Figure, name: str, now: float, after: float | None, between: tuple[float | None, float | None]
) -> None:
    beside = {"mode": "lines", "hoverinfo": "skip", "showlegend": False}
    low, high = between
    if low is not None and high is not None:
        figure.add_scatter(x=[low, high], y=[name, name], line={"width": 12, "color": RANGE}, **beside)
    if after is not None:
        figure.add_scatter(x=[now, after], y=[name, name], line={"width": 2, "color": COLOURS["unchanged"]}, **beside)


def _draw_points(
    figure: go.Figure,
    order: Sequence[int],
    query_ids: Sequence[str],
    labels: Sequence[str],
    now: Sequence[float],
    predicted: Sequence[float | None],
    outcomes: Sequence[str],
) -> None:
    hover = "%{customdata}<br>%{x:.2%}<extra></extra>"
    figure.add_scatter(
        name="now",
        mode="markers",
        x=[now[place] for place in order],
        y=[f"#{literal(query_ids[place])}" for place in order],
        customdata=[literal(labels[place]) for place in order],
        marker={"size": 11, "symbol": "circle-open", "line": {"width": 2}, "color": COLOURS["unchanged"]},
        hovertemplate=hover,
    )
    for outcome, colour in COLOURS.items():
        places = [place for place in order if outcomes[place] == outcome and predicted[place] is not None]
        if places:
            figure.add_scatter(
                name=f"predicted, {outcome}",
                mode="markers",
                x=[predicted[place] for place in places],
                y=[f"#{literal(query_ids[place])}" for place in places],
                customdata=[literal(labels[place]) for place in places],
                marker={"size": 11, "symbol": SYMBOLS[outcome], "color": colour},
                hovertemplate=hover,
            )


def predicted_against_actual_probability(
    query_ids: Sequence[str],
    labels: Sequence[str],
    predicted: Sequence[float],
    actual: Sequence[float],
    believable: Sequence[bool],
) -> go.Figure:
    """Predicted against actual probability, one point per verified question, with the line where they are equal.

    Args:
        query_ids: Told while hovering.
        labels: Prompt and completion, the same, literally.
        predicted: As it was predicted, from 0 to 1.
        actual: After training again, from 0 to 1.
        believable: Whether a prediction was one; the others are crosses at the end of the scale.
    """
    figure = go.Figure()
    for is_one, name, symbol in ((True, "verified", "circle"), (False, "prediction out of range", "x")):
        places = [place for place, one in enumerate(believable) if one == is_one]
        if places:
            figure.add_scatter(
                name=name,
                mode="markers",
                x=[predicted[place] for place in places],
                y=[actual[place] for place in places],
                customdata=[f"#{literal(query_ids[place])} {literal(labels[place])}" for place in places],
                marker={"size": 10, "symbol": symbol, "color": COLOURS["helped" if is_one else "harmed"]},
                hovertemplate="%{customdata}<br>predicted %{x:.2%}, actual %{y:.2%}<extra></extra>",
            )
    figure.add_scatter(
        name="predicted = actual",
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"dash": "dot", "width": 1, "color": COLOURS["unchanged"]},
        hoverinfo="skip",
    )
    figure.update_layout(
        height=380,
        margin={"l": 4, "r": 4, "t": 30, "b": 4},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": "predicted probability"}, **PER_CENT},
        yaxis={"title": {"text": "after training again"}, **PER_CENT},
    )
    return figure
