"""What a command may load (docs/decisions/0072): whoever asks for a table waits for no library that computes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_workspace import copy_of, done, indexed

ROOT = Path(__file__).parents[1]

HEAVY = {
    *("alembic", "datasketch", "duckdb", "numpy", "pandas", "plotly", "polars", "pyarrow", "ray", "safetensors"),
    *("scipy", "sklearn", "sqlalchemy", "streamlit", "tokenizers", "torch", "transformers"),
}
"""Libraries that cost more than 0.05 CPU-s, or more than 20 MB."""

TABLES = {"duckdb", "numpy", "polars", "pyarrow", "sqlalchemy"}
"""What reads the catalog, the journal and the texts."""

RUN = """
import json, sys
from lorif_core.cli import main
heavy, code = json.loads(sys.argv.pop(1)), 0
try:
    code = main()
except SystemExit as leaving:
    code = leaving.code
print(json.dumps([code, sorted(set(heavy) & set(sys.modules))]), file=sys.stderr)
"""

ASKED = ("--prompt", "The river of Arlen is", "--completion", " castle Brook.", "--k", "5")

MAY_LOAD = {
    ("--help",): set(),
    ("ask", "--help"): set(),
    ("flag", "--help"): set(),
    ("index", "--help"): set(),
    ("evaluate", "retrain", "--help"): set(),
    ("jobs", "WORKSPACE"): TABLES,
    ("status", "WORKSPACE"): TABLES,
    ("queries", "WORKSPACE"): TABLES,
    ("history", "WORKSPACE"): TABLES,
    ("flag", "WORKSPACE", "ID"): TABLES,
    ("browse", "WORKSPACE"): TABLES,
    ("indexes", "WORKSPACE"): TABLES | {"plotly"},
    ("reopen", "WORKSPACE", "1"): TABLES | {"plotly"},
    ("ask", "WORKSPACE", *ASKED): TABLES | {"plotly"},
    ("verifications", "WORKSPACE"): TABLES | {"plotly"},
    ("comments", "WORKSPACE"): TABLES,
    ("progress", "WORKSPACE"): TABLES,
    ("groups", "WORKSPACE", "1"): TABLES | {"plotly"},
    ("what-if", "WORKSPACE", "ID", "--queries", "1"): TABLES | {"plotly", "tokenizers"},
}
"""Command → what of ``HEAVY`` it may load."""

IMPORT_PAGES = """
import importlib, json, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps(sorted(set(json.loads(sys.argv[1])) & set(sys.modules))))
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A workspace with a kept question, and the id of a text."""
    workspace = copy_of(indexed(), tmp_path_factory.mktemp("imports"))
    found = done("ask", workspace, *ASKED, "--json").json
    train_id = found["supports"][0]["train_id"]
    done("flag", workspace, train_id)  # makes the journal, which takes alembic
    return workspace, train_id


@pytest.mark.parametrize("command", MAY_LOAD, ids=" ".join)
def test_a_command_loads_no_more_than_it_may(asked, command):
    stands_for = {"WORKSPACE": str(asked[0]), "ID": asked[1]}
    words = [stands_for.get(word, word) for word in command]
    code, loaded = json.loads(run(RUN, json.dumps(sorted(HEAVY)), *words).stderr.splitlines()[-1])
    assert code == 0
    assert set(loaded) - MAY_LOAD[command] == set()


def test_no_page_of_the_studio_loads_what_computes():
    pages = [f"app.pages.{path.stem}" for path in sorted((ROOT / "app" / "pages").glob("*_page.py"))]
    assert len(pages) >= 9
    loaded = json.loads(
        run(IMPORT_PAGES, json.dumps(["torch", "transformers", "datasketch", "scipy"]), *pages).stdout
    )
    assert loaded == []


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
