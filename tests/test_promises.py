"""docs/explanation/promises.md names a test for every promise, and tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "explanation" / "promises.md").read_text("utf-8").partition("## What storms found")[0]
ROWS = [row for row in re.findall(r"^\| (.+?) \| (.+) \|$", PAGE, re.M) if row[0] != "promise"]
FEWEST = 20


def named_in(cell):
    return re.findall(r"`([\w/]+\.py)::(test_\w+)`", cell)


def test_every_promise_has_a_test():
    assert len(ROWS) >= FEWEST
    assert [promise for promise, cell in ROWS if not named_in(cell)] == []


def test_every_named_test_exists():
    named = {one for _, cell in ROWS for one in named_in(cell)}
    missing = [one for one in named if f"def {one[1]}(" not in (TESTS / one[0]).read_text(encoding="utf-8")]
    assert missing == []
