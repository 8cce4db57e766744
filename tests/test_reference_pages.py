"""The pages of docs/reference/ that follow from the code are what ``python docs/make_reference.py`` writes."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from lorif_core.cli import COMMANDS, GROUPS

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS))

import make_reference  # noqa: E402 - found through the line above


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What the script writes; in a process of its own, whose functions nothing checks at run time."""
    folder = tmp_path_factory.mktemp("reference")
    command = [sys.executable, DOCS / "make_reference.py", folder]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(DOCS.parent)})
    return folder


@pytest.mark.parametrize("name", make_reference.PAGES)
def test_a_page_is_current(name, written):
    kept = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert kept == (written / name).read_text(encoding="utf-8"), "run `.venv/bin/python docs/make_reference.py`"


def test_every_command_of_every_group_has_its_options():
    page = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    names = [*COMMANDS, *(f"{group} {name}" for group, below in GROUPS.items() for name in below)]
    assert [name for name in names if f"## lorif {name}\n" not in page] == []
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")}
    assert "| `--prompt` | `STR` |" in sections["lorif ask"]
    assert "| `-k`, `--k` | `INT` | Length of the list of supporting texts. | `10` |" in sections["lorif ask"]
    assert "| `WORKSPACE` | `PATH` |" in sections["lorif status"]


def test_every_field_of_every_setting_is_told():
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    kinds = make_reference.setting_classes()
    assert {"ImportConfig", "KroneckerConfig", "MembersConfig"} <= {kind.__name__ for kind in kinds}
    untold = [
        f"{kind.__name__}.{field.name}"
        for kind in kinds
        for field in fields(kind)
        if f"| `{field.name}` | " not in page or f"| `{field.name}` |  |" in page
    ]
    assert untold == []
