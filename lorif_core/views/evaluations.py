"""Quality measurements as tables for a terminal and as Plotly figures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich.table import Table

from lorif_core.views.tables import human_bytes, human_seconds, records_table

Figures = Mapping[str, Any]
"""One line of a result, as its dataclass names the fields."""


def lds_table(rows: Sequence[Figures]) -> Table:
    """Candidates by LDS: plain and partial scores with their 95 % intervals over queries and over subsets."""
    columns = ["method", "normalised", "LDS", "queries", "subsets", "partial", "queries", "subsets", "id"]
    lines = [
        [
            row["label"],
            row["normalisation"],
            f"{row['lds']:.4f}",
            _interval(row, "queries"),
            _interval(row, "subsets"),
            *_partial_cells(row),
            row["candidate"],
        ]
        for row in rows
    ]
    return records_table(f"Linear datamodelling score{_of_subsets(rows)}", columns, lines)


def lds_cost_table(rows: Sequence[Figures]) -> Table:
    """The same candidates: how far they are from the line they are compared with, and what they cost."""
    columns = ["method", "normalised", "LDS", "partial", "codes/ex.", "all/ex.", "build", "query"]
    lines = [
        [
            row["label"],
            row["normalisation"],
            _difference(row, "difference"),
            _difference(row, "partial_difference"),
            _bytes(row["codes_bytes"]),
            _bytes(row["total_bytes"]),
            "–" if row["build_seconds"] is None else human_seconds(row["build_seconds"]),
            human_seconds(row["query_seconds"]),
        ]
        for row in rows
    ]
    return records_table("Differences to the line marked –, 95 % paired over subsets, and costs", columns, lines)


def _of_subsets(rows: Sequence[Figures]) -> str:
    """What a truth of part of its subsets says after the title; empty for a whole one, and for results of before."""
    done, planned = (rows[0].get(name) for name in ("num_subsets", "planned_subsets")) if rows else (None, None)
    return "" if done == planned else f", {done} of {planned} subsets"


def _partial_cells(row: Figures) -> list[str]:
    if row.get("partial") is None:
        return ["–", "–", "–"]
    return [f"{row['partial']:.4f}", _interval(row, "partial_queries"), _interval(row, "partial_subsets")]


def _interval(row: Figures, over: str) -> str:
    return f"{row[f'{over}_low']:.2f}–{row[f'{over}_high']:.2f}"


def _difference(row: Figures, field: str) -> str:
    if row[field] is None:
        return "" if field == "partial_difference" and row["partial"] is None else "–"
    return f"{row[field]:+.3f} ({row[f'{field}_low']:+.3f}…{row[f'{field}_high']:+.3f})"


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


PANELS = {
    "lds": ("subsets", "LDS (bars: 95 % over subsets)"),
    "partial": ("partial_subsets", "partial LDS, given shared target tokens"),
}
"""Figure of a line → the interval of its bars, and what the axis is called."""


def lds_figure(rows: Sequence[Figures]) -> go.Figure:
    """Quality against bytes: stored methods as points with intervals, uncompressed references as lines.

    Plain scores on the left, partial ones on the right; results of before there were any have one panel.
    """
    panels = [field for field in PANELS if any(row.get(field) is not None for row in rows)]
    figure = make_subplots(rows=1, cols=max(1, len(panels)), horizontal_spacing=0.1)
    figure.update_layout(
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        legend={"title": "normalised", "orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    sizes = [row["codes_bytes"] for row in rows if row["codes_bytes"]]
    figure.update_xaxes(type="log", title="bytes per example: codes, scales, numbers")
    if sizes:
        figure.update_xaxes(_byte_axis(min(sizes), max(sizes)))
    for column, field in enumerate(panels, start=1):
        _draw_panel(figure, [row for row in rows if row.get(field) is not None], field, column)
    return figure


def _draw_panel(figure: go.Figure, rows: Sequence[Figures], field: str, column: int) -> None:
    """One kind of score against bytes."""
    over, title = PANELS[field]
    normalisations = list(dict.fromkeys(row["normalisation"] for row in rows))
    for normalisation in normalisations:
        of_kind = [row for row in rows if row["normalisation"] == normalisation]
        kept = [row for row in of_kind if row["codes_bytes"] is not None]
        if kept:
            trace = _points(kept, field, normalisation)
            figure.add_trace(trace.update(showlegend=column == 1), row=1, col=column)
    uncompressed = sorted((row for row in rows if row["codes_bytes"] is None), key=lambda row: -row[field])
    for place, row in enumerate(uncompressed):
        own = [row["normalisation"]] if len(normalisations) > 1 else []
        colour = COLOURS.get(row["normalisation"], "#555555")
        # Neighbours are often close: every second name stands on the left.
        side: dict[str, Any] = {"xanchor": "left", "x": 0} if place % 2 else {"xanchor": "right", "x": 1}
        figure.add_hline(
            y=row[field],
            line={"dash": "dot", "width": 1, "color": colour},
            annotation={
                "text": ", ".join([row["label"], *own, "nothing stored"]),
                "font": {"size": 11, "color": colour},
                **side,
            },
            row=1,  # pyright: ignore[reportArgumentType] - a number works, plotly says str
            col=column,  # pyright: ignore[reportArgumentType]
            exclude_empty_subplots=False,
        )
    ends = [row[f"{over}_{end}"] for row in rows if row["codes_bytes"] for end in ("low", "high")]
    low, high = (find([row[field] for row in rows] + ends) for find in (min, max))
    room = 0.06 * (high - low or 1.0)
    figure.update_yaxes(title=title, range=[low - room, high + room], row=1, col=column)


def _points(rows: Sequence[Figures], field: str, normalisation: str) -> go.Scatter:
    """Stored methods of one normalisation, with bars over subsets."""
    over, colour = PANELS[field][0], COLOURS.get(normalisation, "#555555")
    return go.Scatter(
        x=[row["codes_bytes"] for row in rows],
        y=[row[field] for row in rows],
        error_y={
            "array": [row[f"{over}_high"] - row[field] for row in rows],
            "arrayminus": [row[field] - row[f"{over}_low"] for row in rows],
            "thickness": 1,
            "width": 2,
        },
        text=_told_apart([row["label"] for row in rows]),
        hovertext=[row["label"] for row in rows],
        mode="markers+text",
        textposition="bottom left" if normalisation == "none" else "top left",
        textfont={"size": 10, "color": colour},
        marker={"size": 9, "color": colour, "symbol": SYMBOLS.get(normalisation, "circle")},
        name=normalisation,
        legendgroup=normalisation,
    )


def _told_apart(labels: Sequence[str]) -> list[str]:
    """Labels without the words that all of them have: whole ones lie over one another. Pointing at one shows it."""
    words = [label.split() for label in labels]
    common = set[str].intersection(*map(set, words)) if len(words) > 1 else set[str]()
    return [
        " ".join(word for word in own if word not in common) or label
        for own, label in zip(words, labels, strict=True)
    ]


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
