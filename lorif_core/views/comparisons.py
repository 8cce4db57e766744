"""Two questions side by side: as tables for a terminal, and as a picture of how ranks change."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import plotly.graph_objects as go
import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from lorif_core.views.diffs import Side
from lorif_core.views.removal_figures import literal
from lorif_core.views.tables import key_value_table, records_table
from lorif_core.views.text import visible

NAMES = {"both": "in both lists", "a": "only in A", "b": "only in B"}
MAX_TEXT = 80


class Line(NamedTuple):
    """How the texts of one kind are drawn; kinds differ in dash and symbol as well as in colour."""

    colour: str
    dash: str
    symbol: str


LINES: dict[Side, Line] = {
    "both": Line("#2f6fde", "solid", "circle"),
    "a": Line("#d9661f", "dash", "square"),
    "b": Line("#7a5cc7", "dot", "diamond"),
}


def comparison_view(found: Mapping[str, Any]) -> RenderableType:
    """A ``Comparison.to_dict()`` as a terminal shows it."""
    facts = {
        "A": _question(found["a"]),
        "B": _question(found["b"]),
        "differ in": ", ".join(found["differences"]) or "nothing",
        "rank correlation": _correlation(found["rank_correlation"], found["num_common"]),
    }
    rows = [
        [NAMES[row["listed"]], _rank(row["rank_a"]), _rank(row["rank_b"]), row["train_id"], _short(row["text"])]
        for row in found["rank_changes"]
    ]
    counts = f"{len(found['shared'])} in both, {len(found['only_a'])} only in A, {len(found['only_b'])} only in B"
    return Group(
        key_value_table("Two questions", facts),
        Text(),
        records_table(f"Texts that {_verb(found['side'])}", ["listed", "rank A", "rank B", "id", "text"], rows),
        Text(f"{counts}. Ranks count all texts, 1 is the strongest.", style="dim"),
    )


def rank_lines(frame: pl.DataFrame) -> go.Figure:
    """A line per text from its rank for A to its rank for B; ranks on a logarithmic axis, the strongest on top.

    Args:
        frame: ``Comparison.rank_changes``; texts that one question did not rank are left out.
    """
    figure = go.Figure()
    for kind, line in LINES.items():
        rows = frame.filter(
            (pl.col("listed") == kind) & pl.col("rank_a").is_not_null() & pl.col("rank_b").is_not_null()
        )
        if rows.is_empty():
            continue
        hover = [f"{literal(one)}<br>{literal(text)}" for one, text in rows.select("train_id", "text").iter_rows()]
        figure.add_scatter(
            # A gap after each text, so that one trace holds the lines of all.
            x=[place for _ in hover for place in (0, 1, None)],
            y=[place for a, b in rows.select("rank_a", "rank_b").iter_rows() for place in (a, b, None)],
            customdata=[text for said in hover for text in (said, said, "")],
            name=f"{NAMES[kind]} ({len(rows)})",
            mode="lines+markers",
            line={"color": line.colour, "dash": line.dash, "width": 2 if kind == "both" else 1.2},
            marker={"symbol": line.symbol, "size": 8},
            hovertemplate="rank %{y:,}<br>%{customdata}<extra></extra>",
        )
    figure.update_layout(
        height=420,
        margin={"l": 4, "r": 4, "t": 30, "b": 4},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        hovermode="closest",
        xaxis={"tickvals": [0, 1], "ticktext": ["A", "B"], "range": [-0.12, 1.12], "showgrid": False},
        yaxis={"type": "log", "autorange": "reversed", "title": {"text": "rank among all texts"}, "tickformat": ",d"},
    )
    return figure


def _question(asked: Mapping[str, Any]) -> str:
    said = f"query {asked['query_id']}: {asked['prompt']} ▸{asked['completion']}"
    if asked["contrast"] is not None:
        said += f", compared with ▸{asked['contrast']}"
    return (
        f"{said}\n{asked['method']}, {asked['index_id']}, {asked['objective']}, normalised {asked['normalisation']}"
    )


def _correlation(value: float | None, num_common: int) -> str:
    return "–" if value is None else f"{value:+.3f} (Spearman, over {num_common:,} texts)"


def _verb(side: str) -> str:
    return "support the completions" if side == "supports" else "oppose the completions"


def _rank(rank: int | None) -> str:
    return "–" if rank is None else f"{rank:,}"


def _short(text: str) -> str:
    one_line = visible(" ".join(text.split()))
    return one_line if len(one_line) <= MAX_TEXT else one_line[: MAX_TEXT - 1] + "…"
