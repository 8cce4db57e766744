"""The garbage collector looks through loaded modules once."""

import gc
import weakref

import pytest

from app import heap


class Node:
    """Garbage, once it refers to itself."""


@pytest.fixture
def nothing_set_apart(monkeypatch):
    monkeypatch.setattr(heap, "_num_set_apart", 0)
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def test_what_is_loaded_is_set_apart_and_garbage_is_not(nothing_set_apart):
    node = Node()
    node.itself = node
    seen = weakref.ref(node)
    del node
    heap.set_modules_apart()
    assert seen() is None
    assert gc.get_freeze_count() > 10_000


def test_nothing_is_done_again_until_much_more_is_loaded(nothing_set_apart, monkeypatch):
    heap.set_modules_apart()
    count = gc.get_freeze_count()
    kept = [[] for _ in range(1000)]
    heap.set_modules_apart()
    assert gc.get_freeze_count() == count
    monkeypatch.setattr(heap, "MANY_MODULES", 0)
    heap.set_modules_apart()
    assert gc.get_freeze_count() > count + len(kept) / 2
