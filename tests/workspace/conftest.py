import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def processes_find_the_modules_of_these_tests():
    """Processes that Ray or a test starts need modules beside the tests; pytest's own path is not theirs."""
    here = Path(__file__).parent
    with pytest.MonkeyPatch.context() as environment:
        for folder in (here.parent, here):
            environment.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield
