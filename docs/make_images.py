"""Draw the README's picture from the demo workspace: ``python docs/make_images.py`` after ``make demo``."""

import io
import re
from pathlib import Path

from rich.console import Console

from lorif_core.workspace.demo import DEMO_FACT, build_demo

OUT = Path(__file__).parent / "images" / "demo.svg"


def main() -> None:
    """Ask the demo's question and write the answer as an SVG that needs no font of another host."""
    workspace, index = build_demo(Path("demo_workspace"))
    answer = workspace.ask(DEMO_FACT, k=8, num_opposing=3, index_id=index.index_id)
    console = Console(record=True, width=112, file=io.StringIO(), highlight=False)
    console.print(answer)
    svg = console.export_svg(title='lorif ask demo_workspace --prompt "The capital of Australia is" --generate')
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "Menlo, DejaVu Sans Mono")
    OUT.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
