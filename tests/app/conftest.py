import sys
from collections.abc import Callable, Iterator

import polars as pl
import pytest
from driving import opening
from studio_server import Studio, build_workspace, serving

import lorif_core as lf


@pytest.fixture(autouse=True)
def _main_module_is_put_back():
    """``AppTest`` leaves its script as ``__main__``, which every process spawned by a later test would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def studio(tmp_path_factory) -> Iterator[Studio]:
    """A server over the tiny workspace, with hostile texts and three questions asked; shared by all tests."""
    with serving(build_workspace(tmp_path_factory.mktemp("studio"))) as running:
        yield running


@pytest.fixture
def open_studio(request, chromium) -> Iterator[Callable]:
    """Opens a page of a studio in a browser of its own; asserts at the end that only studios were called."""
    studios: set[str] = set()
    with opening(chromium, request.node.name) as (open_path, requests):

        def open_one(studio: Studio, path: str = "/investigate", **options):
            studios.add(studio.url)
            return open_path(studio, path, **options)

        yield open_one
    own = (*studios, *(url.replace("http", "ws") for url in studios), "data:", "blob:")
    assert [url for url in requests if not url.startswith(own)] == []


@pytest.fixture
def new_page(open_studio, studio) -> Iterator[Callable]:
    """Opens a page of the shared studio; what a test decided there is taken back."""
    yield lambda path="/investigate", **options: open_studio(studio, path, **options)
    workspace = lf.open_workspace(studio.workspace)
    decided = workspace.decisions.states().filter(pl.col("status") != "kept")["train_id"].to_list()
    if decided:
        workspace.restore(decided, actor="tester")
