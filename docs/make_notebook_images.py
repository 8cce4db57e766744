"""Photograph the widgets in JupyterLab, light and dark: ``python docs/make_notebook_images.py``.

Needs the extra `dev` and Debian's chromium. Builds a demo workspace of its own, to decide in.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from lorif_core.workspace.quality.demo import build_demo

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from jupyter_lab import Lab, notebooks  # noqa: E402 - found through the line above

IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
SIZE = (1240, 4200)
MARGIN = 14
"""Pixels around a widget."""

LONELY = (
    ".jp-OutputPrompt, .jp-InputArea, .jp-Cell-inputCollapser, .jp-Cell-outputCollapser, "
    "#jp-bottom-panel, #jp-main-statusbar, .jp-Toolbar { visibility: hidden !important; }"
)
"""Style of a page on which nothing but outputs is seen."""

OPEN = "import lorif_core as lf\nws = lf.open_workspace('ws')"
ASK = "hits = ws.ask('The capital of Australia is', ' Sydney.', k=6, num_opposing=3)\nhits"
COMPARE = (
    "other = ws.ask('The capital of Australia is', ' Canberra.', k=6)\n"
    "ws.compare(ws.ask('The capital of Australia is', ' Sydney.', k=6), other, k=6)"
)
REVIEW = "ws.review(hits, k=6)"
CORPUS = "ws.corpus()"
CELLS = {"ask": 1, "compare": 2, "review": 3, "corpus": 4}


def main() -> None:
    """Two notebooks, one in each theme; each takes every picture."""
    folder = Path(tempfile.mkdtemp(prefix="lorif-pictures-"))
    build_demo(folder / "ws")
    lab = Lab(folder, person="ann")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            for theme in ("light", "dark"):
                with notebooks(lab, browser, f"pictures-{theme}") as opened:
                    page = opened.run(OPEN, ASK, COMPARE, REVIEW, CORPUS, dark=theme == "dark", viewport=SIZE)
                    _photograph(page, theme)
            browser.close()
    finally:
        lab.stop()


def _photograph(page: Any, theme: str) -> None:
    ask, compare, review, corpus = (_panel(page, cell) for cell in CELLS.values())
    corpus.locator(".card").first.wait_for()
    if (
        load := ask.get_by_role("button", name="Choose words")
    ).count():  # the answer was kept, the model is not loaded
        load.click()
    ask.locator(".token").first.wait_for()
    ask.locator(".card").nth(2).get_by_role("button", name="Flag").click()
    ask.locator(".chip.flagged").first.wait_for()
    ask.locator(".card").first.get_by_role("button", name="Read").click()
    ask.locator(".drawer").wait_for()
    review.click(position={"x": 3, "y": 3})
    for key, num_done in (("a", 1), ("f", 2)):
        page.keyboard.press(key)
        review.get_by_text(f"{num_done} of 6 done").wait_for()
    page.keyboard.press("1")
    corpus.get_by_role("textbox", name="Search the texts").fill("sydney")
    page.keyboard.press("Enter")
    corpus.get_by_text("of 5 texts").wait_for()
    corpus.get_by_role("button", name="trivia-board").click()
    corpus.locator(".picks button").wait_for()
    page.mouse.move(2, 2)
    page.evaluate("() => document.activeElement?.blur()")
    style = page.add_style_tag(content=LONELY)
    for name, panel in {"ask": ask, "compare": compare, "review": review, "corpus": corpus}.items():
        _picture(page, panel, IMAGES / f"notebook-{name}-{theme}.png")
    style.evaluate("(style) => style.remove()")
    review.get_by_role("button", name="Undo").click()  # the next theme begins with nothing decided
    review.get_by_text("1 of 6 done").wait_for()
    review.get_by_role("button", name="Undo").click()
    review.get_by_text("0 of 6 done").wait_for()
    ask.get_by_role("button", name="Undo").click()
    ask.locator(".chip.flagged").first.wait_for(state="detached")


def _panel(page: Any, cell: int) -> Any:
    return page.locator(".jp-Notebook .jp-CodeCell").nth(cell).locator(".lorif")


def _picture(page: Any, panel: Any, path: Path) -> None:
    """The widget, down to the last card that is whole."""
    panel.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = panel.bounding_box()
    bottom = panel.evaluate(
        """(panel) => {
             const list = panel.querySelector(".list");
             if (!list) return panel.getBoundingClientRect().bottom;
             const floor = list.getBoundingClientRect().bottom;
             const ends = [...list.children].map((card) => card.getBoundingClientRect().bottom);
             const drawer = panel.querySelector(".drawer")?.getBoundingClientRect().bottom ?? 0;
             return Math.max(...ends.filter((end) => end <= floor), Math.min(drawer, floor));
           }"""
    )
    clip = {
        "x": box["x"] - MARGIN,
        "y": box["y"] - MARGIN / 2,
        "width": box["width"] + 2 * MARGIN,
        "height": bottom - box["y"] + MARGIN / 2 + 6,  # less than the gap between cards
    }
    page.screenshot(path=path, clip=clip)


if __name__ == "__main__":
    main()
