"""Figures of an index: how much of each module's gradients the codes keep, and the spectrum of its curvature."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from lorif_core.views.text import visible

LINES = ("#2f6fde", "#d9661f", "#3ca951", "#9467bd")
DASHES = ("solid", "dash", "dot", "dashdot")
"""Beside the colour, so that lines are told apart without it."""

MAX_WRITTEN = 24
"""Layers up to which the shares are written into the cells."""

ROUNDING = 1e-8
"""Of the largest eigenvalue: smaller ones are rounding errors of sums in float32."""

DIVERGING = [[0.0, "#d9661f"], [0.5, "#f4f4f2"], [1.0, "#2f6fde"]]
"""Opposes, nothing, supports."""

LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of one matrix of the curvature of one module."""

    what: str
    """Which matrix: gradients, layer inputs or output gradients."""

    eigenvalues: list[float]
    """Descending. Of a subspace: those that were computed, which are the leading ones."""

    damping: float
    """λ, in the units of the eigenvalues."""

    dim: int
    """How many eigenvalues the matrix has, computed or not."""

    @property
    def effective_dim(self) -> float:
        """Σ s / (s + λ) over the computed eigenvalues: directions in which the data outweighs the damping."""
        return sum(value / (value + self.damping) for value in self.eigenvalues)


def energy_map(shares: Mapping[str, float]) -> go.Figure:
    """Share of the squared gradient norm that the codes keep: a row per kind of module, a column per layer.

    Args:
        shares: Module name → share, at most 1; the colour of one below 0 is that of 0, its number is its own.
    """
    return _module_map(
        shares,
        zmin=0,
        zmax=1,
        colorscale="Cividis",
        colorbar={"title": {"text": "kept", "side": "right"}, "tickformat": ".0%", "thickness": 12},
        number=".0%",
        hovertemplate="%{y}, layer %{x}: %{z:.1%}<extra></extra>",
    )


def part_map(parts: Mapping[str, float]) -> go.Figure:
    """Parts of a text's score: a row per kind of module, a column per layer; blue supports, orange opposes.

    Args:
        parts: Module name → its part of the score. The numbers are written into the cells of shallow models.
    """
    largest = max((abs(part) for part in parts.values()), default=0.0) or 1.0
    return _module_map(
        parts,
        zmin=-largest,
        zmax=largest,
        colorscale=DIVERGING,
        colorbar={"title": {"text": "part", "side": "right"}, "tickformat": "+.3g", "thickness": 12},
        number="+.3g",
        hovertemplate="%{y}, layer %{x}: %{z:+.4g}<extra></extra>",
    )


def _module_map(values: Mapping[str, float], *, number: str, **heat: Any) -> go.Figure:
    """A heat map of one number per module."""
    places = {name: _place(name) for name in values}
    kinds = list(dict.fromkeys(kind for kind, _ in places.values()))
    layers = sorted({layer for _, layer in places.values()})
    value_of = {places[name]: value for name, value in values.items()}
    is_written = len(layers) <= MAX_WRITTEN
    figure = go.Figure(
        go.Heatmap(
            x=[str(layer) if layer >= 0 else "" for layer in layers],
            y=[visible(kind) for kind in kinds],
            z=[[value_of.get((kind, layer)) for layer in layers] for kind in kinds],
            xgap=2,
            ygap=2,
            texttemplate=f"%{{z:{number}}}" if is_written else None,
            textfont={"size": 12},
            **heat,
        )
    )
    figure.update_layout(
        height=110 + 34 * len(kinds),
        margin={"l": 4, "r": 4, "t": 6, "b": 4},
        xaxis={"title": {"text": "layer"}, "type": "category", "showgrid": False},
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
    )
    return figure


def spectrum_lines(spectra: Sequence[Spectrum]) -> go.Figure:
    """Eigenvalues by rank, both on logarithmic axes, with a line at each damping; what rounding made is left out."""
    figure = go.Figure()
    for place, spectrum in enumerate(spectra):
        colour, dash = LINES[place % len(LINES)], DASHES[place % len(DASHES)]
        floor = ROUNDING * max(spectrum.eigenvalues, default=0.0)
        shown = [(rank, value) for rank, value in enumerate(spectrum.eigenvalues, start=1) if value > floor]
        figure.add_scatter(
            x=[rank for rank, _ in shown],
            y=[value for _, value in shown],
            mode="lines",
            name=spectrum.what,
            line={"color": colour, "dash": dash, "width": 2},
            hovertemplate=f"{spectrum.what}<br>rank %{{x:,}}: %{{y:.3g}}<extra></extra>",
        )
        # No hline: its annotation is misplaced on a logarithmic axis.
        figure.add_scatter(
            x=[1, max(spectrum.dim, 2)],
            y=[spectrum.damping, spectrum.damping],
            mode="lines+text",
            text=[f"damping of the {spectrum.what}", ""],
            textposition="top right",
            textfont={"size": 11},
            line={"color": colour, "width": 1, "dash": dash},
            showlegend=False,
            hovertemplate="damping %{y:.3g}<extra></extra>",
        )
    figure.update_layout(
        height=340,
        margin={"l": 4, "r": 4, "t": 30, "b": 4},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"type": "log", "title": {"text": "rank of the direction"}, "dtick": 1, "tickformat": ",d"},
        yaxis={"type": "log", "title": {"text": "eigenvalue"}, "exponentformat": "power"},
    )
    return figure


def _place(name: str) -> tuple[str, int]:
    """Kind and layer of a module; layer -1 where its path has no number."""
    found = LAYER.search(name)
    return (name[found.end() :], int(found.group(1))) if found else (name, -1)
