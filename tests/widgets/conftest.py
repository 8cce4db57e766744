import json
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

import nbformat
import pytest
from tiny_workspace import NUM_TEXTS, SMALL, copy_of, done, indexed, model_folder, rows, write_rows

import lorif_core as lf

HOSTILE_TEXT = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> $x^2$ \\(y\\) :red[a] **b** "
    "\u05e9\u05dc\u05d5\u05dd \U0001f600 " + "river Arlen " * 90_000
)
"""More than a million characters."""

CHROMIUM = "/usr/bin/chromium"
STARTS_WITHIN_S = 120
TIMEOUT_MS = 60_000


class Lab(NamedTuple):
    """A running JupyterLab and the workspace that its notebooks open."""

    url: str
    folder: Path
    workspace: Path


@pytest.fixture
def ws(tmp_path):
    """The tiny workspace, to be written to."""
    return lf.open_workspace(copy_of(indexed(), tmp_path))


@pytest.fixture
def answer(ws):
    """All texts that the index knows, in one answer; the hostile one among them."""
    return ws.ask("The river of Arlen is", " castle Brook Glenby Farrow.", k=NUM_TEXTS, num_opposing=NUM_TEXTS)


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab without a token, for this machine only, over a folder of its own."""
    folder = tmp_path_factory.mktemp("lab")
    workspace = folder / "ws"
    texts = [
        *rows()[:-1],
        {"id": "hostile", "prompt": "", "completion": HOSTILE_TEXT, "source": "atlas", "year": 1},
    ]
    done("import", workspace, write_rows(folder / "texts.jsonl", texts))
    done("index", workspace, "--model", model_folder(), *SMALL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "layouts")}
    own |= {"IPYTHONDIR": str(folder / "ipython"), "LORIF_ACTOR": "tester", "OMP_NUM_THREADS": "1"}
    log = (folder / "server.log").open("wb")
    server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | own)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + STARTS_WITHIN_S
        while True:
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < end, (folder / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"{url}/api/status", timeout=2):
                    break
            except OSError:
                time.sleep(0.3)
        yield Lab(url, folder, workspace)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def write_settings(lab: Lab, *, theme: str) -> None:
    """Preferences of the person at the browser: a theme, and no questions."""
    wanted = {
        "apputils-extension/themes": {"theme": theme},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"autoStartDefaultKernel": True},
    }
    for name, values in wanted.items():
        file = lab.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


@pytest.fixture
def run_cells(request, chromium, lab):
    """Opens a notebook of these cells, runs them all, gives the page; asserts that no other host was called."""
    contexts, requests = [], []

    def run(*cells: str, dark: bool = False, viewport=(1400, 1100)):
        name = f"{request.node.name[:40]}-{len(contexts)}.ipynb".replace("[", "-").replace("]", "")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, lab.folder / name)
        write_settings(lab, theme="JupyterLab Dark" if dark else "JupyterLab Light")
        context = chromium.new_context(viewport={"width": viewport[0], "height": viewport[1]})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda made: requests.append(made.url))
        page.on("console", lambda said: print("console:", said.type, said.text[:300]))
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
        page.goto(f"{lab.url}/doc/tree/{name}?reset")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        return page

    yield run
    for number, context in enumerate(contexts):
        if folder := os.environ.get("LORIF_SHOTS"):
            context.pages[0].screenshot(path=f"{folder}/{request.node.name[:60]}-{number}.png")
        context.close()
    others = [
        url for url in requests if not url.startswith((lab.url, lab.url.replace("http", "ws"), "data:", "blob:"))
    ]
    assert others == []


@pytest.fixture
def output_of(run_cells):
    """Runs one more cell in an open notebook and gives what it prints."""

    def run(page, code: str) -> str:
        before = page.locator(".jp-Notebook .jp-CodeCell").count()
        page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-InputArea-editor").click()
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(before)
        cell.wait_for()
        page.keyboard.press("Enter")
        page.keyboard.insert_text(code)
        page.keyboard.press("Shift+Enter")
        output = cell.locator(".jp-OutputArea-output").first
        output.wait_for()
        return output.inner_text()

    return run
