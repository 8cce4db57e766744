"""Draw the README's pictures: ``python docs/make_images.py`` after ``make demo``.

``lds.svg`` is drawn from the figures in ``images/lds.json``, which `lorif evaluate lds --json` printed; it
needs ``pip install kaleido`` and Chromium.
"""

import io
import json
import re
from pathlib import Path

from rich.console import Console

from lorif_core.views.evaluations import lds_figure
from lorif_core.workspace.quality.demo import DEMO_FACT, build_demo

IMAGES = Path(__file__).parent / "images"


def draw_curve() -> None:
    """Quality against bytes, from the figures beside the picture."""
    rows = json.loads((IMAGES / "lds.json").read_text(encoding="utf-8"))["rows"]
    lds_figure(rows).write_image(IMAGES / "lds.svg", width=900, height=480)


def draw_demo() -> None:
    """Ask the demo's question and write the answer as an SVG that needs no font of another host."""
    workspace, index = build_demo(Path("demo_workspace"))
    answer = workspace.ask(DEMO_FACT, k=8, num_opposing=3, index_id=index.index_id)
    console = Console(record=True, width=112, file=io.StringIO(), highlight=False)
    console.print(answer)
    svg = console.export_svg(title='lorif ask demo_workspace --prompt "The capital of Australia is" --generate')
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "Menlo, DejaVu Sans Mono")
    (IMAGES / "demo.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    draw_curve()
    draw_demo()
