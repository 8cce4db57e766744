"""An index build that is killed, stopped or doubled."""

import os
import shutil
import signal
from fnmatch import fnmatch
from pathlib import Path
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
    start,
)

# Batches of one text and wide subspaces.
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
THIRD_SHARD = "parts/.00002-*.unfinished"
SECOND_SELF_INFLUENCE = "self_influence/.00001.safetensors.*.partial"


def build(workspace: Path) -> tuple[object, ...]:
    return ("index", workspace, "--model", model_folder(), *BUILD)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    workspace = copy_of(imported(), tmp_path_factory.mktemp("undisturbed"))
    done(*build(workspace))
    return workspace


@pytest.mark.slow
@pytest.mark.parametrize(("place", "status"), [(THIRD_SHARD, "building"), (SECOND_SELF_INFLUENCE, "gradients")])
def test_an_index_killed_in_the_middle_ends_with_the_same_bytes_as_an_undisturbed_one(
    place, status, undisturbed, tmp_path
):
    workspace = copy_of(imported(), tmp_path)
    process = start(*build(workspace), at=place, gets=signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    assert manifest_of(workspace)["status"] == status
    (left,) = (path for path in index_folder(workspace).rglob(".*") if path.suffix in (".partial", ".unfinished"))
    assert fnmatch(left.name, Path(place).name)
    done(*build(workspace))
    resumed, whole = lasting_bytes_below(index_folder(workspace)), lasting_bytes_below(index_folder(undisturbed))
    assert resumed.keys() == whole.keys()
    assert [name for name in whole if resumed[name] != whole[name]] == []


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> SimpleNamespace:
    """A build that is held while a second one is tried, then gets Ctrl-C."""
    workspace = copy_of(imported(), tmp_path_factory.mktemp("stopped"))
    process = start(*build(workspace), at=THIRD_SHARD, gets=signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    second = lorif(*build(workspace))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate()
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
