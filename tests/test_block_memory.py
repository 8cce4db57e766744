"""Facts that are written over in place: read by everybody, and never a reason to fail."""

import errno
import os

import pytest

from lorif_core.block_memory import BLOCK_BYTES, BlockMemory


@pytest.fixture
def memory(tmp_path):
    memory = BlockMemory(tmp_path / "memory.json", "thing")
    memory.write({"count": 1})
    return memory


def test_facts_are_followed_in_the_same_block(memory):
    inode = memory.path.stat().st_ino
    memory.follow({"count": 2})
    assert (memory.read(), BlockMemory(memory.path, "thing").read()) == ({"count": 2}, {"count": 2})
    assert (memory.path.stat().st_ino, memory.path.stat().st_size) == (inode, BLOCK_BYTES)


def test_facts_that_others_wrote_are_seen(memory):
    assert memory.read() == {"count": 1}
    BlockMemory(memory.path, "thing").write({"count": 7})
    assert memory.read() == {"count": 7}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"thing": 1}', b'{"other": {"count": 1}}'])
def test_what_is_no_memory_is_none(memory, content):
    memory.path.write_bytes(content)
    assert memory.exists()
    assert memory.read() is None


def test_a_full_disk_leaves_the_facts_that_were_there(memory, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    memory.follow({"count": 2, "more": "x" * BLOCK_BYTES})  # longer: it needs a new file
    assert memory.read() == {"count": 1}
