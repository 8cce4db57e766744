import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tiny_workspace import NUM_TEXTS, copy_of, indexed

import lorif_core as lf

CHROMIUM = "/usr/bin/chromium"
STARTS_WITHIN_S = 120
TIMEOUT_MS = 120_000


class Studio(NamedTuple):
    """A running studio and the workspace that it shows."""

    url: str
    workspace: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, server: subprocess.Popen) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(url)


SERVE = (
    "import sys; from pathlib import Path; from lorif_core.cli.studio import app; "
    "app(Path(sys.argv[1]), port=int(sys.argv[2]))"
)


@pytest.fixture(scope="session")
def studio(tmp_path_factory) -> Iterator[Studio]:
    """A server over the tiny workspace with two questions asked; the hostile text is in the lists of the second."""
    workspace = copy_of(indexed(), tmp_path_factory.mktemp("studio"))
    opened = lf.open_workspace(workspace)
    opened.ask("The river of Arlen is", " castle Brook Glenby Farrow Corve.", k=10, num_opposing=10)
    opened.ask("The river of Arlen is", " castle Brook.", k=NUM_TEXTS, num_opposing=NUM_TEXTS)
    port = free_port()
    log = (workspace.parent / "server.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(workspace), str(port)],
        stdout=log,
        stderr=log,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "LORIF_ACTOR": "tester"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, server)
        yield Studio(url, workspace)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
        log.close()


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def new_page(request, chromium, studio):
    """Opens a page of the studio in a browser of its own; asserts at the end that nothing else was called."""
    contexts, requests = [], []

    def open_path(path: str = "/", **options):
        context = chromium.new_context(viewport={"width": 1400, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda made: requests.append(made.url))
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
        page.goto(studio.url + path)
        page.get_by_role("button", name="Undo").wait_for()
        return page

    yield open_path
    for number, context in enumerate(contexts):
        if folder := os.environ.get("LORIF_SHOTS"):
            context.pages[0].screenshot(path=f"{folder}/{request.node.name}-{number}.png")
        context.close()
    others = [
        url
        for url in requests
        if not url.startswith((studio.url, studio.url.replace("http", "ws"), "data:", "blob:"))
    ]
    assert others == []
