"""Where there is no terminal, long work says in lines how far it is."""

import io
import time
from contextlib import redirect_stderr
from itertools import chain, repeat

import pytest

from lorif_core.cli.output import progress


@pytest.fixture
def shown(monkeypatch):
    """Report (seconds since the one before, stage, done, total) and hand out the lines."""

    def run(reports, *, quiet=False):
        now, out = 100.0, io.StringIO()
        with redirect_stderr(out), progress(quiet) as show:
            for seconds, *report in reports:
                now += seconds
                monkeypatch.setattr(time, "monotonic", chain([now], repeat(now)).__next__)
                show(*report)
        return out.getvalue().splitlines()

    return run


def test_a_line_says_how_long_it_took_and_will_take(shown):
    found = shown([(0, "retraining", 4, 64), (60, "retraining", 14, 64), (300, "retraining", 64, 64)])
    assert found == [
        "retraining (subsets): 4 of 64",
        "retraining (subsets): 14 of 64, 0:01:00 so far, 0:05:00 to go",
        "retraining (subsets): 64 of 64, 0:06:00 so far",
    ]


def test_lines_come_every_ten_seconds(shown):
    found = shown([(1, "references", done, 100) for done in range(45)])
    assert [line.split(",")[0] for line in found] == [
        f"references (texts): {done} of 100" for done in (0, 10, 20, 30, 40)
    ]


def test_the_end_is_said_once_and_at_once(shown):
    assert len(shown([(0, "map", 0, 2), (0.1, "map", 2, 2), (0.1, "map", 2, 2)])) == 2


def test_a_stage_that_begins_again_has_lines_again(shown):
    found = shown([(0, "references", 1, 2), (1, "references", 2, 2), (1, "references", 1, 2)])
    assert found[-1] == "references (texts): 1 of 2"


def test_a_total_that_is_not_known_is_not_shown(shown):
    assert shown([(0, "rows looked at", 0, 0), (20, "rows looked at", 5000, 0)]) == [
        "rows looked at: 0",
        "rows looked at: 5,000, 0:00:20 so far",
    ]


def test_nothing_is_said_beside_json(shown):
    assert shown([(0, "map", 0, 2)], quiet=True) == []
