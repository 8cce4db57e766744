"""Maps whose layers are divided among workers, against those of one process."""

import os
import subprocess
import sys

import pytest
from test_hand_out_parts import PlayedPool
from tiny_workspace import copy_of, done, imported, index_folder, lasting_bytes_below, model_folder

from lorif_core.errors import NumericalError, ResourceError
from lorif_core.passes.layer_groups import moments_bytes
from lorif_core.ray_pool import Refusal
from lorif_core.shapes import ModuleShape
from lorif_core.workspace.indexes.half_whitening import _groups, _hand_out
from lorif_core.workspace.indexes.hand_out_parts import MOST_DEATHS, Made

MODULES = [
    ModuleShape(f"layers.{layer}.{name}", i, o, 4, 4)
    for layer in range(6)
    for name, i, o in (("up", 8, 32), ("q", 8, 8))
]
GROUPS = [("a", "b"), ("c",), ("d",)]
KRONECKER = ("--method", "kronecker", "--budget", "600B", "--shard-examples", 16)


def handed_out(answer, num_workers=2):
    pool, said = PlayedPool(num_workers, answer, set()), []
    _hand_out(pool, GROUPS, lambda *step: said.append(step))
    return pool, said


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_groups_are_no_more_than_workers_and_have_every_module_once_in_order(count):
    groups = _groups(MODULES, count)
    assert [name for group in groups for name in group] == [one.name for one in MODULES]
    assert len(groups) <= count
    shapes = {one.name: one for one in MODULES}
    sizes = [moments_bytes([shapes[name] for name in group]) for group in groups]
    assert max(sizes) <= moments_bytes(MODULES) // count + moments_bytes(MODULES[:1])


def test_every_group_is_handed_out_once_and_progress_counts_modules():
    pool, said = handed_out(lambda worker, method, names: Made())
    assert sorted(names for _, _, names in pool.calls) == GROUPS
    assert said[0] == ("statistics", 0, 4)
    assert said[-1] == ("statistics", 4, 4)
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said)


def test_what_a_dead_worker_had_is_handed_out_again():
    deaths = iter(["it died"])
    pool, _ = handed_out(lambda worker, method, names: next(deaths, Made()) if names == ("c",) else Made())
    assert [names for _, _, names in pool.calls].count(("c",)) == 2


def test_workers_that_keep_dying_stop_the_build():
    with pytest.raises(ResourceError, match=r"workers die when they take statistics \(it died\)"):
        handed_out(lambda worker, method, names: "it died")


def test_what_a_worker_refuses_is_refused():
    with pytest.raises(NumericalError, match="the moments are zero"):
        handed_out(lambda worker, method, names: Made(refusal=Refusal("NumericalError", "the moments are zero")))


def test_fewer_deaths_than_that_do_not():
    deaths = iter(["it died"] * (MOST_DEATHS - 1))
    pool, _ = handed_out(lambda worker, method, names: next(deaths, Made()))
    assert len(pool.calls) == len(GROUPS) + MOST_DEATHS - 1


@pytest.mark.ray
@pytest.mark.slow
def test_an_index_whose_statistics_workers_took_is_that_of_one_process(tmp_path):
    settings = ("--model", model_folder(), *KRONECKER)
    (alone, shared) = (copy_of(imported(), tmp_path / name) for name in ("alone", "shared"))
    done("index", alone, *settings)
    command = [sys.executable, "-m", "lorif_core.cli", "index", shared, *settings, "--workers", 2]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert lasting_bytes_below(index_folder(shared)) == lasting_bytes_below(index_folder(alone))
    statistics = [
        sorted(one.name for one in (ws / "statistics").rglob("*") if one.is_file()) for ws in (alone, shared)
    ]
    assert statistics[0] == statistics[1] != []
