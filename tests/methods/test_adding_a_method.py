"""The worked example of docs/how-to/adding-a-method.md works as it stands."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny_workspace import copy_of, imported, model_folder

import lorif_core as lf
from lorif_core.cli.index_commands import index_command
from lorif_core.methods.registry import METHODS, MethodEntry

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "adding-a-method.md").read_text(encoding="utf-8")
FILE, LINE = re.findall(r"```python\n(.*?)```", PAGE, re.S)
HOME = "lorif_core.methods.tracin"
RATE = 0.25


@pytest.fixture
def tracin(monkeypatch):
    module = ModuleType(HOME)
    monkeypatch.setitem(sys.modules, HOME, module)
    exec(compile(FILE, "docs/how-to/adding-a-method.md", "exec"), vars(module))
    entry = eval(LINE, {"MethodEntry": MethodEntry, "TracinConfig": module.TracinConfig})
    monkeypatch.setitem(METHODS, entry.name, entry)


def test_the_example_is_short():
    assert 30 < len(FILE.splitlines()) < 60


def test_a_method_of_one_file_and_one_line_is_indexed_and_asked_like_any_other(tracin, tmp_path):
    ws = lf.open_workspace(copy_of(imported(), tmp_path))
    model = lf.ModelConfig(model=str(model_folder()))
    plain = ws.indexes.build(lf.IndexConfig(model=model, method=lf.method_settings("graddot", f=2))).index_id
    question = {"k": 121, "num_opposing": 121, "keeps": False, "settings": lf.ScoreConfig()}
    wanted = ws.ask("a b", " c", index_id=plain, **question)
    settings = lf.method_settings("tracin", f=2, learning_rate=RATE)
    ws.indexes.build(lf.IndexConfig(model=model, method=settings, batches=lf.BatchConfig(max_length=500)))
    index_id = next(one.index_id for one in ws.indexes.records() if one.method == "tracin")
    found = ws.ask("a b", " c", index_id=index_id, **question)
    assert len(found.hits) > 100
    assert {hit.train_id: hit.score for hit in found.hits} == pytest.approx(
        {hit.train_id: RATE * hit.score for hit in wanted.hits}, rel=1e-4
    )


def test_its_settings_are_what_the_command_line_takes(tracin):
    hints = index_command("tracin").__annotations__
    assert any(
        "learning_rate" in getattr(hint.__origin__, "__dataclass_fields__", ())
        for hint in hints.values()
        if hasattr(hint, "__origin__")
    )
