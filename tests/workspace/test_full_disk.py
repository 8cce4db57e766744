"""What happens when the disk runs full or may not be written: a small tmpfs stands for it."""

import gc
import shutil
import subprocess

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
    texts_file,
)

from lorif_core.store.parts import write_part
from lorif_core.workspace.indexes import make_parts

BUILD = ("--method", "lorif", "--shard-examples", 16, "--f", 1, "--factor-rank", 8, "--subspace-rank", 8)


def build(workspace):
    return ("index", workspace, "--model", model_folder(), *BUILD)


def fill(folder, leave: int) -> None:
    """Fill the disk up to ``leave`` bytes."""
    free = shutil.disk_usage(folder).free
    (folder / "ballast").write_bytes(b"\0" * max(0, free - leave))


def mount(folder, *options):
    return subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 16 MB with the texts imported."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or not mount(disk, "-t", "tmpfs", "-o", "size=16m", "none"):
        pytest.skip("mounting a small disk is not allowed here, see tests/SKIPPED.md")
    yield disk
    gc.collect()  # a failed write may leave its open file in a traceback's frames
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def workspace(small_disk):
    return copy_of(imported(), small_disk)


@pytest.fixture
def interrupted(workspace, small_disk):
    """A build that found room for some of its shards; then something else took the rest of the disk."""

    def write(*arguments):
        if num_parts(workspace) == 3:
            fill(small_disk, leave=0)
        return write_part(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_parts, "write_part", write)
        return lorif(*build(workspace))


def test_a_full_disk_stops_a_build_with_one_sentence_that_says_how_to_go_on(interrupted):
    assert interrupted.code == 2, interrupted.err
    (sentence,) = (line for line in interrupted.err.splitlines() if line.startswith("lorif:"))
    assert "is full while writing" in sentence
    assert "Free some space and run the same command again; it resumes." in sentence


def test_a_full_disk_leaves_whole_shards_and_nothing_half_written(interrupted, workspace):
    folder = index_folder(workspace)
    manifest = manifest_of(workspace)
    assert 1 <= len(manifest["shards"]) < 8, "the disk was full too early or too late to test anything"
    tensors = {shard["file"] for shard in manifest["shards"]}
    entries = {f"parts/{shard['start'] // 16:05d}.json" for shard in manifest["shards"]}
    assert {f"parts/{path.name}" for path in (folder / "parts").iterdir()} == tensors | entries


def test_after_space_is_freed_the_build_resumes_to_the_same_bytes(interrupted, workspace, small_disk, tmp_path):
    (small_disk / "ballast").unlink()
    done(*build(workspace))
    undisturbed = copy_of(imported(), tmp_path)
    done(*build(undisturbed))
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(undisturbed))


@pytest.mark.parametrize("leave", [0, 4096, 40_000])
def test_an_import_onto_a_full_disk_adds_nothing(small_disk, leave):
    done("import", small_disk / "ws", texts_file(), "--name", "first", "--id", "id")
    before = sorted(path.name for path in (small_disk / "ws" / "datasets").iterdir())
    (small_disk / "more.jsonl").write_text('{"text": "other words"}\n' * 20_000, encoding="utf-8")
    fill(small_disk, leave)
    refused = lorif("import", small_disk / "ws", small_disk / "more.jsonl")
    assert refused.code == 2, refused.err
    assert "Traceback" not in refused.err
    assert sorted(path.name for path in (small_disk / "ws" / "datasets").iterdir()) == before


def test_scores_onto_a_full_disk_leave_no_file(interrupted, workspace, small_disk):
    (small_disk / "ballast").unlink()
    done(*build(workspace))
    fill(small_disk, leave=0)
    refused = lorif("score", workspace, "--queries", texts_file(), "--out", small_disk / "scores.parquet")
    assert refused.code == 2, refused.err
    assert "is full while writing 'scores.parquet'" in refused.err
    assert not [path.name for path in small_disk.iterdir() if "scores" in path.name]


def test_a_disk_that_may_not_be_written_stops_a_build_with_one_sentence(workspace, small_disk):
    if not mount(small_disk, "-o", "remount,ro"):
        pytest.skip("mounting a small disk is not allowed here, see tests/SKIPPED.md")
    refused = lorif(*build(workspace))
    assert refused.code == 2, refused.err
    assert "Traceback" not in refused.err
