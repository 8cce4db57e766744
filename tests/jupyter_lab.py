"""A JupyterLab that runs as a process of its own, and notebooks in it that a browser opens and runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

STARTS_WITHIN_S = 600
TIMEOUT_MS = 300_000


class Lab:
    """A running JupyterLab without a token, for this machine only, over a folder of its own."""

    def __init__(self, folder: Path, *, person: str = "tester") -> None:
        extensions = Path(sys.prefix) / "share" / "jupyter" / "labextensions"
        assert (extensions / "@jupyter-widgets").is_dir(), (
            f"no widgets would show: they have no extension in {extensions}"
        )
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
        own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
        own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
        own |= {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "layouts"), "IPYTHONDIR": str(folder / "ipython")}
        own |= {"LORIF_ACTOR": person, "OMP_NUM_THREADS": "1"}
        self._log = folder / "lab.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, f"--ServerApp.root_dir={folder}"], stdout=log, stderr=log, env=os.environ | own
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """As Ctrl-C does, with a kill if it does not listen."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def is_own(self, url: str) -> bool:
        """Whether an address that a page called is this server's, or no host's."""
        return url.startswith((self.url + "/", self.url.replace("http", "ws") + "/", "data:", "blob:"))

    def write_notebook(self, name: str, cells: tuple[str, ...]) -> None:
        """A notebook of code cells, not run."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.folder / name)

    def write_settings(self, *, theme: str) -> None:
        """Preferences of the person at the browser: a theme, and no questions."""
        wanted = {
            "apputils-extension/themes": {"theme": theme},
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "notebook-extension/tracker": {"autoStartDefaultKernel": True},
        }
        for name, values in wanted.items():
            file = self.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + STARTS_WITHIN_S
        while True:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            try:
                with urllib.request.urlopen(f"{self.url}/api/status", timeout=30):
                    return
            except OSError:
                time.sleep(0.3)


class Notebooks:
    """Notebooks that one browser has open, each in a context of its own."""

    def __init__(self, lab: Lab, chromium, name: str) -> None:
        self._lab, self._chromium = lab, chromium
        self._name = "".join(letter if letter.isalnum() else "-" for letter in name)[:50]
        self.contexts = []
        self.foreign: list[str] = []
        """Addresses of other hosts that a page called."""

    def run(self, *cells: str, dark: bool = False, viewport: tuple[int, int] = (1400, 1100)):
        """Open a new notebook of these cells, run them all, give the page."""
        name = f"{self._name}-{len(self.contexts)}.ipynb"
        self._lab.write_notebook(name, cells)
        self._lab.write_settings(theme="JupyterLab Dark" if dark else "JupyterLab Light")
        context = self._chromium.new_context(viewport={"width": viewport[0], "height": viewport[1]})
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        context.on("request", lambda made: self._note(made.url))
        page.on("websocket", lambda made: self._note(made.url))
        page.on("console", lambda said: print("console:", said.type, said.text[:300]))
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
        page.goto(f"{self._lab.url}/doc/tree/{name}?reset")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        return page

    def close(self) -> None:
        """Close the browser's windows; with LORIF_SHOTS, leave a picture of each in that folder."""
        for number, context in enumerate(self.contexts):
            if folder := os.environ.get("LORIF_SHOTS"):
                context.pages[0].screenshot(path=f"{folder}/{self._name}-{number}.png")
            context.close()

    def _note(self, url: str) -> None:
        if not self._lab.is_own(url):
            self.foreign.append(url)


@contextmanager
def notebooks(lab: Lab, chromium, name: str) -> Iterator[Notebooks]:
    """Notebooks for as long as the block runs; asserts at the end that no other host was called."""
    opened = Notebooks(lab, chromium, name)
    try:
        yield opened
    finally:
        opened.close()
    assert opened.foreign == []
