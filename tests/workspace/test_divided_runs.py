"""A run of two processes under DistributedDataParallel is the run of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_logged_runs import decoded
from tiny_workspace import done, write_rows

import lorif_core as lf

HERE = Path(__file__).parent
NUM_ROWS = 32

RANK = """
import os, sys
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
import lorif_core as lf
from test_divided_runs import values_and_labels, NUM_ROWS
from test_logged_runs import settings_of
from test_loops_of_all_kinds import small_net

folder, name, count, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
values, labels = values_and_labels()
rank = int(os.environ.get("RANK", 0))
if count > 1:
    distributed.init_process_group("gloo", init_method=f"file://{folder}.group", rank=rank, world_size=count)
model = small_net()
trained = DistributedDataParallel(model) if count > 1 else model
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
own = 8 // count
options = {"method": settings_of("kronecker"), "precision": "float32"}
with lf.log(lf.open_workspace(folder), trained, name=name, **options) as run:
    for epoch in range(epochs):
        for start in range(0, NUM_ROWS, 8):
            rows = list(range(start + rank * own, start + (rank + 1) * own))
            with run.batch([f"row{n}" for n in rows], targets=own):
                nn.functional.cross_entropy(trained(values[rows]), labels[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
print(run.index_id)
if count > 1:
    distributed.destroy_process_group()
"""


def values_and_labels():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(NUM_ROWS, 6, generator=generator), torch.randint(0, 2, (NUM_ROWS,), generator=generator)


@pytest.fixture
def workspace(tmp_path):
    rows = [{"id": f"row{number}", "text": f"row number {number}"} for number in range(NUM_ROWS)]
    done("import", tmp_path / "ws", write_rows(tmp_path / "rows.jsonl", rows))
    return lf.open_workspace(tmp_path / "ws")


def run_with(workspace, name, count):
    """Ids of the index as every process of a run says it."""
    paths = os.pathsep.join(map(str, (HERE, HERE.parent, HERE.parents[1])))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(workspace.path), name, str(count), "2"],
            env=os.environ | {"RANK": str(rank), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    ended = [one.communicate(timeout=300) for one in started]
    assert [one.returncode for one in started] == [0] * count, ended
    return [out.split()[-1] for out, _ in ended]


def test_two_processes_leave_the_index_of_one(workspace):
    (alone,), together = run_with(workspace, "alone", 1), run_with(workspace, "together", 2)
    assert len(set(together)) == 1
    wanted, found = decoded(workspace, alone), decoded(workspace, together[0])
    assert wanted.keys() == found.keys()
    assert len(wanted) == 2
    for name, matrix in wanted.items():
        assert float((found[name] - matrix).norm()) < 0.01 * float(matrix.norm()), name
