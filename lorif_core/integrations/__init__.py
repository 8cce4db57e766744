"""Runs in other people's training loops: thin callbacks, each imported when it is used.

from lorif_core.integrations.transformers import LorifCallback
"""

from importlib import import_module
from types import ModuleType

_KNOWN = ("lightning", "transformers")


def __getattr__(name: str) -> ModuleType:
    """The callbacks for one library."""
    if name not in _KNOWN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
