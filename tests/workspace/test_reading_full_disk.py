"""What only reads goes on where the workspace's disk is full."""

import os
import shutil
import subprocess
from contextlib import suppress

import pytest
from tiny_workspace import done, imported, indexed, lorif


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
