"""Safetensors files by their headers: what they hold, and runs of rows read straight from the mapped file.

The library's own reader takes 13 µs for a tensor, all of them under Python's lock, which the threads of a pass over
an index share; from its place in the file it takes 1.3 µs (docs/decisions/0019).
Source: the format as described at https://github.com/huggingface/safetensors.
"""

import json
import math
from dataclasses import dataclass
from functools import cached_property
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
_REMEDY = "build the index again."


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
    def strides(self) -> tuple[int, ...]:
        """Numbers from one entry of each dimension to the next."""
        return tuple(math.prod(self.shape[dimension + 1 :]) for dimension in range(len(self.shape)))


class TensorFile:
    """A safetensors file mapped into memory. Tensors are views of it; writing to them changes no file."""

    def __init__(self, path: Path) -> None:
        """Map the file.

        Raises:
            ArtefactError: The file is missing.
            DamagedArtefact: It has no readable header, or one that does not go with what lies behind it.
        """
        self._path = str(path)
        self._places = read_header(path)
        size = path.stat().st_size
        for name, place in self._places.items():
            if not _is_sound(place, size):
                raise DamagedArtefact(f"{self._path!r} has a wrong header for {name!r}: {_REMEDY}")
        # Not Python's own mmap: it would keep a file open for as long as any of its tensors lives.
        self._bytes = torch.from_file(self._path, shared=False, size=size, dtype=torch.uint8)
        self._numbers: dict[torch.dtype, Tensor] = {}

    def rows(self, name: str, rows: range) -> Tensor:
        """Some consecutive rows of one tensor; rows are entries of its first dimension.

        Raises:
            DamagedArtefact: The file has no such tensor, or fewer rows.
        """
        place = self._places.get(name)
        if place is None or rows.stop > place.shape[0] or rows.step != 1:
            found = "no such tensor" if place is None else f"{place.shape[0]} rows"
            raise DamagedArtefact(f"{self._path!r} has {found} where {name!r}, {rows} was looked for: {_REMEDY}")
        dtype = _DTYPES[place.dtype]
        first = place.start // dtype.itemsize + rows.start * place.strides[0]
        return self._as(dtype).as_strided((len(rows), *place.shape[1:]), place.strides, first)

    def _as(self, dtype: torch.dtype) -> Tensor:
        """All of the file, header too, as numbers of a type."""
        if dtype not in self._numbers:
            whole = len(self._bytes) // dtype.itemsize * dtype.itemsize
            self._numbers[dtype] = self._bytes[:whole].view(dtype)
        return self._numbers[dtype]


def _is_sound(place: TensorPlace, size_bytes: int) -> bool:
    """Whether a tensor's type is known, and its numbers are as many as its bytes, aligned, and inside the file."""
    dtype = _DTYPES.get(place.dtype)
    return (
        dtype is not None
        and place.size_bytes == math.prod(place.shape) * dtype.itemsize
        and place.start % dtype.itemsize == 0
        and place.start + place.size_bytes <= size_bytes
    )


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
        raise DamagedArtefact(f"{str(path)!r} has no readable header ({error}): {_REMEDY}") from error
