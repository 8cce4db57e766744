"""Parts are made in any order, by several workers at once, and by workers that are killed."""

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from disk_calls import (
    Killed,
    assert_entries_fit,
    assert_nothing_left_over,
    before_changes,
    build,
    interrupted_before,
    killed_before,
    make_part,
    num_changes,
    plan_of,
)
from tiny_workspace import lasting_bytes_below

from lorif_core.errors import ArtefactError, FingerprintMismatch
from lorif_core.files import UNFINISHED, read_json, write_json
from lorif_core.store.manifest import compact, fingerprint_of_manifest, read_manifest
from lorif_core.store.parts import Origin, finished_parts, missing_parts, sweep_leftovers
from lorif_core.store.plan import write_plan

PLAN = plan_of()
"""Four parts of 2, 2, 2 and 1 examples."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_plan(tmp_path / "ix", PLAN)
    return tmp_path / "ix"


def test_an_entry_read_back_is_the_one_that_was_returned(folder):
    entry = make_part(folder, PLAN, 3, worker="a host:17")
    assert finished_parts(folder) == {3: entry}
    assert (entry.shard.start, entry.shard.num_examples, entry.shard.num_truncated) == (6, 1, 3)
    assert entry.origin == Origin("cpu", "2", "a host:17", 3.0)


def test_missing_parts_are_those_without_an_entry(folder):
    assert missing_parts(PLAN, folder) == [0, 1, 2, 3]
    make_part(folder, PLAN, 2)
    assert missing_parts(PLAN, folder) == [0, 1, 3]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_parts_made_in_any_order_end_with_the_same_bytes(order, tmp_path):
    build(tmp_path / "whole", PLAN)
    write_plan(tmp_path / "ix", PLAN)
    for number in order:
        make_part(tmp_path / "ix", PLAN, number)
    compact(tmp_path / "ix")
    assert lasting_bytes_below(tmp_path / "ix") == lasting_bytes_below(tmp_path / "whole")


def test_nothing_that_differs_from_run_to_run_is_in_the_manifest_or_its_fingerprint(tmp_path):
    one, two = build(tmp_path / "one", PLAN, worker="x"), build(tmp_path / "two", PLAN, worker="another")
    assert finished_parts(tmp_path / "one")[0].origin != finished_parts(tmp_path / "two")[0].origin
    assert (tmp_path / "one/manifest.json").read_bytes() == (tmp_path / "two/manifest.json").read_bytes()
    assert fingerprint_of_manifest(one) == fingerprint_of_manifest(two)


def test_an_index_with_other_tensors_has_another_fingerprint(folder, tmp_path):
    for number in range(PLAN.num_parts):
        make_part(folder, PLAN, number, hardware=int(number == 2))
    assert fingerprint_of_manifest(compact(folder)) != fingerprint_of_manifest(build(tmp_path / "other", PLAN))


def test_a_second_part_is_dropped_and_the_first_one_returned(folder):
    first = make_part(folder, PLAN, 1, hardware=1)
    before = lasting_bytes_below(folder)
    assert make_part(folder, PLAN, 1, hardware=2) == first
    assert lasting_bytes_below(folder) == before


# Two workers at one part: whatever happens between any two changes of the disk, tensors and entry fit.


CHANGES_OF_A_PART = range(1, 9)
"""For the tensors and for the entry: fsync, link, fsync of the folder, unlink."""


def test_the_changes_that_follow_are_all_of_a_part(folder):
    assert num_changes(lambda: make_part(folder, PLAN, 0)) == len(CHANGES_OF_A_PART)


def test_a_worker_that_is_overtaken_between_any_two_changes_drops_its_tensors(tmp_path):
    for change in CHANGES_OF_A_PART:
        folder = tmp_path / str(change)
        write_plan(folder, PLAN)
        seen = []
        mine = interrupted_before(
            change,
            lambda folder=folder: make_part(folder, PLAN, 0, "slow", 1),
            lambda folder=folder, seen=seen: seen.append(make_part(folder, PLAN, 0, "quick", 2)),
        )
        assert seen == [mine]
        assert_entries_fit(folder)
        assert_nothing_left_over(folder)


@pytest.mark.parametrize("num_sweeps", [1, 2])
def test_leftovers_may_be_swept_between_any_two_changes_of_a_worker(num_sweeps, tmp_path):
    for change in CHANGES_OF_A_PART:
        folder = tmp_path / str(change)
        write_plan(folder, PLAN)
        work = lambda folder=folder: make_part(folder, PLAN, 0)  # noqa: E731 - is wrapped once or twice
        for _ in range(num_sweeps):
            work = lambda work=work, folder=folder, change=change: interrupted_before(  # noqa: E731
                change, work, lambda: sweep_leftovers(folder)
            )
        work()
        assert_entries_fit(folder)
        assert_nothing_left_over(folder)


def test_a_part_made_while_another_worker_is_killed_at_it_fits_its_entry(tmp_path):
    for mine, other in itertools.product(CHANGES_OF_A_PART, CHANGES_OF_A_PART):
        folder = tmp_path / f"{mine}-{other}"
        write_plan(folder, PLAN)
        entry = interrupted_before(
            mine,
            lambda folder=folder: make_part(folder, PLAN, 0, "lives", 1),
            lambda folder=folder, other=other: killed_before(other, lambda: make_part(folder, PLAN, 0, "dies", 2)),
        )
        sweep_leftovers(folder)
        assert finished_parts(folder) == {0: entry}
        assert_entries_fit(folder)
        assert_nothing_left_over(folder)


def test_workers_in_threads_that_make_the_same_parts_agree(tmp_path):
    plan, num_workers = plan_of(num_examples=60), 6
    write_plan(tmp_path / "ix", plan)
    together = Barrier(num_workers)

    def work(hardware: int) -> list[str]:
        together.wait()
        return [
            make_part(tmp_path / "ix", plan, number, f"{hardware}", hardware).shard.checksum
            for number in range(plan.num_parts)
        ]

    with ThreadPoolExecutor(num_workers) as pool:
        returned = list(pool.map(work, range(num_workers)))
    assert returned == [[entry.shard.checksum for entry in finished_parts(tmp_path / "ix").values()]] * num_workers
    assert_entries_fit(tmp_path / "ix")
    assert_nothing_left_over(tmp_path / "ix")


@pytest.mark.slow
def test_processes_that_make_the_same_parts_agree(tmp_path):
    plan, folder = plan_of(num_examples=400), tmp_path / "ix"
    write_plan(folder, plan)
    script = Path(__file__).with_name("make_parts.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, script, folder, str(hardware)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for hardware in (1, 2)
    ]
    printed = [process.communicate(timeout=300)[0].split() for process in processes]
    entries = finished_parts(folder)
    assert list(entries) == list(range(plan.num_parts))
    assert len({entry.origin.worker for entry in entries.values()}) == 2
    assert set(printed[0]) | set(printed[1]) == {entry.shard.checksum for entry in entries.values()}
    assert_entries_fit(folder)
    assert_nothing_left_over(folder)


# Killed workers.


def test_a_build_killed_before_any_change_of_the_disk_resumes_to_the_bytes_of_an_undisturbed_one(tmp_path):
    whole = tmp_path / "whole"
    count = num_changes(lambda: build(whole, PLAN))
    assert count >= 4 * (1 + 2 * PLAN.num_parts + 1)  # plan, parts, manifest
    for change in range(1, count + 1):
        folder, done = tmp_path / str(change), []
        assert killed_before(change, lambda folder=folder, done=done: build(folder, PLAN, "first", done))
        if done:  # otherwise even the plan may be missing
            assert set(done) <= set(finished_parts(folder)), f"killed before {change}, more than its part was lost"
        build(folder, PLAN, "second")
        assert lasting_bytes_below(folder) == lasting_bytes_below(whole)


def test_a_build_killed_twice_resumes_to_the_same_bytes(tmp_path):
    build(tmp_path / "whole", PLAN)
    for first, second in itertools.product(range(5, 30, 3), range(1, 12)):
        folder = tmp_path / f"{first}-{second}"
        assert killed_before(first, lambda folder=folder: build(folder, PLAN, "first"))
        assert killed_before(second, lambda folder=folder: build(folder, PLAN, "second"))
        build(folder, PLAN, "third")
        assert lasting_bytes_below(folder) == lasting_bytes_below(tmp_path / "whole")


def test_a_full_disk_or_ctrl_c_leaves_nothing_half_written(folder):
    def stop(number):
        if number == 2:  # the link of the tensors
            raise Killed

    with pytest.raises(Killed), before_changes(stop):
        make_part(folder, PLAN, 0)
    assert list((folder / "parts").iterdir()) == []


# Leftovers.


def test_a_sweep_takes_unfinished_files_and_the_tensors_of_losers_and_leaves_everything_else(folder):
    assert killed_before(2, lambda: make_part(folder, PLAN, 0, hardware=3))  # an unfinished file
    assert killed_before(5, lambda: make_part(folder, PLAN, 1, hardware=3))  # tensors without an entry
    assert killed_before(5, lambda: make_part(folder, PLAN, 2, hardware=3))
    entry = make_part(folder, PLAN, 2)
    (folder / "maps").mkdir()
    (folder / "maps/nobody.safetensors").touch()
    stray = folder / f"parts/00002-{'0' * 32}.safetensors"
    stray.touch()
    sweep_leftovers(folder)
    assert list(folder.rglob(f"*{UNFINISHED}")) == []
    assert [path.name[:5] for path in folder.glob("parts/*.safetensors")].count("00001") == 1  # may get an entry yet
    assert not stray.exists()
    assert not (folder / "maps/nobody.safetensors").exists()
    assert finished_parts(folder) == {2: entry}
    assert_entries_fit(folder)


def test_tensors_that_a_killed_worker_left_are_swept_when_another_has_finished_the_part(folder):
    assert killed_before(5, lambda: make_part(folder, PLAN, 1, hardware=3))
    sweep_leftovers(folder)
    assert len(list(folder.glob("parts/*.safetensors"))) == 1
    entry = make_part(folder, PLAN, 1)
    sweep_leftovers(folder)
    assert [f"parts/{path.name}" for path in folder.glob("parts/*.safetensors")] == [entry.shard.file]


def test_a_sweep_of_a_folder_without_a_plan_leaves_maps_for_the_plan_to_come(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/module.safetensors").touch()
    sweep_leftovers(tmp_path)
    assert (tmp_path / "maps/module.safetensors").exists()


# Reading and refusing.


def test_an_unfinished_index_shows_its_finished_parts_in_store_order(folder):
    make_part(folder, PLAN, 3)
    make_part(folder, PLAN, 1)
    manifest = read_manifest(folder)
    assert [(shard.start, shard.num_examples) for shard in manifest.shards] == [(2, 2), (6, 1)]
    assert (manifest.status, manifest.num_stored, manifest.num_examples) == ("building", 3, 7)


def test_an_index_with_missing_parts_is_not_compacted(folder):
    for number in (0, 3):
        make_part(folder, PLAN, number)
    with pytest.raises(ArtefactError, match=r"lacks 2 of its 4 parts, the first is 1\. Run the same `lorif index`"):
        compact(folder)
    assert not (folder / "manifest.json").exists()


def test_a_manifest_that_is_there_is_not_compacted_anew(folder):
    build(folder, PLAN)
    write_json(folder / "manifest.json", read_json(folder / "manifest.json") | {"status": "complete"})
    assert compact(folder).status == "complete"


@pytest.mark.parametrize("content", ['{"plan": ""}', '{"plan": "", "origin": null, "shard": {"file": "x"}}'])
def test_an_incomplete_entry_is_named_with_the_way_out(content, folder):
    make_part(folder, PLAN, 1)
    (folder / "parts/00001.json").write_text(content)
    with pytest.raises(ArtefactError, match=r"00001\.json' is incomplete .* delete it and run `lorif index` again"):
        read_manifest(folder)


def test_a_part_of_another_plan_is_refused(folder, tmp_path):
    write_plan(tmp_path / "other", plan_of(seed=1))
    make_part(tmp_path / "other", plan_of(seed=1), 0)
    (tmp_path / "other/parts").rename(folder / "parts")
    with pytest.raises(FingerprintMismatch, match=r"00000\.json' follows plan \w{8}…, but plan\.json beside it is"):
        read_manifest(folder)
    with pytest.raises(FingerprintMismatch, match=r"Delete the file and run `lorif index` again"):
        make_part(folder, PLAN, 0)
