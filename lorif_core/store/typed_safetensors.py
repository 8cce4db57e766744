# pyright: basic
"""Reading safetensors files with types, which the library leaves out."""

from collections.abc import Iterable
from pathlib import Path

from safetensors import safe_open
from torch import Tensor


def read_tensors(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """All tensors of a file by name, or only these, each read by itself."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}


def read_names(path: Path) -> list[str]:
    """The names of a file's tensors."""
    with safe_open(path, "pt") as file:
        return list(file.keys())


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a file keeps beside its tensors."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}
