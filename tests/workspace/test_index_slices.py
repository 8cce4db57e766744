"""An index that is planned once and made slice by slice, by processes that know nothing of one another."""

import os
import shutil
import signal
import subprocess
import sys

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
    num_parts,
    start,
)

from lorif_core.errors import ConfigError
from lorif_core.store.parts import finished_parts, write_entry
from lorif_core.workspace.indexes.planned_index import finish_index
from lorif_core.workspace.indexes.slices import Slice, parse_slice
from lorif_core.workspace.workspace import open_workspace

KRONECKER = ("--method", "kronecker", "--budget", "600B", "--shard-examples", 16)
"""Statistics, maps and a rank per module."""


def planned(to, settings=SMALL):
    workspace = copy_of(imported(), to)
    found = done("index", workspace, "--model", model_folder(), *settings, "--plan-only", "--json").json
    assert found["num_parts"] == 8
    return workspace, found["index_id"]


def run(workspace, index_id, slice_, **more):
    """A task in a process of its own, with one thread as the tests have."""
    command = [sys.executable, "-m", "lorif_core.cli", "index-part", str(workspace), index_id, "--slice", slice_]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        **more,
    )


@pytest.mark.parametrize("count", [1, 3, 8, 16])
def test_slices_share_no_part_and_leave_none(count):
    own = [number for one in range(1, count + 1) for number in Slice(one, count).parts(8)]
    assert sorted(own) == list(range(8))


@pytest.mark.parametrize("text", ["0/3", "4/3", "0/0"])
def test_a_slice_that_is_counted_from_zero_is_refused_with_the_remedy(text):
    with pytest.raises(ConfigError, match=r"counted from 1.*\$\(\(JOB_COMPLETION_INDEX \+ 1\)\)"):
        parse_slice(text)


@pytest.mark.parametrize("text", ["3", "3/", "a/b", "-1/3", "1.5/3", ""])
def test_words_that_are_no_slice_are_refused(text):
    with pytest.raises(ConfigError, match="such as `--slice 3/16`"):
        parse_slice(text)


def test_a_slice_of_an_index_without_a_plan_is_refused_with_the_next_step(tmp_path):
    workspace, index_id = planned(tmp_path)
    (index_folder(workspace) / "plan.json").unlink()
    refused = lorif("index-part", workspace, index_id, "--slice", "1/2")
    assert refused.code == 2
    assert "has no plan yet" in refused.err
    assert "--plan-only" in refused.err


def test_a_plan_makes_no_part_and_says_the_next_command(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    said = done("index", workspace, "--model", model_folder(), *SMALL, "--plan-only").out
    assert num_parts(workspace) == 0
    assert f"lorif index-part {workspace} {index_folder(workspace).name} --slice I/N" in said


def test_slices_made_one_after_another_end_as_one_process_does(tmp_path):
    workspace, index_id = planned(tmp_path)
    first = done("index-part", workspace, index_id, "--slice", "2/3")
    assert (num_parts(workspace), sorted(finished_parts(index_folder(workspace)))) == (3, [1, 4, 7])
    assert "5 parts of index" in first.out
    assert "left to the other slices" in first.out
    done("index-part", workspace, index_id, "--slice", "1/3")
    assert "is complete" in done("index-part", workspace, index_id, "--slice", "3/3").out
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []


def test_a_requeued_slice_makes_nothing_again_and_loads_no_model(tmp_path, monkeypatch):
    workspace, index_id = planned(tmp_path)
    done("index-part", workspace, index_id, "--slice", "1/2")
    before = {path: path.stat().st_mtime_ns for path in index_folder(workspace).glob("parts/*")}
    monkeypatch.setattr("lorif_core.workspace.indexes.planned_index.load_model", None)
    again = done("index-part", workspace, index_id, "--slice", "1/2", "--json").json
    assert again == {"num_own": 4, "num_left_of_own": 0, "num_left": 4, "record": None}
    assert {path: path.stat().st_mtime_ns for path in index_folder(workspace).glob("parts/*")} == before


def test_the_command_that_planned_makes_what_slices_left(tmp_path):
    workspace, index_id = planned(tmp_path)
    done("index-part", workspace, index_id, "--slice", "2/2")
    done("index", workspace, "--model", model_folder(), *SMALL)
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))


