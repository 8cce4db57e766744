"""A slice whose model is divided among processes that torchrun starts, with gloo on processors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_workspace import (
    SMALL,
    copy_of,
    done,
    imported,
    index_folder,
    indexed,
    lasting_bytes_below,
    lorif,
    model_folder,
)

from lorif_core.models.sharded_model import Rank
from lorif_core.workspace.indexes.sharded_slices import share_of
from lorif_core.workspace.indexes.slices import Slice


def planned(to, *settings):
    workspace = copy_of(imported(), to)
    return workspace, done("index", workspace, "--model", model_folder(), *settings, "--plan-only", "--json").json[
        "index_id"
    ]


def torchrun(workspace, index_id, slice_, count, *more):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command += ["-m", "lorif_core.cli", "index-part", str(workspace), index_id, "--slice", slice_, "--shard-model"]
    return subprocess.run(
        [*command, "--device", "cpu", *more],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )


@pytest.mark.parametrize(("slices", "ranks"), [(1, 2), (3, 2), (2, 8)])
def test_shares_of_slices_have_every_part_once(slices, ranks):
    own = [
        number
        for one in range(1, slices + 1)
        for rank in range(ranks)
        for number in share_of(Slice(one, slices), Rank(rank, ranks, rank)).parts(8)
    ]
    assert sorted(own) == list(range(8))


def test_two_processes_that_share_a_model_make_the_index_of_one(tmp_path):
    workspace, index_id = planned(tmp_path, *SMALL)
    first = torchrun(workspace, index_id, "1/3", 2)  # 8 parts: 0, 3 and 6, of which one process has two
    assert first.returncode == 0, first.stderr[-3000:]
    assert "Slice 1/3 is done; 5 parts" in first.stdout
    assert first.stdout.count("\n") == 1
    last = torchrun(workspace, index_id, "1/1", 2)
    assert last.returncode == 0, last.stderr[-3000:]
    assert "is complete" in last.stdout
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))


def test_a_process_that_torchrun_did_not_start_is_told_how_it_starts_one(tmp_path):
    workspace, index_id = planned(tmp_path, *SMALL)
    refused = lorif("index-part", workspace, index_id, "--slice", "1/1", "--shard-model")
    assert refused.code == 2
    assert "torchrun --standalone --nproc-per-node 8" in refused.err


def test_modules_that_are_no_plain_products_are_refused(tmp_path):
    workspace, index_id = planned(tmp_path, *SMALL, "--include", "*mlp*", "--include", "*ln_1*")
    refused = torchrun(workspace, index_id, "1/1", 2)
    assert refused.returncode != 0
    assert "plain linear maps can be tracked" in refused.stderr
    assert "ln_1" in refused.stderr
    assert not list(Path(index_folder(workspace)).glob("parts/*.json"))
