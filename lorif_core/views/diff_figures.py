"""What was added to a version and what was removed from it, by kind of text."""

from collections.abc import Sequence

import plotly.graph_objects as go

from lorif_core.views.removal_figures import COLOURS, PATTERNS, literal

MAX_BARS = 15


def diff_bars(values: Sequence[object], came: Sequence[int], went: Sequence[int]) -> go.Figure:
    """Texts that were added to the right, removed ones to the left, a bar per value; the first ``MAX_BARS``."""
    labels = ["(none)" if value is None else literal(str(value)) for value in values[:MAX_BARS]]
    figure = go.Figure()
    for name, outcome, numbers, sign in (("added", "helped", came, 1), ("removed", "harmed", went, -1)):
        shown = list(numbers[:MAX_BARS])
        figure.add_bar(
            name=name,
            orientation="h",
            y=labels,
            x=[sign * number for number in shown],
            text=[f"{number:,}" if number else "" for number in shown],
            textposition="outside",
            cliponaxis=False,
            marker={"color": COLOURS[outcome], "pattern": {"shape": PATTERNS[outcome]}},
            customdata=shown,
            hovertemplate="%{y}: %{customdata:,} " + name + "<extra></extra>",
        )
    figure.add_vline(x=0, line={"width": 1, "color": COLOURS["unchanged"]})
    figure.update_layout(
        height=110 + 26 * len(labels),
        margin={"l": 4, "r": 40, "t": 30, "b": 4},
        barmode="relative",
        bargap=0.3,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": "texts removed (left) and added (right)"}, "showticklabels": False},
        yaxis={"type": "category", "autorange": "reversed", "dtick": 1, "automargin": True},
    )
    return figure
