"""What only reads goes on where the workspace's disk is full."""

import os
import shutil
import subprocess
from contextlib import suppress

import pytest
from tiny_workspace import copy_of, done, imported, indexed, lorif


@pytest.fixture
def full_disk(tmp_path):
    """Makes a disk of its own that holds a workspace and has no byte left."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a disk of its own, see tests/SKIPPED.md")

    def fill(workspace):
        copied = shutil.copytree(workspace, folder / "ws")
        with (folder / "fill").open("wb", buffering=0) as handle, suppress(OSError):
            while True:
                handle.write(bytes(1 << 16))
        assert shutil.disk_usage(folder).free == 0
        return copied

    yield fill
    subprocess.run(["umount", "-l", folder], check=True)


READING = [
    ["status"],
    ["browse", "--ids"],
    ["browse", "--search", "river"],
    ["browse", "--status", "kept"],
    ["duplicates"],
    ["queries"],
    ["history"],
    ["versions"],
    ["jobs"],
    ["indexes"],
    ["export", "--dry-run"],
]


def test_reading_and_exporting_to_another_disk_go_on(full_disk, tmp_path):
    workspace = full_disk(imported())
    runs = {" ".join(command): lorif(command[0], workspace, *command[1:]) for command in READING}
    assert {name: run.err for name, run in runs.items() if run.code} == {}
    done("export", workspace, "--out", tmp_path / "kept.jsonl")
    assert (tmp_path / "kept.jsonl").read_text().count("\n") == 121
    refused = lorif("flag", workspace, "t001", "--reason", "other")
    assert refused.code == 2
    assert "is full" in refused.err


def test_asking_without_keeping_goes_on(full_disk):
    workspace = full_disk(indexed())
    asked = ["--prompt", "The river of Arlen is", "--completion", " long", "--forget"]
    assert done("ask", workspace, *asked).code == 0


def test_a_search_whose_index_is_gone_is_made_in_the_temporary_folder(full_disk, tmp_path, caplog):
    whole = copy_of(imported(), tmp_path)
    (search,) = whole.glob("datasets/*/search.sqlite")
    search.unlink()
    workspace = full_disk(whole)
    found = done("browse", workspace, "--search", "river", "--ids").out
    assert found == done("browse", imported(), "--search", "river", "--ids").out
    assert found
    assert "the texts are indexed in the temporary folder for this time" in caplog.text
    assert list(workspace.glob("datasets/*/search.sqlite")) == []


def test_a_workspace_on_a_read_only_disk_is_read(full_disk):
    workspace = full_disk(imported())
    subprocess.run(["mount", "-o", "remount,ro", workspace.parent], check=True)
    runs = {" ".join(command): lorif(command[0], workspace, *command[1:]) for command in READING}
    assert {name: run.err for name, run in runs.items() if run.code} == {}
