"""A short storm: every scenario for a few rounds, the same ones each time. `make storm` goes on for 20 minutes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenarios", "rounds", "counted"),
    [
        (("kills_of_decisions", "clocks_going_back"), 8, ("acknowledged acts", "kills", "moved clocks")),
        (("kills_of_writers",), 4, ("kills", "answers compared")),
        (("damage_of_files",), 6, ("damages named by the doctor", "answers compared")),
        (("limited_processes", "six_processes"), 4, ("limited processes", "acknowledged acts")),
        (("full_disks", "other_places"), 1, ("workspaces at another place", "answers compared")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_short_storm_breaks_no_promise(scenarios, rounds, counted, tmp_path):
    figures = tmp_path / "storm.json"
    command = [sys.executable, "-m", "storms.storm", "--rounds", str(rounds), "--seed", "17", "--json", str(figures)]
    ended = subprocess.run(
        [*command, "--only", *scenarios],
        cwd=TESTS.parent,
        env=os.environ
        | {
            "PYTHONPATH": f"{TESTS.parent}:{TESTS}:{TESTS / 'workspace'}",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-3000:]
    found = json.loads(figures.read_text())
    assert found["violations"] == {}
    assert all(found["counts"].get(name, 0) > 0 for name in counted), found["counts"]
