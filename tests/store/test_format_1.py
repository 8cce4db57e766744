"""Indexes of format 1, as the code before format 2 (commit fab226d) wrote them: five texts, shards of two."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from disk_calls import killed_before, num_changes
from safetensors.torch import load_file
from tiny_workspace import bytes_below

from lorif_core.store.blocks import block_rows
from lorif_core.store.manifest import (
    adopt_format_1,
    compact,
    fingerprint_of_manifest,
    is_begun,
    read_manifest,
    write_manifest,
)
from lorif_core.store.parts import Origin, ShardFacts, finished_parts, missing_parts, write_part
from lorif_core.store.plan import read_plan
from lorif_core.store.reader import StoreReader

SAMPLES = Path(__file__).with_name("samples") / "format1"
FINGERPRINT = "a06f0792ede335ddad171af3c82ec526"
"""Of the complete one, as that code printed it."""


@pytest.fixture
def unfinished(tmp_path):
    """Two of three shards."""
    return shutil.copytree(SAMPLES / "unfinished", tmp_path / "ix")


def finish(folder):
    """Adopt what is there and make the third part, with the tensors that it has in the complete sample."""
    adopt_format_1(folder)
    plan = read_plan(folder)
    for number in missing_parts(plan, folder):
        facts = ShardFacts(num_truncated=1, num_without_targets=0, kept_energy=[3.0, 1.5], total_energy=[4.0, 2.0])
        tensors = load_file(SAMPLES / f"complete/shards/{number:05d}.safetensors")
        write_part(folder, plan, number, tensors, facts, Origin("cpu", "2", "test", 0.5))
    return compact(folder)


def rows_of(folder):
    reader = StoreReader(folder)
    return [
        torch.cat([block_rows(shard.block(module)) for shard in reader.iter_shards()]) for module in reader.modules
    ]


def test_a_complete_index_is_read_whole():
    reader = StoreReader(SAMPLES / "complete")
    assert [(shard.start, shard.num_examples) for shard in reader.iter_shards()] == [(0, 2), (2, 2), (4, 1)]
    assert [shard.num_tokens().tolist() for shard in reader.iter_shards()] == [[0, 1], [2, 3], [4]]
    assert [reader.self_influence(shard).tolist() for shard in reader.iter_shards()] == [[1, 2], [1, 2], [1]]
    assert [entry.file for entry in reader.manifest.maps] == ["maps.safetensors"]
    maps = reader.maps()
    assert [tuple(maps[name].input_map.shape) for name in ("a.up", "a.down")] == [(6, 3), (8, 4)]
    assert [reader.subspace(module).spectrum.tolist() for module in reader.modules] == [[4, 2, 1]] * 2
    assert reader.manifest.explained_energy() == {"a.up": 0.75, "a.down": 0.75}
    assert reader.manifest.members == ("model",)
    for entry in reader.manifest.entries:
        reader.place.content(entry.file, entry.checksum)


def test_a_complete_index_keeps_its_fingerprint():
    assert fingerprint_of_manifest(read_manifest(SAMPLES / "complete")) == FINGERPRINT


def test_a_complete_index_is_not_touched_by_adoption(tmp_path):
    folder = shutil.copytree(SAMPLES / "complete", tmp_path / "ix")
    before = bytes_below(folder)
    adopt_format_1(folder)
    assert bytes_below(folder) == before


def test_a_complete_index_that_is_fitted_anew_is_read_as_before(tmp_path):
    folder = shutil.copytree(SAMPLES / "complete", tmp_path / "ix")
    write_manifest(folder, read_manifest(folder))
    assert json.loads((folder / "manifest.json").read_text())["format"] == 2
    assert read_manifest(folder) == read_manifest(SAMPLES / "complete")


def test_shards_of_an_unfinished_build_become_finished_parts_where_they_lie(unfinished):
    shards = read_manifest(unfinished).shards
    adopt_format_1(unfinished)
    assert {number: entry.shard for number, entry in finished_parts(unfinished).items()} == dict(enumerate(shards))
    assert [entry.origin for entry in finished_parts(unfinished).values()] == [None, None]
    assert missing_parts(read_plan(unfinished), unfinished) == [2]
    assert not (unfinished / "manifest.json").exists()
    assert is_begun(unfinished)


def test_an_unfinished_build_is_finished_with_the_gradients_of_the_complete_one(unfinished):
    manifest = finish(unfinished)
    assert (manifest.status, manifest.num_stored) == ("gradients", 5)
    assert [shard.file.split("/")[0] for shard in manifest.shards] == ["shards", "shards", "parts"]
    for found, wanted in zip(rows_of(unfinished), rows_of(SAMPLES / "complete"), strict=True):
        assert torch.equal(found, wanted)
    maps, wanted = StoreReader(unfinished).maps(), StoreReader(SAMPLES / "complete").maps()
    assert torch.equal(maps["a.down"].output_map, wanted["a.down"].output_map)


def test_what_a_killed_build_of_format_1_left_is_swept(unfinished):
    for name in ("00002.safetensors", ".00002.safetensors.partial"):
        (unfinished / "shards" / name).touch()
    adopt_format_1(unfinished)
    assert sorted(path.name for path in (unfinished / "shards").iterdir()) == [
        "00000.safetensors",
        "00001.safetensors",
    ]


def test_an_adoption_killed_before_any_change_of_the_disk_is_done_again(unfinished, tmp_path):
    whole = shutil.copytree(unfinished, tmp_path / "whole")
    count = num_changes(lambda: finish(whole))
    assert count > 10
    for change in range(1, count + 1):
        folder = shutil.copytree(unfinished, tmp_path / str(change))
        assert killed_before(change, lambda folder=folder: finish(folder))
        assert read_manifest(folder).num_stored >= 4
        finish(folder)
        assert list(folder.rglob("*.unfinished")) == []
        found, wanted = bytes_below(folder), bytes_below(whole)
        assert found == wanted
