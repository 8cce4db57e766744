"""Figures in a real JupyterLab: as wide as the cell that shows them, and as wide as it becomes."""

import pytest
from driving import wait_until

pytestmark = pytest.mark.browser

FIGURE = (
    "import numpy as np\n"
    "from lorif_core.views.score_figures import score_histogram\n"
    "from lorif_core.widgets import figure_widget\n"
    "figure_widget(score_histogram(np.linspace(-1, 3, 500, dtype=np.float32), 2.5, None))"
)
MARGIN = 24
"""Pixels of padding that JupyterLab leaves beside an output."""


def widths(page):
    """Of the figure, and of the output that holds it."""
    return page.evaluate(
        """() => {
          const plot = document.querySelector(".js-plotly-plot .main-svg");
          const output = document.querySelector(".jp-OutputArea-output");
          return [plot, output].map((one) => one ? one.getBoundingClientRect().width : 0);
        }"""
    )


def fills(page):
    figure, output = widths(page)
    return figure > 300 and output - MARGIN <= figure <= output


@pytest.mark.parametrize("width", [1024, 1920])
def test_a_figure_takes_the_width_of_its_cell(run_cells, width):
    page = run_cells(FIGURE, viewport=(width, 900))
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    wait_until(lambda: fills(page), 60)
    page.set_viewport_size({"width": width - 200, "height": 900})
    wait_until(lambda: fills(page), 60)
