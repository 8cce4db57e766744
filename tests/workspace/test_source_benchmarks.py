"""Checkpoints of a truth, `source` in the quality table, and its variants beside each other."""

import json
import shutil

import numpy as np
import pytest
from test_source_index import trained
from tiny_workspace import rows, write_rows

from benchmarks.quality import main as quality
from benchmarks.source_variants import main as source_variants
from benchmarks.truths.train_checkpoints import find_checkpoints
from benchmarks.truths.train_checkpoints import main as train_checkpoints
from lorif_core.config import ModelConfig
from lorif_core.models.load import load_model


@pytest.fixture
def truth(tmp_path):
    """A truth whose model is the last of three checkpoints."""
    folder = tmp_path / "a-truth"
    trained(folder / "checkpoints")
    write_rows(folder / "train.jsonl", rows())
    write_rows(folder / "query.jsonl", rows()[:3])
    (folder / "model").symlink_to(folder / "checkpoints" / "checkpoint-30")
    (folder / "recipe.toml").write_text('checkpoint = "model"\nlearning_rate = 1e-3\nmax_length = 32\nepochs = 1\n')
    rng = np.random.default_rng(0)
    np.savez(folder / "truth.npz", masks=rng.random((6, len(rows()))) < 0.5, losses=rng.random((6, 3)))
    return folder


def test_the_table_and_the_variants_agree_about_source(truth, tmp_path):
    table, variants = tmp_path / "table.json", tmp_path / "variants.json"
    words = [str(truth), "--work", str(tmp_path / "work"), "--only", "source", "--references", "--json", str(table)]
    assert quality(words) == 0
    (line,) = (one for one in json.loads(table.read_text("utf-8"))["a-truth"] if one["configuration"] == "source")
    assert "+ checkpoint-10, checkpoint-20 (3 segments)" in line["label"]
    words = [str(truth), "--work", str(tmp_path / "work" / "a-truth"), "--json", str(variants)]
    assert source_variants(words) == 0
    found = {one["variant"]: one["lds"] for one in json.loads(variants.read_text("utf-8"))}
    assert {"last", "average", "products", "source 1 adamw", "source 2 adamw", "source 3 sgd"} < set(found)
    assert found["source 3 adamw"] == pytest.approx(line["lds"], abs=1e-6)


def test_a_truth_without_checkpoints_has_no_line_of_source_and_says_why(truth, tmp_path, capsys):
    own = truth / "checkpoints" / "checkpoint-30"
    (truth / "model").unlink()
    shutil.copytree(own, truth / "model")
    shutil.rmtree(truth / "checkpoints")
    assert quality([str(truth), "--only", "source", "graddot-index", "--references"]) == 0
    told = capsys.readouterr()
    assert "source: left out, as " in told.err
    assert "| source |" not in told.out


def test_checkpoints_are_the_steps_of_the_recipe_with_what_a_trainer_writes(truth):
    (truth / "recipe.toml").write_text('checkpoint = "model"\nlearning_rate = 1e-3\nmax_length = 32\nepochs = 1\n')
    assert train_checkpoints([str(truth), "--count", "2", "--out", "again"]) == 0
    places = find_checkpoints(truth / "again")
    assert [one.name for one in places] == ["checkpoint-4", "checkpoint-8"]  # 121 texts, 16 a step
    states = [json.loads((one / "trainer_state.json").read_text("utf-8")) for one in places]
    assert [(one["global_step"], one["epoch"]) for one in states] == [(4, 0.5), (8, 1.0)]
    rates = [one["learning_rate"] for one in states[1]["log_history"]]
    assert rates == pytest.approx([1e-3 * (1 - step / 8) for step in range(8)])
    first, last = (load_model(ModelConfig(model=str(one), device="cpu")).fingerprint for one in places)
    assert first != last
    assert train_checkpoints([str(truth), "--count", "2", "--out", "again"]) == 0  # what is there is found
