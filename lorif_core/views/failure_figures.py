"""What taught a set of failures: sums as bars, failures by groups as a heat map, and tables without a script."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from lorif_core.views.group_figures import OPPOSES, SUPPORTS, bars_of_sums, short_name
from lorif_core.views.hit_html import QUIET, block, literal, table_html, withheld
from lorif_core.views.removal_figures import literal as literal_label
from lorif_core.views.text import visible
from lorif_core.views.tokens import signed

MAX_BARS = 15
MAX_COLUMNS = 12
MAX_LINES = 40
LEAST_PRINTED = 0.5
"""Share from which a cell holds its number: weaker colours give it too little contrast."""

MAX_ROWS = 20
SHORT = 300

MEANING = (
    "Sum: what all texts of a group did to these completions; above 0 they made them likelier. Payout: the group's "
    "part of all that made them likelier, which is what a payment in proportion to influence gives it; large groups "
    "hold much of it by their size. Neither says what the texts are worth elsewhere."
)
"""What the shares mean."""


def sum_bars(frame: pl.DataFrame, by: str) -> go.Figure:
    """Sum of every group over the failures, with its 95 % interval over them; the ``MAX_BARS`` farthest from zero.

    Args:
        frame: As of ``FailureGroups``.
        by: What the groups are.
    """
    shown = frame.sort(pl.col("value").abs(), descending=True).head(MAX_BARS).sort("value")
    names = [literal_label(short_name(one)) for one in shown["group"]]
    value = shown["value"]
    reach = {
        "symmetric": False,
        "array": (shown["value_high"] - value).clip(0).to_list(),
        "arrayminus": (value - shown["value_low"]).clip(0).to_list(),
    }
    return bars_of_sums(
        names,
        value.to_list(),
        reach,
        list(zip(names, shown["num_texts"].to_list(), strict=True)),
        hover="%{customdata[0]}<br>%{customdata[1]:,} texts, sum %{x:+.4g} nats",
        title=f"sum over all failures by {literal_label(by)}, nats",
        frame_px=70,
    )


def heat_map(values: NDArray[np.float64], question_ids: Sequence[str], groups: Sequence[str]) -> go.Figure:
    """Which group speaks for and against each failure; the ``MAX_COLUMNS`` first groups.

    Args:
        values: (Q, G), sums of influences; a failure's are divided by the sum of their sizes: each counts alike.
        question_ids: Of the failures; the first ``MAX_LINES`` are drawn.
        groups: Names of the groups.
    """
    totals = np.abs(values).sum(1, keepdims=True)
    shares = np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)[:MAX_LINES, :MAX_COLUMNS]
    names = [literal_label(short_name(one)) for one in groups[:MAX_COLUMNS]]
    labels = [literal_label(one) for one in question_ids[:MAX_LINES]]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=list(range(len(names))),
            y=list(range(len(labels))),
            text=[[f"{one:+.0%}" if abs(one) >= LEAST_PRINTED else "" for one in line] for line in shares],
            texttemplate="%{text}",
            textfont={"size": 11, "color": "#ffffff"},
            customdata=[[f"{label}: {name}" for name in names] for label in labels],
            colorscale=[(0, OPPOSES), (0.5, "rgba(138,143,152,0.12)"), (1, SUPPORTS)],
            zmin=-1,
            zmax=1,
            xgap=2,
            ygap=2,
            showscale=False,
            hovertemplate="%{customdata}<br>%{z:+.1%} of what speaks for and against it<extra></extra>",
        )
    )
    figure.update_layout(
        height=90 + 22 * max(len(labels), 1),
        margin={"l": 4, "r": 4, "t": 6, "b": 4},
        xaxis={
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "side": "top",
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        yaxis={
            "tickvals": list(range(len(labels))),
            "ticktext": labels,
            "autorange": "reversed",
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
    )
    return figure


def change_of_failures(frame: pl.DataFrame) -> go.Figure:
    """Share of each failure's influence that goes with removed texts; the ``MAX_BARS`` whose completions lose most.

    Args:
        frame: As of ``WithoutTexts``.
    """
    shown = frame.head(MAX_BARS).reverse()
    labels = [literal_label(one) for one in shown["question_id"]]
    weaker = [one < 0 for one in shown["change"]]
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=list(range(len(labels))),
            x=shown["share"].to_list(),
            marker={
                "color": [SUPPORTS if one else OPPOSES for one in weaker],
                "pattern": {"shape": ["" if one else "/" for one in weaker]},
            },
            customdata=[
                [
                    literal_label(f"{row['prompt']} ▸ {row['completion']}"),
                    "less likely" if row["change"] < 0 else "likelier",
                ]
                for row in shown.iter_rows(named=True)
            ],
            hovertemplate="%{customdata[0]}<br>%{x:.1%} of its influence; it gets %{customdata[1]}<extra></extra>",
        )
    )
    figure.update_layout(
        height=70 + 22 * max(len(labels), 1),
        margin={"l": 4, "r": 12, "t": 6, "b": 4},
        bargap=0.3,
        showlegend=False,
        xaxis={
            "title": {"text": "share of the failure's influence that goes"},
            "tickformat": ".0%",
            "rangemode": "tozero",
        },
        yaxis={"tickvals": list(range(len(labels))), "ticktext": labels, "automargin": True},
    )
    return figure


def failures_html(
    sentence: str, groups: pl.DataFrame | None, texts: pl.DataFrame, shown: Mapping[str, str], *, redact: bool = False
) -> str:
    """Sources and texts that taught a set of failures, as tables.

    Args:
        sentence: What was asked.
        groups: As of ``FailureGroups``; None: the data have no source.
        texts: As of ``FailureRun.texts``.
        shown: Train id → text.
        redact: Leave out the training texts.
    """
    parts = [f"<p>{literal(sentence)}</p>"]
    if groups is not None:
        rows = [
            [
                literal(row["group"]),
                f"{row['num_texts']:,}",
                f"{signed(row['value'])} ({sum_range(row['value_low'], row['value_high'])})",
                f"{row['share']:.1%}",
                f"{row['fold']:.1f} ×",
            ]
            for row in groups.head(MAX_ROWS).iter_rows(named=True)
        ]
        parts.append(
            table_html(["source", "texts", "sum, nats (95 % over failures)", "payout", "against chance"], rows)
        )
    rows = [
        [
            f"{row['num_top']:,}",
            f"{row['share']:.1%}",
            literal(row["train_id"]),
            _text(shown.get(row["train_id"], ""), redact=redact),
        ]
        for row in texts.iter_rows(named=True)
    ]
    parts.append(table_html(["failures", "payout", "id", "training text"], rows, "Texts that taught them"))
    return block(*parts, f'<p style="{QUIET}">{escape(visible(MEANING))}</p>')


def sum_range(low: float | None, high: float | None) -> str:
    """The interval of a sum; a dash where one failure alone says nothing of others."""
    return "—" if low is None or high is None else f"{signed(low)} … {signed(high)}"


def share_range(low: float | None, high: float | None) -> str:
    """The interval of a share, as ``sum_range``."""
    return "—" if low is None or high is None else f"{low:.1%} … {high:.1%}"


def _text(text: str, *, redact: bool) -> str:
    if redact:
        return withheld(len(text))
    return literal(text if len(text) <= SHORT else text[:SHORT] + "…")
