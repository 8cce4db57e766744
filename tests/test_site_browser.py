"""The built site in a browser, served as a folder: `make docs` first, as `.ci/run` does."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import sync_playwright

SITE = Path(__file__).parents[1] / "site"
CHROMIUM = "/usr/bin/chromium"
PAGES = (
    "index.html",
    "tutorials/01_quickstart.html",
    "how-to/own-model.html",
    "reference/command-line.html",
    "reference/python-api.html",
    "explanation/how-good.html",
    "decisions/index.html",
)

pytestmark = pytest.mark.browser


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format, *args):
        """Nobody reads it."""


@pytest.fixture(scope="module")
def address():
    if not (SITE / "index.html").exists():
        pytest.skip("needs the built site: `make docs`, see tests/SKIPPED.md")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pages_and_their_search_call_no_other_host(address):
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in PAGES:
            page.goto(f"{address}/{name}")
            assert page.locator("h1").first.is_visible()
        page.get_by_role("button", name="Search").first.click()
        page.keyboard.type("reverse proxy")
        page.get_by_role("option", name="The studio behind a reverse proxy").first.wait_for()
        browser.close()
    assert len(asked) > len(PAGES)
    assert [one for one in asked if not one.startswith((address, "data:", "blob:"))] == []
