"""How far an unfinished index is, told from the entries of its parts alone."""

import json
import os

import pytest
from tiny_workspace import SMALL, copy_of, done, imported, index_folder, model_folder

from lorif_core.store.parts import finished_parts
from lorif_core.workspace.indexes.build_progress import progress_of

NOW = 1_700_000_000.0


@pytest.fixture
def begun(tmp_path):
    """Parts 0, 2, 4, 6 of eight: two by a quick worker, two by a slow one."""
    workspace = copy_of(imported(), tmp_path)
    index_id = done("index", workspace, "--model", model_folder(), *SMALL, "--plan-only", "--json").json["index_id"]
    done("index-part", workspace, index_id, "--slice", "1/2")
    for number, worker, seconds, age in [
        (0, "a:1", 2.0, 10),
        (2, "a:1", 2.0, 5),
        (4, "b:2", 8.0, 9),
        (6, "b:2", 8.0, 1),
    ]:
        made_by(index_folder(workspace), number, worker, seconds, age)
    return workspace


def made_by(folder, number, worker, seconds, age):
    path = folder / "parts" / f"{number:05d}.json"
    entry = json.loads(path.read_text(encoding="utf-8"))
    entry.pop("seal", None)
    entry["origin"] |= {"worker": worker, "seconds": seconds}
    path.write_text(json.dumps(entry), encoding="utf-8")
    os.utime(path, (NOW - age, NOW - age))


def positions(folder):
    return {number: entry.shard.num_positions for number, entry in finished_parts(folder).items()}


def test_rates_are_tokens_of_a_workers_parts_by_the_seconds_that_they_took(begun):
    folder = index_folder(begun)
    found, tokens = progress_of(folder, NOW), positions(folder)
    assert (found.num_parts, found.num_finished, found.num_examples, found.num_stored) == (8, 4, 121, 64)
    quick, slow = found.workers
    assert (quick.worker, quick.num_parts, quick.is_at_work, quick.device) == ("a:1", 2, True, "cpu")
    assert quick.tokens_per_second == pytest.approx((tokens[0] + tokens[2]) / 4)
    assert slow.tokens_per_second == pytest.approx((tokens[4] + tokens[6]) / 16)
    assert (quick.idle_s, slow.idle_s) == (5, 1)


def test_the_time_left_is_the_tokens_left_at_the_rate_of_all_workers_together(begun):
    folder = index_folder(begun)
    tokens = positions(folder)
    rate = (tokens[0] + tokens[2]) / 4 + (tokens[4] + tokens[6]) / 16
    assert progress_of(folder, NOW).seconds_left == pytest.approx((121 - 64) * sum(tokens.values()) / 64 / rate)


def test_a_worker_that_has_finished_nothing_for_long_is_not_counted_on(begun):
    folder = index_folder(begun)
    tokens = positions(folder)
    made_by(folder, 0, "a:1", 2.0, 70)
    made_by(folder, 2, "a:1", 2.0, 65)
    found = progress_of(folder, NOW)
    assert [(one.worker, one.is_at_work) for one in found.workers] == [("b:2", True), ("a:1", False)]
    left = (121 - 64) * sum(tokens.values()) / 64
    assert found.seconds_left == pytest.approx(left / ((tokens[4] + tokens[6]) / 16))
    assert "1 worker with" in found.sentence
    assert progress_of(folder, NOW + 3600).seconds_left is None
    assert "nobody has finished a part lately" in progress_of(folder, NOW + 3600).sentence


def test_a_slow_worker_is_waited_for_longer(begun):
    folder = index_folder(begun)
    made_by(folder, 4, "b:2", 100.0, 290)
    made_by(folder, 6, "b:2", 100.0, 299)
    assert {one.worker: one.is_at_work for one in progress_of(folder, NOW).workers} == {"a:1": True, "b:2": True}
    assert {one.worker: one.is_at_work for one in progress_of(folder, NOW + 12).workers}["b:2"] is False


def test_an_index_without_a_part_has_no_time_left_that_could_be_told(begun):
    folder = index_folder(begun)
    for path in folder.glob("parts/*"):
        path.unlink()
    found = progress_of(folder, NOW)
    assert (found.num_finished, found.num_stored, found.seconds_left, found.workers) == (0, 0, None, [])


def test_the_status_shows_parts_workers_and_rates_of_an_unfinished_index_and_none_of_a_complete_one(begun):
    folder = index_folder(begun)
    said = done("status", begun).out
    assert f"{folder.name}: 4 of 8 parts" in said
    assert "a:1" in said
    assert "tokens/s" in said
    (build,) = done("status", begun, "--json").json["builds"]
    assert (build["num_finished"], [one["num_parts"] for one in build["workers"]]) == (4, [2, 2])
    done("index-part", begun, folder.name, "--slice", "1/1")
    assert done("status", begun, "--json").json["builds"] == []


def test_all_parts_and_no_curvature_is_said(begun):
    folder = index_folder(begun)
    files = {number: entry for number, entry in finished_parts(folder).items()}
    assert len(files) == 4
    done("index-part", begun, folder.name, "--slice", "1/1")
    (folder / "manifest.json").unlink()
    found = progress_of(folder, NOW)
    assert (found.num_finished, found.seconds_left) == (8, 0.0)
    assert "the curvature is left" in found.sentence


def test_a_damaged_entry_leaves_the_status_readable(begun):
    (index_folder(begun) / "parts" / "00002.json").write_text("{", encoding="utf-8")
    assert done("status", begun, "--json").json["builds"] == []
