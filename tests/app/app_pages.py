"""Pages without a browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

SCRIPT = "from app.shell import run\n\nrun({first!r})\n"
"""As app/script/main.py. AppTest would take the folder app/pages beside that file for pages of the old kind."""

TIMEOUT_S = 600


def open_page(
    monkeypatch, workspace: Path, page: str | None = None, first: str = "investigate", **url: str
) -> AppTest:
    """A page after its first run.

    Args:
        monkeypatch: Sets what `lorif app` would.
        workspace: Its folder.
        page: Module below app/pages without its `_page`, drawn without the frame; None is Investigate with the frame.
        first: Path of the page that is drawn with the frame.
        **url: Query parameters.
    """
    monkeypatch.setenv("LORIF_STUDIO_WORKSPACE", str(workspace))
    monkeypatch.setenv("LORIF_STUDIO_AUTH", "")
    monkeypatch.setenv("LORIF_ACTOR", "tester")
    app = AppTest.from_string(
        SCRIPT.format(first=first) if page is None else f"from app.pages.{page}_page import page\n\npage()\n",
        default_timeout=TIMEOUT_S,
    )
    for name, value in url.items():
        app.query_params[name] = value
    return app.run()


def texts(app: AppTest) -> list[str]:
    """Everything drawn by st.text."""
    return [element.value for element in app.text]


def button(app: AppTest, key: str) -> Any:
    """The button with that key."""
    return next(one for one in app.button if one.key == key)


def sure(app: AppTest) -> Any:
    """The box that says yes to the rules of an export."""
    return next(one for one in app.checkbox if str(one.key).startswith("export-rules-sure"))


def run_until(app: AppTest, claim: Callable[[AppTest], bool], runs: int = 60) -> None:
    """Run a page again until what is claimed of it holds."""
    for _ in range(runs):
        if claim(app):
            return
        app.run()
    raise AssertionError(texts(app))
