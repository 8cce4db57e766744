import os
import sys
import weakref

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from hypothesis import settings

CHROMIUM = "/usr/bin/chromium"

torch.set_num_threads(1)
sys.setrecursionlimit(10_000)  # a call whose types are checked takes several frames of the stack
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, see tests/SKIPPED.md"))


@pytest.fixture(scope="session", autouse=True)
def state_folder_of_the_tests(tmp_path_factory):
    """Reports of defects that tests provoke are none of the person's who runs them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def unchecked_types():
    """Calls as outside the tests, where nobody checks them: for refusals of what a declared type already excludes."""
    from jaxtyping import config

    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def seen_outputs(monkeypatch) -> list[weakref.ref[torch.Tensor]]:
    """What tracked weights gave in the passes of a test, for as long as something holds it."""
    from lorif_core.capture.collecting import Collector

    outputs, on_use = [], Collector.on_use

    def seen(self, use):
        outputs.append(weakref.ref(use.output))
        on_use(self, use)

    monkeypatch.setattr(Collector, "on_use", seen)
    return outputs


@pytest.fixture
def three_threads():
    """torch on three threads; without it tests have one."""
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def hasty_threads():
    """Threads that let others run as often as Python allows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests: Playwright runs once in a process."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
