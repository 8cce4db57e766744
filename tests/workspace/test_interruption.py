"""An index build that is killed, stopped or doubled."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from types import SimpleNamespace

import pytest
from tiny_workspace import (
    copy_of,
    done,
    imported,
    index_folder,
    lasting_bytes_below,
    lorif,
    manifest_of,
    model_folder,
    num_parts,
    start,
)

# Batches of one text and wide subspaces: slow enough to be hit in the middle.
BUILD = (
    "--method",
    "lorif",
    "--shard-examples",
    16,
    "--tokens-per-batch",
    1,
    "--factor-rank",
    2,
    "--subspace-rank",
    64,
)
PATIENCE_S = 120


def build(workspace: Path) -> tuple[object, ...]:
    return ("index", workspace, "--model", model_folder(), *BUILD)


def wait_until(reached: Callable[[], bool], process: Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def has_two_shards(workspace: Path) -> bool:
    return num_parts(workspace) >= 2


def has_a_self_influence(workspace: Path) -> bool:
    return any((workspace / "indexes").glob("*/self_influence/00000.safetensors"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    workspace = copy_of(imported(), tmp_path_factory.mktemp("undisturbed"))
    done(*build(workspace))
    return workspace


@pytest.mark.slow
@pytest.mark.parametrize("moment", [has_two_shards, has_a_self_influence])
def test_an_index_killed_in_the_middle_ends_with_the_same_bytes_as_an_undisturbed_one(moment, undisturbed, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    process = start(*build(workspace))
    wait_until(lambda: moment(workspace), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert manifest_of(workspace)["status"] != "complete", "the kill came too late to test anything"
    done(*build(workspace))
    resumed, whole = lasting_bytes_below(index_folder(workspace)), lasting_bytes_below(index_folder(undisturbed))
    assert resumed.keys() == whole.keys()
    assert [name for name in whole if resumed[name] != whole[name]] == []


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> SimpleNamespace:
    """A build that is held while a second one is tried, then gets Ctrl-C."""
    workspace = copy_of(imported(), tmp_path_factory.mktemp("stopped"))
    process = start(*build(workspace))
    wait_until(lambda: has_two_shards(workspace), process)
    process.send_signal(signal.SIGSTOP)
    second = lorif(*build(workspace))
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    return SimpleNamespace(workspace=workspace, second=second, code=process.returncode, err=err)


@pytest.mark.slow
def test_ctrl_c_exits_with_130(stopped):
    assert stopped.code == 130, stopped.err


@pytest.mark.slow
def test_ctrl_c_leaves_one_sentence_and_no_traceback(stopped):
    said = [line for line in stopped.err.splitlines() if line.startswith("lorif:")]
    assert said == ["lorif: stopped. What was finished is kept; the same command resumes."]
    assert "Traceback" not in stopped.err


@pytest.mark.slow
def test_a_second_builder_of_the_same_index_is_refused(stopped):
    assert stopped.second.code == 2
    assert "is being built by another process. Wait for it" in stopped.second.err


@pytest.mark.slow
def test_an_unfinished_index_cannot_be_asked_and_the_refusal_says_how_to_go_on(stopped):
    question = ("ask", stopped.workspace, "--prompt", "a", "--completion", " b")
    refused = lorif(*question, "--index", index_folder(stopped.workspace).name)
    assert refused.code == 2
    assert "is not complete" in refused.err
    assert "Run the same `lorif index` command again; it resumes." in refused.err


@pytest.mark.slow
def test_an_unfinished_index_is_not_taken_for_the_newest_one(stopped):
    refused = lorif("ask", stopped.workspace, "--prompt", "a", "--completion", " b")
    assert refused.code == 2
    assert "holds no complete index. Build one with `lorif index" in refused.err


@pytest.mark.slow
def test_the_doctor_names_an_unfinished_index(stopped):
    report = lorif("doctor", stopped.workspace, "--json")
    assert report.code == 2
    (finding,) = report.json["workspace"]["findings"]
    assert finding["artefact"] == index_folder(stopped.workspace).name
    assert "is not complete" in finding["problem"]


@pytest.mark.slow
def test_an_index_resumes_after_ctrl_c_with_the_same_bytes(stopped, undisturbed, tmp_path):
    workspace = shutil.copytree(stopped.workspace, tmp_path / "ws")
    done(*build(workspace))
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(undisturbed))
