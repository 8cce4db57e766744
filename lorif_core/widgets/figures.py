"""The studio's Plotly figures as widgets: on the background of any theme, with a table where no script runs."""

import re
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from lorif_core.views.hit_html import block, table_html

GREY = "#808691"
GRID = "rgba(128, 134, 145, 0.25)"
MAX_ROWS = 12


FILLS_ITS_CELL = """
export default async () => {
  const inner = await plotlyFigure();
  return {
    initialize: (given) => inner.initialize(given),
    render(given) {
      const end = inner.render(given);
      let width = 0;
      const watcher = new ResizeObserver(() => {
        const now = given.el.clientWidth;
        if (!now || now === width) return;
        width = now;
        window.dispatchEvent(new Event("resize"));  // which a responsive figure hears
      });
      watcher.observe(given.el);
      return () => { watcher.disconnect(); end?.(); };
    },
  };
};
"""
"""Plotly draws before the cell is on the page, so 700 pixels wide, and looks again only when the window changes."""


def _script() -> str:
    """Plotly's own script, which then fills its cell; unchanged where a release of Plotly ends otherwise."""
    found = go.FigureWidget._esm
    script = found.read_text(encoding="utf-8") if isinstance(found, Path) else str(found)
    ends = list(re.finditer(r"export\{[^{}]*?([\w$]+) as default\};", script))
    if not ends:
        return script
    last = ends[-1]  # an earlier one is of a script that the bundle holds as a text
    return f"{script[: last.start()]}const plotlyFigure={last[1]};{script[last.end() :]}{FILLS_ITS_CELL}"


class FigureWidget(go.FigureWidget):
    """A figure of ``lorif_core.views`` in a cell. Draws offline."""

    _esm = _script()

    def _repr_mimebundle_(self, *args: Any, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(*args, **options)
        values, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(values or {}), "text/html": figure_html(self)}, metadata


def figure_widget(figure: go.Figure) -> FigureWidget:
    """A figure to be shown in a cell, light or dark.

    Args:
        figure: Of ``lorif_core.views``, as the studio shows it.
    """
    shown = FigureWidget(figure)
    shown.update_layout(template="none", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    own: dict[str, Any] = figure.to_plotly_json()["layout"].get("margin", {})
    margin = {"t": 30} | own | {"l": 70, "r": 20, "b": 50}
    shown.update_layout(autosize=True, font={"color": GREY}, legend_bgcolor="rgba(0,0,0,0)", margin=margin)
    shown.update_xaxes(gridcolor=GRID, linecolor=GREY, zerolinecolor=GRID, automargin=True)
    shown._config = {**shown._config, "responsive": True}
    shown.update_yaxes(gridcolor=GRID, linecolor=GREY, zerolinecolor=GRID, automargin=True)
    return shown


def figure_html(figure: Any) -> str:
    """The first numbers of every trace as tables, escaped, without a script."""
    tables = []
    traces: list[dict[str, Any]] = [trace.to_plotly_json() for trace in figure.data]
    for place, values in enumerate(traces):
        x, y = list(_values(values.get("x"))), list(_values(values.get("y")))
        rows = [[escape(_said(a)), escape(_said(b))] for a, b in zip(x, y, strict=False)][:MAX_ROWS]
        if rows:
            tables.append(table_html(["x", "y"], rows, str(values.get("name") or f"series {place + 1}")))
    return block("<details><summary>The numbers of this figure</summary>", *tables, "</details>")


def _values(found: Any) -> list[Any]:
    """Plotly keeps arrays as they are, and decoded ones as mappings."""
    return [] if found is None or isinstance(found, dict) else list(found)


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
