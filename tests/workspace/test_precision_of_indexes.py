"""Indexes that are computed in bfloat16 on a CPU: begun in it, gone on with in it, asked in it."""

import json
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from tiny_workspace import copy_of, done, index_folder, lasting_bytes_below, manifest_of, model_folder, root, rows
from tiny_workspace import write_rows as written

from lorif_core.capture import precision

TEXTS = rows()[:40]
QUESTION = ("--prompt", "The river of Arlen is", "--completion", " castle Brook.")
INDEX = ("--method", "kronecker", "--alpha", 0.01, "--shard-examples", 16, "--stats-examples", 32)


@cache
def imported() -> Path:
    workspace = root() / "precision-imported"
    done("import", workspace, written(root() / "precision-texts.jsonl", TEXTS))
    return workspace


def indexed(workspace, *words):
    done("index", workspace, "--model", model_folder(), *INDEX, *words)
    return workspace


@cache
def built(*words) -> Path:
    """A workspace with one index; copy it before writing to it."""
    return indexed(copy_of(imported(), root() / f"precision-{'-'.join(words)}"), *words)


def scores(workspace):
    every = ("-k", len(TEXTS), "--opposing", len(TEXTS), "--forget", "--normalisation", "none", "--refine", 0)
    answer = done("ask", workspace, *QUESTION, *every, "--json").json
    found = {hit["train_id"]: hit["score"] for hit in answer["supports"] + answer["opposes"]}
    return pl.Series([found.get(row["id"], 0.0) for row in TEXTS])


def test_bfloat16_is_recorded_and_ranks_the_texts_nearly_as_float32_does():
    narrow, wide = built("--precision", "bfloat16"), built("--precision", "float32")
    assert manifest_of(narrow)["precision"] == "bfloat16"
    assert "precision" not in manifest_of(wide)
    found, wanted = scores(narrow), scores(wide)
    assert not found.equals(wanted)
    assert pl.select(pl.corr(found, wanted, method="spearman")).item() > 0.95


@pytest.mark.parametrize("gains", [True, False])
def test_an_index_goes_on_in_the_precision_it_was_begun_with_whatever_the_machine(gains, tmp_path, monkeypatch):
    whole = built("--precision", "bfloat16")
    workspace = copy_of(whole, tmp_path)
    folder = index_folder(workspace)
    (folder / "manifest.json").unlink()
    for path in folder.glob("parts/00001*"):
        path.unlink()
    monkeypatch.setattr(precision, "NARROWEST", 1)
    monkeypatch.setattr(precision, "processor_gains", lambda: gains)
    indexed(workspace)  # auto
    found, wanted = lasting_bytes_below(index_folder(workspace)), lasting_bytes_below(index_folder(whole))
    assert [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)] == []


@pytest.mark.parametrize("gains", [True, False])
def test_a_finished_float32_index_is_not_built_anew_where_bfloat16_gains(gains, tmp_path, monkeypatch):
    workspace = copy_of(built("--precision", "float32"), tmp_path)
    monkeypatch.setattr(precision, "NARROWEST", 1)
    monkeypatch.setattr(precision, "processor_gains", lambda: gains)
    indexed(workspace)
    assert "precision" not in manifest_of(workspace)  # of the only index


def test_a_new_index_takes_what_the_processor_gains_by(tmp_path, monkeypatch):
    workspace = copy_of(imported(), tmp_path)
    monkeypatch.setattr(precision, "NARROWEST", 1)
    monkeypatch.setattr(precision, "processor_gains", lambda: True)
    indexed(workspace)
    assert json.loads((index_folder(workspace) / "plan.json").read_text())["precision"] == "bfloat16"


def test_another_precision_that_is_named_is_another_index_with_statistics_of_its_own(tmp_path):
    workspace = copy_of(built("--precision", "bfloat16"), tmp_path)
    before = set((workspace / "statistics").iterdir())
    indexed(workspace, "--precision", "float32")
    assert len(list((workspace / "indexes").iterdir())) == 2
    assert len(set((workspace / "statistics").glob("*.safetensors")) - before) == len(before) > 0