def test_an_index_is_finished_once_by_whoever_comes_when_all_parts_are_there(tmp_path):
    workspace, index_id = planned(tmp_path)
    files = open_workspace(workspace).files
    for one in ("1/2", "2/2", "2/2", "1/1"):
        done("index-part", workspace, index_id, "--slice", one)
    complete = files.catalog.index(index_id)
    assert complete.status == "complete"
    assert complete.build_seconds >= sum(
        one.origin.seconds for one in finished_parts(index_folder(workspace)).values()
    )
    assert finish_index(files, index_id, lambda *_: None) == complete


def test_a_finish_that_was_interrupted_is_taken_up_by_any_slice(tmp_path):
    workspace, index_id = planned(tmp_path)
    done("index-part", workspace, index_id, "--slice", "1/2")
    process = start(
        "index-part", workspace, index_id, "--slice", "2/2",
        at="self_influence/.00001.safetensors.*.partial", gets=signal.SIGKILL,
    )  # fmt: skip
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert open_workspace(workspace).files.catalog.index(index_id).status == "building"
    assert "is complete" in done("index-part", workspace, index_id, "--slice", "1/2").out
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))


def test_a_task_that_finds_another_one_finishing_leaves_it_to_that(tmp_path):
    from lorif_core.workspace.indexes.fit_index import only_builder

    workspace, index_id = planned(tmp_path)
    done("index-part", workspace, index_id, "--slice", "1/2")
    with only_builder(index_folder(workspace)):
        assert "another process is finishing it" in done("index-part", workspace, index_id, "--slice", "2/2").out
    assert not (index_folder(workspace) / "manifest.json").exists()
    assert "is complete" in done("index-part", workspace, index_id, "--slice", "2/2").out


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SMALL, KRONECKER], ids=["lorif", "kronecker"])
def test_processes_of_which_two_do_the_same_slice_end_as_one_process_does(settings, tmp_path):
    whole = copy_of(imported(), tmp_path / "whole")
    done("index", whole, "--model", model_folder(), *settings)
    workspace, index_id = planned(tmp_path, settings)
    tasks = [run(workspace, index_id, one) for one in ("1/2", "2/2", "2/2")]
    ends = [(task.communicate()[1], task.returncode) for task in tasks]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(whole))
    assert bytes_of_statistics(workspace) == bytes_of_statistics(whole)
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []


def bytes_of_statistics(workspace):
    return {path.name: path.read_bytes() for path in workspace.glob("statistics/*")}


@pytest.mark.slow
def test_a_task_that_is_told_to_stop_finishes_its_part_and_the_next_one_goes_on(tmp_path):
    workspace, index_id = planned(tmp_path)
    process = start(
        "index-part", workspace, index_id, "--slice", "1/1", at="parts/.00002-*.unfinished", gets=signal.SIGTERM
    )
    out, err = process.communicate()
    assert process.returncode == 143, err
    assert sorted(finished_parts(index_folder(workspace))) == [0, 1, 2]
    assert "Told to stop: 5 of the 8 parts" in out
    done("index-part", workspace, index_id, "--slice", "1/1")
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))


def test_a_part_by_another_plan_is_never_taken(tmp_path):
    workspace, index_id = planned(tmp_path)
    other = finished_parts(index_folder(indexed()))[0]
    shutil.copytree(index_folder(indexed()) / "parts", index_folder(workspace) / "parts")
    (index_folder(workspace) / "parts" / "00000.json").unlink()
    write_entry(index_folder(workspace), 0, other.__class__("another", other.shard, other.origin))
    refused = lorif("index-part", workspace, index_id, "--slice", "2/2")
    assert refused.code == 2
    assert "follows plan another" in refused.err


def test_a_worker_with_another_model_is_refused(tmp_path):
    from tiny_workspace import write_model

    workspace, index_id = planned(tmp_path)
    other = write_model(tmp_path / "other", seed=5)
    refused = lorif("index-part", workspace, index_id, "--slice", "1/2", "--model", other)
    assert refused.code == 2
    assert "was built from a model with fingerprint" in refused.err
    assert num_parts(workspace) == 0
