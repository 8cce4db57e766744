import json
from dataclasses import asdict, replace

import pytest
import torch
from disk_calls import MODULE, killed_before, plan_of

from lorif_core.errors import ArtefactError, FingerprintMismatch
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.store.manifest import read_manifest
from lorif_core.store.plan import PLAN, FileEntry, Plan, fingerprint_of_plan, read_plan, write_plan
from lorif_core.store.reader import StoreReader
from lorif_core.store.statistics import write_maps

FULL = plan_of(
    whitening={"alpha": 0.003, "stats_examples": 2048},
    maps=[FileEntry("maps/a.up.safetensors", 12, "ab")],
    budget_bytes=1000,
    ranks={"a.up": 3},
    members=("first", "second"),
    precision="bfloat16",
)


@pytest.mark.parametrize("plan", [plan_of(), FULL], ids=["least", "full"])
def test_a_plan_read_back_equals_the_one_written(plan, tmp_path):
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    assert fingerprint_of_plan(read_plan(tmp_path)) == fingerprint_of_plan(plan)


def test_the_same_plan_written_again_changes_nothing(tmp_path):
    write_plan(tmp_path, FULL)
    before = (tmp_path / PLAN).stat()
    write_plan(tmp_path, FULL)
    assert (tmp_path / PLAN).stat() == before
    assert [path.name for path in tmp_path.iterdir()] == [PLAN]


def test_another_plan_is_refused_with_what_differs_and_the_first_one_stays(tmp_path):
    write_plan(tmp_path, FULL)
    with pytest.raises(FingerprintMismatch, match=r"is another plan: it differs in seed, ranks, .* Run the same"):
        write_plan(tmp_path, replace(FULL, seed=1, ranks={"a.up": 4}))
    assert read_plan(tmp_path) == FULL


def test_a_plan_killed_while_it_is_written_is_absent_or_whole(tmp_path):
    for change in range(1, 5):  # fsync, link, fsync of the folder, unlink
        assert killed_before(change, lambda change=change: write_plan(tmp_path / str(change), FULL))
        assert (tmp_path / str(change) / PLAN).exists() == (change > 2)
        write_plan(tmp_path / str(change), FULL)
        assert read_plan(tmp_path / str(change)) == FULL


def test_an_index_with_nothing_but_a_plan_is_being_built(tmp_path):
    write_plan(tmp_path, FULL)
    manifest = read_manifest(tmp_path)
    assert (manifest.status, manifest.num_stored, manifest.maps, manifest.ranks) == (
        "building",
        0,
        FULL.maps,
        FULL.ranks,
    )


@pytest.mark.parametrize(
    ("num_examples", "sizes"), [(0, []), (1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4]), (11, [4, 4, 3])]
)
def test_parts_divide_the_examples_without_gaps(num_examples, sizes):
    plan = plan_of(num_examples=num_examples, shard_examples=4)
    rows = [plan.rows_of(number) for number in range(plan.num_parts)]
    assert [len(one) for one in rows] == sizes
    assert [position for one in rows for position in one] == list(range(num_examples))


@pytest.mark.parametrize("version", [None, 1, 3])
def test_a_plan_of_another_format_is_refused(version, tmp_path):
    (tmp_path / PLAN).write_text(json.dumps({**asdict(FULL), "format": version}))
    with pytest.raises(ArtefactError, match=rf"plan\.json' has format {version}, this version .* reads 2\. Update"):
        read_plan(tmp_path)


def test_a_manifest_of_a_newer_format_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": 3}')
    with pytest.raises(ArtefactError, match=r"has format 3, this version of LoRIF Studio reads 1 and 2\. Update"):
        read_manifest(tmp_path)


def test_an_incomplete_plan_is_refused(tmp_path):
    raw = asdict(FULL)
    raw.pop("codec")
    (tmp_path / PLAN).write_text(json.dumps({"format": 2, **raw}))
    with pytest.raises(ArtefactError, match=r"plan\.json' is incomplete .*codec.*: build the index again"):
        read_plan(tmp_path)


def maps_of(value):
    return {
        "a.up": ModuleMaps(torch.full((6, 3), value), None),
        "b/../c": ModuleMaps(None, torch.full((8, 4), value)),
    }


def plan_with_maps(folder, maps) -> Plan:
    modules = [MODULE, replace(MODULE, name="b/../c")]
    return plan_of(modules=modules, maps=write_maps(folder, maps), whitening={"alpha": 0.1, "stats_examples": 2})


def test_maps_lie_in_one_file_per_module_and_read_back_as_they_were(tmp_path):
    plan = plan_with_maps(tmp_path, maps_of(2.5))
    write_plan(tmp_path, plan)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "a.up.safetensors",
        "b%2F..%2Fc.safetensors",
    ]
    found = StoreReader(tmp_path).maps()
    for name, wanted in maps_of(2.5).items():
        for side in ("input_map", "output_map"):
            one, two = getattr(found[name], side), getattr(wanted, side)
            assert (one is None and two is None) or torch.equal(one, two)


def test_maps_that_another_worker_wrote_first_are_the_ones_that_the_plan_names(tmp_path):
    first = plan_with_maps(tmp_path, maps_of(2.5))
    assert plan_with_maps(tmp_path, maps_of(1.0)) == first
    write_plan(tmp_path, first)
    assert float(StoreReader(tmp_path).maps()["a.up"].input_map.max()) == 2.5


def test_a_plan_in_float32_says_nothing_of_it_as_before_there_was_a_choice(tmp_path):
    write_plan(tmp_path, plan_of())
    assert "precision" not in json.loads((tmp_path / PLAN).read_text())
    assert fingerprint_of_plan(replace(plan_of(), precision="bfloat16")) != fingerprint_of_plan(plan_of())
