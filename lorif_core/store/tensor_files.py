"""Safetensors files by their headers: what they hold, and runs of rows read straight from the mapped file.

The library's own reader opens a tensor in 13 µs, all of them under Python's lock, which the threads of a pass over an
index share; from the header it takes 2 µs (docs/decisions/0019).
Source: the format as described at https://github.com/huggingface/safetensors.
"""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from mmap import ACCESS_COPY, mmap
from pathlib import Path

import torch
from torch import Tensor

from lorif_core.errors import ArtefactError, DamagedArtefact

LENGTH_BYTES = 8
"""The file begins with the length of its header, a JSON object: name → dtype, shape, data_offsets."""

MAX_HEADER = 100 << 20
"""Safetensors allows no longer one."""

_DTYPES = {
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I8": torch.int8,
    "I32": torch.int32,
    "U8": torch.uint8,
}


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies in a file."""

    dtype: str
    """By the format's name."""

    shape: tuple[int, ...]
    start: int
    """First byte, counted from the beginning of the file."""

    size_bytes: int

    @cached_property
    def numbers_per_row(self) -> int:
        """Numbers of one entry of the first dimension."""
        return math.prod(self.shape[1:])


class TensorFile:
    """A safetensors file mapped into memory. Tensors are views of it; writing to them changes no file."""

    def __init__(self, path: Path) -> None:
        """Map the file.

        Raises:
            ArtefactError: The file is missing.
            DamagedArtefact: It has no readable header.
        """
        self._places = read_header(path)
        with path.open("rb") as handle:
            self._bytes = mmap(handle.fileno(), 0, access=ACCESS_COPY)

    def rows(self, name: str, rows: range) -> Tensor:
        """Some rows of one tensor; rows are entries of its first dimension."""
        place = self._places[name]
        dtype, width = _DTYPES[place.dtype], place.numbers_per_row
        if not rows or not width:
            return torch.empty(len(rows), *place.shape[1:], dtype=dtype)
        offset = place.start + rows.start * width * dtype.itemsize
        numbers = torch.frombuffer(self._bytes, dtype=dtype, count=len(rows) * width, offset=offset)
        return numbers.view(len(rows), *place.shape[1:])


def read_header(path: Path) -> dict[str, TensorPlace]:
    """The places of a file's tensors by their names.

    Raises:
        ArtefactError: The file is missing.
        DamagedArtefact: It has no such header.
    """
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(LENGTH_BYTES), "little")
            header = json.loads(handle.read(min(length, MAX_HEADER)))
        header.pop("__metadata__", None)
        first = LENGTH_BYTES + length
        return {
            name: TensorPlace(one["dtype"], tuple(one["shape"]), first + start, end - start)
            for name, one in header.items()
            for start, end in (one["data_offsets"],)
        }
    except FileNotFoundError as error:
        raise ArtefactError(
            f"{str(path)!r} is missing: `lorif doctor WORKSPACE` names every missing file."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedArtefact(f"{str(path)!r} has no readable header ({error}): build the index again.") from error
