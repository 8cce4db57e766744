import sys
from collections.abc import Callable, Iterator

import pytest
from driving import opening
from studio_server import Studio, build_workspace, serving

CHROMIUM = "/usr/bin/chromium"
TIMEOUT_S = 600
"""Of a test in a browser: the first one of a server waits for torch and the model, on a busy machine for minutes."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("browser") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


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


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_studio(request, chromium) -> Iterator[Callable]:
    """Opens a page of a studio in a browser of its own; asserts at the end that only studios were called."""
    studios: set[str] = set()
    with opening(chromium, request.node.name) as (open_path, requests):

        def open_one(studio: Studio, path: str = "/", **options):
            studios.add(studio.url)
            return open_path(studio, path, **options)

        yield open_one
    own = (*studios, *(url.replace("http", "ws") for url in studios), "data:", "blob:")
    assert [url for url in requests if not url.startswith(own)] == []


@pytest.fixture
def new_page(open_studio, studio) -> Callable:
    """Opens a page of the shared studio."""
    return lambda path="/", **options: open_studio(studio, path, **options)
