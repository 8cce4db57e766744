from collections.abc import Iterator

import pytest
from jupyter_lab import Lab, Notebooks, notebooks
from studio_server import Studio, serving
from tiny_workspace import NUM_TEXTS, SMALL, copy_of, done, indexed, model_folder, rows, write_rows

import lorif_core as lf

HOSTILE_TEXT = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> $x^2$ \\(y\\) :red[a] **b** "
    "\u05e9\u05dc\u05d5\u05dd \U0001f600 " + "river Arlen " * 90_000
)
"""More than a million characters."""


@pytest.fixture
def ws(tmp_path):
    """The tiny workspace, to be written to."""
    return lf.open_workspace(copy_of(indexed(), tmp_path))


@pytest.fixture
def answer(ws):
    """All texts that the index knows, in one answer; the hostile one among them."""
    return ws.ask("The river of Arlen is", " castle Brook Glenby Farrow.", k=NUM_TEXTS, num_opposing=NUM_TEXTS)


@pytest.fixture(scope="session")
def hostile_text() -> str:
    """Of the text ``hostile`` in the workspace of the lab."""
    return HOSTILE_TEXT


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab; its folder holds the workspace ``ws``."""
    folder = tmp_path_factory.mktemp("lab")
    hostile = {"id": "hostile", "prompt": "", "completion": HOSTILE_TEXT, "source": "atlas", "year": 1}
    done("import", folder / "ws", write_rows(folder / "texts.jsonl", [*rows()[:-1], hostile]))
    done("index", folder / "ws", "--model", model_folder(), *SMALL)
    running = Lab(folder)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def studio(lab) -> Iterator[Studio]:
    """The studio over the workspace of the lab."""
    with serving(lab.folder / "ws") as running:
        yield running


@pytest.fixture
def opened(request, chromium, lab) -> Iterator[Notebooks]:
    """Notebooks of one test; asserts that no other host was called."""
    with notebooks(lab, chromium, request.node.name) as found:
        yield found


@pytest.fixture
def run_cells(opened):
    """Opens a notebook of these cells, runs them all, gives the page."""
    return opened.run


@pytest.fixture(scope="session")
def output_of():
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
