"""Another kind of processor (torch without vector instructions): other bytes, and the same scores to rounding."""

import os
import subprocess
import sys

import polars as pl
import pytest
import torch
from tiny_workspace import copy_of, done, imported, lasting_bytes_below, model_folder

TOLERANCE = 1e-3
"""Of the largest score: a sign that rounding turns moves a score by one number's share of it."""

SETTINGS = ("--precision", "float32", "--shard-examples", 8)


def in_a_process(*arguments, capability=None):
    found = os.environ | {"OMP_NUM_THREADS": "1"} | ({"ATEN_CPU_CAPABILITY": capability} if capability else {})
    run = [sys.executable, "-m", "lorif_core.cli", *map(str, arguments)]
    subprocess.run(run, check=True, capture_output=True, env=found)


def built(folder, capability=None):
    workspace = copy_of(imported(), folder)
    in_a_process("index", workspace, "--model", model_folder(), *SETTINGS, capability=capability)
    return workspace


def scores_of(workspace, folder):
    questions = folder / "questions.jsonl"
    questions.write_text('{"id": "q", "prompt": "The river of Arlen is", "completion": " the Sorn."}\n')
    out = folder / f"{workspace.parent.name}.parquet"
    done("score", workspace, "--queries", questions, "--out", out)
    return pl.read_parquet(out).get_column("score").to_torch().double()


@pytest.mark.slow
def test_scores_of_an_index_built_on_another_kind_of_processor_agree_to_rounding(tmp_path):
    ours, theirs = built(tmp_path / "ours"), built(tmp_path / "theirs", capability="default")
    wanted, found = scores_of(ours, tmp_path), scores_of(theirs, tmp_path)
    assert float((found - wanted).abs().max()) <= TOLERANCE * float(wanted.abs().max())
    if "DEFAULT" not in torch.backends.cpu.get_cpu_capability():
        assert lasting_bytes_below(theirs) != lasting_bytes_below(ours)  # it was another one
