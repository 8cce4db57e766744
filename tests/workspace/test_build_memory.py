"""What a build holds, counted by hand; what an estimate says of disk; when one is made at all."""

from dataclasses import replace

import pytest
import torch
from tiny_workspace import copy_of, done, imported, model_folder

from lorif_core.config import ModelConfig
from lorif_core.errors import ResourceError
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import KroneckerConfig, LograConfig
from lorif_core.models.load import load_model
from lorif_core.shapes import ModuleShape
from lorif_core.workspace.indexes import build_members, build_memory
from lorif_core.workspace.indexes.build_memory import BuildMemory, memory_of, num_passes
from lorif_core.workspace.indexes.timed_batches import watched_memory

WIDE = ModuleShape("up", 8, 4096, 4, 1024)
NARROW = ModuleShape("down", 16, 8, 8, 4)
HEAD = ModuleShape("head", 8, 100, 4, 100, "columns")
MODULES = [WIDE, NARROW, HEAD]
GRADDOT = ("--method", "graddot")


def test_maps_moments_and_roots_are_those_of_the_shapes():
    found = memory_of(make_method(KroneckerConfig(f=4)), MODULES, 1000, 10)
    assert found.maps == 4 * (8 * 4 + 4096 * 1024 + 16 * 8 + 8 * 4 + 8 * 4 + 100)
    assert found.one_family == 4 * (8**2 + 4096**2)
    assert found.roots == 24 * 4096**2 + 40 * 4096 * 1024  # by shifts; 32 · 16² is less
    assert (found.batch, found.shard) == (1000, 10)


def test_random_maps_need_no_statistics_and_keep_whole_sides_out():
    found = memory_of(make_method(LograConfig(f=4)), [replace(WIDE, d_out=4096)], 0)
    assert (found.maps, found.one_family, found.roots) == (4 * 8 * 4, 0, 0)
    assert found.most(0) == found.maps


def test_the_peak_is_that_of_the_stage_that_holds_most():
    memory = BuildMemory(maps=10, one_family=5, roots=3, batch=20, shard=1)
    assert memory.least() == max(5 + 20, 10 + 20 + 1)
    assert memory.most(50) == 50 + 20
    assert replace(memory, roots=30).most(50) == 50 + 10 + 30


def test_passes_follow_from_free_memory():
    memory = memory_of(make_method(KroneckerConfig(f=4)), MODULES, 0)
    whole = sum(map(build_memory.moments_bytes, [[one] for one in MODULES]))
    assert num_passes(memory, MODULES, int(whole / build_memory.ROOM_SHARE) + 9) == 1
    assert num_passes(memory, MODULES, 0) == 3


def test_a_batch_on_a_gpu_is_as_large_as_its_share_of_the_memory():
    model = load_model(ModelConfig(model=str(model_folder()), device="cpu")).model
    sizes, weights = build_memory.sizes_of(model), sum(one.nbytes for one in model.parameters())

    def fitting(tokens):
        batch = build_memory.batch_bytes(tokens, sizes, MODULES)
        return build_memory.tokens_that_fit(weights + int(batch / build_memory.BATCH_SHARE) + 9, model, MODULES)

    assert fitting(1) == 2048
    assert fitting(4096) == 4096
    assert fitting(8191) == 4096
    assert fitting(1 << 20) == 16_384


def test_random_maps_that_do_not_fit_are_refused_with_the_f_that_fits():
    def bytes_at(f):
        return build_memory.maps_bytes([ModuleShape("a", 1024, 1024, 1024 // f, 1024 // f)], is_whitened=False)

    with pytest.raises(ResourceError, match="Pass `--f 8`"):
        build_memory.check_random_maps(bytes_at, 2, 2 * 4 * 1024 * 128)


def test_logra_names_the_f_that_fits():
    module = ModuleShape("a", 256, 256, 64, 64)
    with pytest.raises(ResourceError, match="Pass `--f 16`"):
        make_method(LograConfig(f=4)).curvature.check([module], 4 * 8 * 256**2)


def test_the_disk_of_a_build_is_what_it_was_said_to_be(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    asked = ("index", workspace, "--model", model_folder())
    said = done(*asked, "--dry-run", "--json").json["estimate"]
    assert said["subspace_bytes"] == 0  # half-whitened factors fit no direction
    parts = {one["kind"]: one["size_bytes"] for one in indexed(workspace, asked)["parts"]}
    assert parts["maps"] == pytest.approx(said["maps_bytes"], rel=0.2)
    assert parts["statistics"] == pytest.approx(said["statistics_bytes"], rel=0.2)
    stored = sum(parts[kind] for kind in ("codes", "scales", "columns", "numbers", "self-influence") if kind in parts)
    assert stored == pytest.approx(said["shard_bytes"], rel=0.2)


def indexed(workspace, asked):
    record = done(*asked, "--json").json
    return done("indexes", workspace, record["index_id"], "--json").json


def test_a_head_without_a_subspace_takes_no_curvature():
    said = done("index", imported(), "--model", model_folder(), *GRADDOT, "--dry-run", "--json").json["estimate"]
    assert said["subspace_bytes"] == said["maps_bytes"] == said["statistics_bytes"] == 0


def test_an_index_that_is_there_pays_for_no_estimate(tmp_path, monkeypatch):
    workspace, made = copy_of(imported(), tmp_path), []
    estimate = build_members.estimate_index
    monkeypatch.setattr(build_members, "estimate_index", lambda job: made.append(job.index_id) or estimate(job))
    asked = ("index", workspace, "--model", model_folder(), *GRADDOT)
    done(*asked)
    assert len(made) == 1
    done(*asked)
    assert len(made) == 1


def test_hours_of_linear_algebra_are_said_before_they_begin(monkeypatch):
    from lorif_core.workspace.indexes import estimate

    monkeypatch.setattr(estimate, "root_seconds", lambda size: 3600.0)
    run = done("index", imported(), "--model", model_folder(), "--dry-run")
    said = " ".join((run.out + run.err).split())
    assert "Roots and eigenvectors alone take about" in said
    assert "hours on this machine" in said


def test_the_largest_resident_size_is_seen():
    with watched_memory() as peak:
        before = peak.bytes
        held = torch.ones(30_000_000)
    assert peak.bytes - before > 0.8 * held.nbytes
