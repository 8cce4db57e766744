"""Groups of texts as bars with intervals, and as a table without a script."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import polars as pl

from lorif_core.views.hit_html import QUIET, block, literal, table_html
from lorif_core.views.removal_figures import literal as literal_label
from lorif_core.views.text import visible
from lorif_core.views.tokens import signed

SUPPORTS, OPPOSES, NEUTRAL = "#2f6fde", "#d9661f", "#8a8f98"
MAX_NAME = 40
MAX_ROWS = 50


def group_bars(frame: pl.DataFrame, by: str, unit: str, most: int = 20) -> go.Figure:
    """The sum of every group with the 95 % interval of its mean, times its texts; at most ``most``, largest first.

    Args:
        frame: As of ``CorpusGroups``.
        by: What the groups are.
        unit: Of the sums.
        most: Bars that are drawn: those with the largest sizes of sums.
    """
    shown = frame.sort(pl.col("sum").abs(), descending=True).head(most).sort("sum")
    sizes = shown["num_texts"]
    reach = ((shown["mean_high"] - shown["mean"]) * sizes).fill_null(0.0).to_list()
    names = [literal_label(short_name(one)) for one in shown["group"]]
    return bars_of_sums(
        names,
        shown["sum"].to_list(),
        {"array": reach},
        [[name, f"{size:,}"] for name, size in zip(names, sizes, strict=True)],
        hover="%{customdata[0]}<br>%{customdata[1]} texts, sum %{x:+.4g}",
        title=f"sum over all texts, {literal_label(unit)} (opposes < 0 < supports)",
        frame_px=60,
    )


def bars_of_sums(
    names: Sequence[str],
    sums: Sequence[float],
    reach: Mapping[str, Any],
    about: Sequence[Sequence[Any]],
    *,
    hover: str,
    title: str,
    frame_px: int,
) -> go.Figure:
    """One bar per group from zero to its sum, coloured by its sign, with an interval.

    Args:
        names: Of the groups from below to above; literal, as Plotly reads labels as markup.
        sums: Their sums.
        reach: How far the intervals go, as of Plotly's ``error_x``.
        about: What ``hover`` shows of each group.
        hover: Template of the hover text.
        title: Of the axis of sums; literal, too.
        frame_px: Height of what is not bars, in pixels.
    """
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=list(range(len(names))),
            x=sums,
            error_x={"type": "data", "color": NEUTRAL, "thickness": 1.2, "width": 3, **reach},
            marker={"color": [SUPPORTS if one >= 0 else OPPOSES for one in sums], "line_width": 0},
            customdata=about,
            hovertemplate=f"{hover}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"width": 1, "color": NEUTRAL})
    figure.update_layout(
        height=frame_px + 24 * max(len(names), 1),
        margin={"l": 4, "r": 12, "t": 6, "b": 4},
        bargap=0.3,
        showlegend=False,
        xaxis={"title": {"text": title}},
        yaxis={"tickvals": list(range(len(names))), "ticktext": names, "automargin": True},
    )
    return figure


def groups_html(by: str, frame: pl.DataFrame, notes: Sequence[str]) -> str:
    """The groups as a table; at most ``MAX_ROWS``, which is said."""
    rows = [
        [
            literal(row["group"]),
            f"{row['num_texts']:,}",
            signed(row["sum"]),
            f"{row['share']:.1%}",
            f"{row['num_top']:,} ({row['expected']:.1f} by chance)",
            escape(row["stands_out"]),
        ]
        for row in frame.head(MAX_ROWS).iter_rows(named=True)
    ]
    columns = [by, "texts", "sum", "share", "among the top", "against chance"]
    hidden = len(frame) - len(rows)
    said = [*notes, *([f"{hidden:,} more groups are not shown"] if hidden > 0 else [])]
    return block(
        table_html([visible(one) for one in columns], rows), f'<p style="{QUIET}">{literal(" · ".join(said))}</p>'
    )


def short_name(name: str) -> str:
    """A name that fits on an axis."""
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
