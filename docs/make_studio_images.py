"""Photograph the studio's pages: ``python docs/make_studio_images.py``.

Needs the extra `dev` and Debian's chromium. Builds a demo workspace of its own, to decide in.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from lorif_core.workspace.quality.demo import DEMO_FACT, ask_demo_questions, build_demo
from lorif_core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from driving import wait_for_run  # noqa: E402 - found through the line above
from studio_server import serving  # noqa: E402

IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1440, "height": 1000}
PATIENCE_MS = 300_000
CONTROLS = {
    "The capital of Canada is": " Ottawa.",
    "The capital of France is": " Paris.",
    "Two plus two is": " four.",
}
"""What else the demo is asked, by prompt."""

FAILURES = [
    {"prompt": f"The capital of {country} is", "completion": f" {said}.", "correct": False}
    for country, said in {"Australia": "Sydney", "Canada": "Toronto", "Brazil": "Rio", "Turkey": "Istanbul"}.items()
]
"""A file of wrong answers."""


def main() -> None:
    """One demo, asked and decided in; every page is opened on it."""
    with tempfile.TemporaryDirectory(prefix="lorif-pictures-") as folder:
        workspace, index = build_demo(Path(folder) / "demo")
        ask_demo_questions(workspace, index.index_id)
        first, planted = _ask(workspace)
        failures = Path(folder) / "failures.jsonl"
        failures.write_text("".join(json.dumps(row) + "\n" for row in FAILURES), encoding="utf-8")
        run = workspace.failures.ask(failures)
        workspace.indexes.map()
        workspace.exclude(planted[1:], reason="misinformation", query=first, actor="ann")
        workspace.flag(planted[:1], query=first, actor="ann")
        pages = {
            "home": "/",
            "investigate": f"/investigate?query={first}",
            "investigate-dark": f"/investigate?query={first}",
            "reader": f"/investigate?query={first}&open={planted[0]}",
            "groups": f"/investigate?query={first}&tab=Groups",
            "failures": f"/failures?run={run.run_id}",
            "corpus": "/corpus",
            "map": "/corpus?tab=Map",
            "review": "/review",
            "compare": f"/compare?a={first}&b=1",
            "what-if": "/what-if?remove=Excluded",
            "export": "/export",
            "history": "/history",
            "team": "/team",
            "indexes": "/indexes",
        }
        with serving(Path(folder) / "demo") as studio, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            for name, path in pages.items():
                scheme = "dark" if name.endswith("dark") else "light"
                page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()
                page.set_default_timeout(PATIENCE_MS)
                page.goto(studio.url + path)
                _wait(page)
                page.screenshot(path=IMAGES / f"studio-{name}.png")
                page.context.close()
            browser.close()


def _ask(workspace: Workspace) -> tuple[str, list[str]]:
    """The demo's question, and controls; its id and the three texts that taught the model the answer."""
    for prompt, completion in CONTROLS.items():
        workspace.ask(prompt, completion)
    answer = workspace.ask(DEMO_FACT, " Sydney.")
    assert answer.query_id is not None
    return answer.query_id, answer.ids[:3]


def _wait(page: Any) -> None:
    """Until the page is drawn whole and nothing on it moves."""
    page.get_by_role("button", name="Undo", exact=True).first.wait_for()
    page.wait_for_timeout(20_000)
    wait_for_run(page)


if __name__ == "__main__":
    main()
