"""What taught a set of failures: shares as bars, failures by groups as a heat map, and tables without a script."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from lorif_core.views.group_figures import NEUTRAL, OPPOSES, SUPPORTS, short_name
from lorif_core.views.hit_html import QUIET, block, literal, table_html, withheld
from lorif_core.views.removal_figures import literal as literal_label
from lorif_core.views.text import visible

MAX_BARS = 15
MAX_COLUMNS = 12
MAX_LINES = 40
MAX_ROWS = 20
SHORT = 300

MEANING = (
    "Share: of all the influence that made these completions likelier, how much came from the group. It is what "
    "a payment in proportion to influence would give it; it does not say what the group's texts are worth elsewhere."
)
"""What the shares mean."""


def share_bars(frame: pl.DataFrame, by: str) -> go.Figure:
    """Share of every group with its 95 % interval over the questions; the ``MAX_BARS`` largest.

    Args:
        frame: As of ``FailureGroups``.
        by: What the groups are.
    """
    shown = frame.head(MAX_BARS).reverse()
    names = [literal_label(short_name(one)) for one in shown["group"]]
    share = shown["share"]
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=list(range(len(names))),
            x=share.to_list(),
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (shown["share_high"] - share).clip(0).to_list(),
                "arrayminus": (share - shown["share_low"]).clip(0).to_list(),
                "color": NEUTRAL,
                "thickness": 1.2,
                "width": 3,
            },
            marker={"color": SUPPORTS, "line_width": 0},
            customdata=list(zip(names, shown["num_texts"].to_list(), strict=True)),
            hovertemplate="%{customdata[0]}<br>%{customdata[1]:,} texts, %{x:.1%}<extra></extra>",
        )
    )
    figure.update_layout(
        height=70 + 24 * max(len(names), 1),
        margin={"l": 4, "r": 12, "t": 6, "b": 4},
        bargap=0.3,
        showlegend=False,
        xaxis={
            "title": {"text": f"share of the influence, by {literal_label(by)}"},
            "tickformat": ".0%",
            "rangemode": "tozero",
        },
        yaxis={"tickvals": list(range(len(names))), "ticktext": names, "automargin": True},
    )
    return figure


def heat_map(positive: NDArray[np.float64], question_ids: Sequence[str], groups: Sequence[str]) -> go.Figure:
    """How much of each failure's influence came from which group; the ``MAX_COLUMNS`` largest groups.

    Args:
        positive: (Q, G), positive influence, the largest group first.
        question_ids: Of the failures; the first ``MAX_LINES`` are drawn.
        groups: Names of the groups.
    """
    totals = positive.sum(1, keepdims=True)
    shares = np.divide(positive, totals, out=np.zeros_like(positive), where=totals > 0)[:MAX_LINES, :MAX_COLUMNS]
    names = [literal_label(short_name(one)) for one in groups[:MAX_COLUMNS]]
    labels = [literal_label(one) for one in question_ids[:MAX_LINES]]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=list(range(len(names))),
            y=list(range(len(labels))),
            text=[[f"{label}: {name}" for name in names] for label in labels],
            colorscale="Blues",
            zmin=0,
            xgap=1,
            ygap=1,
            colorbar={"tickformat": ".0%", "thickness": 10, "outlinewidth": 0},
            hovertemplate="%{text}<br>%{z:.1%} of its influence<extra></extra>",
        )
    )
    figure.update_layout(
        height=110 + 18 * max(len(labels), 1),
        margin={"l": 4, "r": 4, "t": 6, "b": 4},
        xaxis={"tickvals": list(range(len(names))), "ticktext": names, "side": "top", "automargin": True},
        yaxis={
            "tickvals": list(range(len(labels))),
            "ticktext": labels,
            "autorange": "reversed",
            "automargin": True,
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
                f"{row['share']:.1%} ({row['share_low']:.1%} to {row['share_high']:.1%})",
                f"{row['fold']:.1f} ×",
            ]
            for row in groups.head(MAX_ROWS).iter_rows(named=True)
        ]
        parts.append(table_html(["source", "texts", "share (95 % over questions)", "against chance"], rows))
    rows = [
        [
            f"{row['num_top']:,}",
            f"{row['share']:.1%}",
            literal(row["train_id"]),
            _text(shown.get(row["train_id"], ""), redact=redact),
        ]
        for row in texts.iter_rows(named=True)
    ]
    parts.append(table_html(["failures", "share", "id", "training text"], rows, "Texts that taught most of them"))
    return block(*parts, f'<p style="{QUIET}">{escape(visible(MEANING))}</p>')


def _text(text: str, *, redact: bool) -> str:
    if redact:
        return withheld(len(text))
    return literal(text if len(text) <= SHORT else text[:SHORT] + "…")
