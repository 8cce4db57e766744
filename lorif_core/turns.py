"""Turns on a model: one thread at a time runs it, hooks it, or changes its flags and weights.

Hooks, training flags, ``requires_grad`` and weights belong to the model, not to the caller: two threads that use it
at once find each other's gradients in their numbers, and nothing says so. So whatever touches one of these takes a
turn at the place where it does, and no caller can forget to.

The thread that has a turn may take it again, so that a progress callback can ask the same model. A callback that uses
*another* model holds one turn while it waits for the other: two threads must not do so crosswise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from weakref import WeakKeyDictionary

from torch import nn

_LOCKS: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
"""Base model → its lock, for as long as the model lives; not an attribute, since a model is left as it was found."""

_FINDING = Lock()
"""Held while a lock is looked up or made, so that two threads cannot make one each."""


@contextmanager
def turn_on(model: nn.Module) -> Iterator[None]:
    """Have the model to oneself while the block runs; waits for the thread that has it."""
    base = base_of(model)
    with _FINDING:
        lock = _LOCKS.setdefault(base, RLock())
    with lock:
        yield


def base_of(model: nn.Module) -> nn.Module:
    """The model under its adapter wrappers, whose modules and weights are theirs too."""
    unwrap = getattr(model, "get_base_model", None)
    base = model if unwrap is None else unwrap()
    return base if base is model else base_of(base)
