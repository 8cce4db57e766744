"""What SECURITY.md answers about known advisories is true of the versions that are pinned."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| ([\w-]+) \| CVE-.*? \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)


def numbers(version):
    return tuple(map(int, version.split(".")))


def test_every_advisory_is_fixed_in_what_is_pinned():
    pinned = dict(re.findall(r"^([\w.-]+)==([\d.]+)", (ROOT / "constraints.txt").read_text().lower(), re.MULTILINE))
    rows = ROW.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(rows) >= 14
    assert [row for row in rows if pinned[row[0]] != row[2] or numbers(row[2]) < numbers(row[1])] == []
