"""Quality measurements as tables for a terminal and as Plotly figures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from rich.table import Table

from lorif_core.views.tables import human_bytes, human_seconds, records_table

Figures = Mapping[str, Any]
"""One line of a result, as its dataclass names the fields."""


def lds_table(rows: Iterable[Figures]) -> Table:
    """Candidates by LDS: bytes, times, score and its 95 % intervals over queries and over subsets."""
    columns = ["method", "normalised", "codes/ex.", "all/ex.", "build", "query", "LDS", "queries", "subsets", "id"]
    lines = [
        [
            row["label"],
            row["normalisation"],
            _bytes(row["codes_bytes"]),
            _bytes(row["total_bytes"]),
            "–" if row["build_seconds"] is None else human_seconds(row["build_seconds"]),
            human_seconds(row["query_seconds"]),
            f"{row['lds']:.4f}",
            f"{row['queries_low']:.2f}–{row['queries_high']:.2f}",
            f"{row['subsets_low']:.2f}–{row['subsets_high']:.2f}",
            row["candidate"],
        ]
        for row in rows
    ]
    return records_table("Linear datamodelling score", columns, lines)


def fidelity_table(rows: Iterable[Figures], reference: str, k: int) -> Table:
    """Agreement with a reference."""
    lines = [
        [
            row["label"],
            row["normalisation"],
            _bytes(row["total_bytes"]),
            f"{row['spearman']:.3f}",
            f"{row['overlap']:.0%}",
            row["candidate"],
        ]
        for row in rows
    ]
    columns = ["method", "normalised", "all / ex.", "Spearman", f"top {k}", "id"]
    return records_table(f"Agreement with {reference}, uncompressed", columns, lines)


def change_table(title: str, rows: Sequence[Figures]) -> Table:
    """Results of tail-patch or brittleness: one line per method, random last."""
    value = "gain" if "gain" in rows[0] else "loss_change"
    columns = ["top k of", "nats", "95 % interval"] + ([] if value == "gain" else ["changed", "flipped"])
    lines = []
    for row in rows:
        line = [row["name"], f"{row[value]:+.4f}", f"{row[f'{value}_low']:+.4f}…{row[f'{value}_high']:+.4f}"]
        if value == "loss_change":
            flipped = row["share_flipped"]
            line += [f"{row['share_changed']:.0%}", "–" if flipped is None else f"{flipped:.0%}"]
        lines.append(line)
    return records_table(title, columns, lines)


COLOURS = {"none": "#4269d0", "tempered": "#d1495b", "relatif": "#3ca951", "unit": "#9467bd"}
SYMBOLS = {"none": "circle", "tempered": "diamond", "relatif": "square", "unit": "x"}

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def lds_figure(rows: Sequence[Figures]) -> go.Figure:
    """Quality against bytes: stored methods as points with intervals, uncompressed references as lines."""
    figure = go.Figure(
        layout={
            "template": "plotly_white",
            "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
            "legend": {"title": "normalised", "orientation": "h", "y": 1.02, "yanchor": "bottom"},
        }
    )
    normalisations = list(dict.fromkeys(row["normalisation"] for row in rows))
    for normalisation in normalisations:
        kept = [r for r in rows if r["normalisation"] == normalisation and r["codes_bytes"] is not None]
        colour = COLOURS.get(normalisation, "#555555")
        own = [normalisation] if len(normalisations) > 1 else []
        if kept:
            figure.add_scatter(
                x=[row["codes_bytes"] for row in kept],
                y=[row["lds"] for row in kept],
                error_y={
                    "array": [row["subsets_high"] - row["lds"] for row in kept],
                    "arrayminus": [row["lds"] - row["subsets_low"] for row in kept],
                    "thickness": 1,
                    "width": 2,
                },
                text=[row["label"] for row in kept],
                mode="markers+text",
                textposition="bottom left" if normalisation == "none" else "top left",
                textfont={"size": 10, "color": colour},
                marker={"size": 9, "color": colour, "symbol": SYMBOLS.get(normalisation, "circle")},
                name=normalisation,
            )
        for row in rows:
            if row["codes_bytes"] is None and row["normalisation"] == normalisation:
                figure.add_hline(
                    y=row["lds"],
                    line={"dash": "dot", "width": 1, "color": colour},
                    annotation={
                        "text": ", ".join([row["label"], *own, "nothing stored"]),
                        "font": {"size": 11, "color": colour},
                        "xanchor": "right",
                    },
                )
    figure.update_xaxes(type="log", title="bytes per example: codes, scales, numbers")
    if sizes := [row["codes_bytes"] for row in rows if row["codes_bytes"]]:
        figure.update_xaxes(_byte_axis(min(sizes), max(sizes)))
    ends = [row[end] for row in rows if row["codes_bytes"] for end in ("subsets_low", "subsets_high")]
    low, high = (find([row["lds"] for row in rows] + ends) for find in (min, max))
    room = 0.06 * (high - low or 1.0)
    figure.update_yaxes(title="LDS (bars: 95 % over subsets)", range=[low - room, high + room])
    return figure


def _byte_axis(smallest: float, largest: float) -> dict[str, Any]:
    """A tick at every doubling, and room for labels beside the outermost points."""
    low, high = math.log2(smallest / 1000), math.log2(largest / 1000)
    room = max(1.2, 0.12 * (high - low))
    ticks = [1000 * 2.0**power for power in range(math.ceil(low - room), math.floor(high + room) + 1)]
    ends = [3 + end * math.log10(2) for end in (low - room, high + room)]
    return {"range": ends, "tickvals": ticks, "ticktext": [human_bytes(tick) for tick in ticks]}


def sweep_figure(rows: Sequence[Figures]) -> go.Figure:
    """Quality by damping ratio, a line per normalisation and number of directions; bars: 95 % over subsets.

    Args:
        rows: Of ``Evaluation.sweep``. Settings that keep the index's own damping stand at "own".
    """
    ratios = sorted({row["damping_ratio"] for row in rows if row.get("damping_ratio") is not None})
    places = {None: "own", **{ratio: f"{ratio:g}" for ratio in ratios}}
    lines: dict[tuple[str, Any], list[Figures]] = {}
    for row in rows:
        lines.setdefault((row["normalisation"], row.get("subspace_rank")), []).append(row)
    figure = go.Figure()
    several = len({normalisation for normalisation, _ in lines}) > 1
    order = sorted(lines.items(), key=lambda line: (line[0][0], line[0][1] or 0))
    for place, ((normalisation, rank), own) in enumerate(order):
        own = sorted(own, key=lambda row: row.get("damping_ratio") or 0.0)
        figure.add_scatter(
            x=[places[row.get("damping_ratio")] for row in own],
            y=[row["lds"] for row in own],
            error_y={
                "array": [row["subsets_high"] - row["lds"] for row in own],
                "arrayminus": [row["lds"] - row["subsets_low"] for row in own],
                "thickness": 1,
                "width": 3,
            },
            mode="lines+markers",
            name=_line_name(normalisation, rank, several=several),
            line={"color": COLOURS.get(normalisation, "#555555"), "dash": DASHES[place % len(DASHES)]},
            marker={"size": 9, "symbol": SYMBOLS.get(normalisation, "circle")},
        )
    figure.update_layout(
        height=360,
        margin={"l": 4, "r": 4, "t": 30, "b": 4},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={
            "type": "category",
            "title": {"text": "damping ratio"},
            "categoryorder": "array",
            "categoryarray": list(places.values()),
        },
        yaxis={"title": {"text": "LDS (bars: 95 % over subsets)"}},
    )
    return figure


def _line_name(normalisation: str, rank: int | None, *, several: bool) -> str:
    if rank is None:
        return normalisation
    return f"{normalisation}, {rank} directions" if several else f"{rank} directions"


def _bytes(size: float | None) -> str:
    return "–" if size is None else human_bytes(size)
