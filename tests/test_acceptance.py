"""docs/acceptance.md names the test of every statement, and tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
ROWS = re.findall(
    r"^\| (\d+) \| (.+?) \| (.+) \|$", (TESTS.parent / "docs" / "acceptance.md").read_text("utf-8"), re.M
)
NUM_STATEMENTS, LEAST_SHOWN = 90, 75
MUST_BE_SHOWN = {
    2,
    8,
    9,
    *range(12, 19),
    *range(23, 29),
    *range(31, 40),
    41,
    43,
    44,
    45,
    49,
    51,
    57,
    58,
    *range(61, 91),
}


def named_in(cell):
    return re.findall(r"`([\w/]+\.py)::(test_\w+)`", cell)


def test_every_statement_has_a_row():
    assert [int(number) for number, _, _ in ROWS] == list(range(1, NUM_STATEMENTS + 1))


def test_every_named_test_exists():
    named = {one for _, _, cell in ROWS for one in named_in(cell)}
    missing = [one for one in named if f"def {one[1]}(" not in (TESTS / one[0]).read_text(encoding="utf-8")]
    assert missing == []


def test_what_is_shown_does_not_shrink():
    shown = {int(number) for number, _, cell in ROWS if named_in(cell)}
    assert len(shown) >= LEAST_SHOWN
    assert shown >= MUST_BE_SHOWN
