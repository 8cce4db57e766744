"""Figures of a removal: what it is predicted to do to questions, and what it did."""

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from lorif_core.views.text import visible

COLOURS = {"helped": "#2f6fde", "harmed": "#d9661f", "unchanged": "#8a8f98"}
PATTERNS = {"helped": "", "harmed": "/", "unchanged": "."}
"""Beside the colour, so that the outcome is seen without it."""
MAX_BARS = 15
MAX_NAMED = 5
MAX_WORDS = 120


def change_bars(
    query_ids: Sequence[str], labels: Sequence[str], changes: Sequence[float], outcomes: Sequence[str]
) -> go.Figure:
    """Predicted change of every question's completion, the largest on top; at most ``MAX_BARS``.

    Args:
        query_ids: On the axis.
        labels: Prompt and completion, shown literally while hovering.
        changes: In nats.
        outcomes: helped, harmed or unchanged.
    """
    order = sorted(range(len(changes)), key=lambda place: (-abs(changes[place]), place))[:MAX_BARS]
    figure = go.Figure()
    for outcome, colour in COLOURS.items():
        places = [place for place in order if outcomes[place] == outcome]
        if places:
            figure.add_bar(
                name=outcome,
                orientation="h",
                y=[_axis_label(query_ids[place]) for place in places],
                x=[changes[place] for place in places],
                customdata=[literal(labels[place]) for place in places],
                marker={"color": colour, "pattern": {"shape": PATTERNS[outcome]}},
                hovertemplate="%{customdata}<br>%{x:+.3f} nats<extra>" + outcome + "</extra>",
            )
    figure.add_vline(x=0, line={"width": 1, "color": COLOURS["unchanged"]})
    figure.update_layout(
        height=110 + 20 * len(order),
        margin={"l": 4, "r": 4, "t": 30, "b": 4},
        bargap=0.25,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": "predicted change of the completion's log-probability, nats"}},
        yaxis={
            "categoryorder": "array",
            "categoryarray": [_axis_label(query_ids[place]) for place in reversed(order)],
            "type": "category",
            "dtick": 1,
        },
    )
    return figure


def predicted_against_actual(
    query_ids: Sequence[str], labels: Sequence[str], predicted: Sequence[float], actual: Sequence[float]
) -> go.Figure:
    """Predicted against actual change, one point per question, with the line where they are equal.

    The height is that of the actual changes, which predictions often exceed many times; the line may leave it.
    Only the ``MAX_NAMED`` points farthest from zero are named: the others lie on top of each other.
    """
    far = sorted(range(len(predicted)), key=lambda place: -max(abs(predicted[place]), abs(actual[place])))
    named = set(far[:MAX_NAMED])
    figure = go.Figure(
        go.Scatter(
            x=list(predicted),
            y=list(actual),
            mode="markers+text",
            text=[_axis_label(one) if place in named else "" for place, one in enumerate(query_ids)],
            textposition="top center",
            marker={"size": 10, "color": COLOURS["helped"]},
            customdata=[literal(label) for label in labels],
            hovertemplate="%{customdata}<br>predicted %{x:+.3f}, actual %{y:+.3f} nats<extra></extra>",
        )
    )
    ends = [min([*predicted, *actual, 0.0]), max([*predicted, *actual, 0.0])]
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"dash": "dot", "width": 1, "color": COLOURS["unchanged"]},
        hoverinfo="skip",
    )
    figure.update_layout(
        height=380,
        margin={"l": 4, "r": 4, "t": 10, "b": 4},
        showlegend=False,
        xaxis={"title": {"text": "predicted change, nats"}},
        yaxis={"title": {"text": "actual change after training again, nats"}, "range": _span(actual)},
    )
    return figure


def _span(values: Sequence[float]) -> list[float] | None:
    """From the least to the greatest of the values and zero, with a margin for their names; None for zeros."""
    low, high = min([*values, 0.0]), max([*values, 0.0])
    margin = 0.15 * (high - low)
    return [low - margin, high + margin] if margin else None


def literal(text: str) -> str:
    """A text as Plotly shows it, which reads some HTML and templates."""
    short = visible(text if len(text) <= MAX_WORDS else text[:MAX_WORDS] + "…")
    return html.escape(short).replace("$", "&#36;").replace("%{", "%&#123;")


def _axis_label(query_id: str) -> str:
    return f"#{literal(query_id)}"
