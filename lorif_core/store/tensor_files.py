"""Safetensors files by their headers: what they hold, and runs of rows read straight from the mapped file.

The library's own reader takes 13 µs for a tensor, all of them under Python's lock, which the threads of a pass over
an index share; from its place in the file it takes 1.3 µs (docs/decisions/0019).
Source: the format as described at https://github.com/huggingface/safetensors.
"""

import json
import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from lorif_core.errors import DamagedArtefact
from lorif_core.shapes import UInt8

LENGTH_BYTES = 8
"""The file begins with the length of its header, a JSON object: name → dtype, shape, data_offsets."""

MAX_HEADER = 100 << 20
"""Safetensors allows no longer one."""

_DTYPES = {
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I8": torch.int8,
    "I16": torch.int16,
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


@runtime_checkable
class TensorRows(Protocol):
    """Named tensors, of which runs of rows are read."""

    def rows(self, name: str, rows: range) -> Tensor:
        """Some consecutive rows of one tensor; rows are entries of its first dimension."""
        ...


class TensorFile:
    """A safetensors file in memory, or mapped into it. Tensors are views of it; writing to them changes no file."""

    def __init__(self, told: str, content: UInt8[Tensor, " size"], mapped_from: Path | None = None) -> None:
        """Find the tensors.

        Args:
            told: Where the file lies, for people.
            content: All of it.
            mapped_from: The file that the content is a mapping of; None: it was read.

        Raises:
            DamagedArtefact: It has no readable header, or one that does not go with what lies behind it.
        """
        self._path, self._bytes, self._mapped_from = told, content, mapped_from
        self._places = header_of(lambda start, stop: content[start:stop].numpy().tobytes(), len(content), told)
        for name, place in self._places.items():
            if not _is_sound(place):
                raise DamagedArtefact(f"{self._path!r} has a wrong header for {name!r}: {_REMEDY}")
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

    def whole(self) -> dict[str, Tensor]:
        """Every tensor by its name."""
        return {
            name: self._as(_DTYPES[place.dtype]).as_strided(
                place.shape, place.strides, place.start // _DTYPES[place.dtype].itemsize
            )
            for name, place in self._places.items()
        }

    @property
    def size_bytes(self) -> int:
        """Of the file, header too."""
        return len(self._bytes)

    def copy_to(self, memory: UInt8[Tensor, " size"]) -> None:
        """Read the bytes of the file to the beginning of some memory on the CPU.

        Not from a mapping, whose pages would be mapped one by one: 1 GB/s on a virtual machine.

        Raises:
            DamagedArtefact: The file became shorter.
        """
        if self._mapped_from is None:
            memory[: self.size_bytes].copy_(self._bytes)
            return
        left: Any = memory[: self.size_bytes].numpy()
        with self._mapped_from.open("rb", buffering=0) as handle:
            while len(left):
                count = handle.readinto(left)
                if not count:
                    raise DamagedArtefact(f"{self._path!r} became shorter while it was read: {_REMEDY}")
                left = left[count:]

    def lying_in(self, memory: UInt8[Tensor, " size"]) -> "TensorFile":
        """The same tensors, of the bytes that ``copy_to`` brought to some memory, which a device may have copied."""
        moved = copy(self)
        moved._bytes, moved._numbers = memory[: self.size_bytes], {}
        return moved

    def _as(self, dtype: torch.dtype) -> Tensor:
        """All of the file, header too, as numbers of a type."""
        if dtype not in self._numbers:
            whole = len(self._bytes) // dtype.itemsize * dtype.itemsize
            self._numbers[dtype] = self._bytes[:whole].view(dtype)
        return self._numbers[dtype]


def _is_sound(place: TensorPlace) -> bool:
    """Whether a tensor's type is known, and its numbers are as many as its bytes, and aligned."""
    dtype = _DTYPES.get(place.dtype)
    return (
        dtype is not None
        and place.size_bytes == math.prod(place.shape) * dtype.itemsize
        and place.start % dtype.itemsize == 0
    )


def header_of(read: Callable[[int, int], bytes], size_bytes: int, told: str) -> dict[str, TensorPlace]:
    """The places of a file's tensors by their names.

    Args:
        read: Gives the bytes from a first one to before a last one.
        size_bytes: Of the whole file.
        told: Where it lies, for people.

    Raises:
        DamagedArtefact: It has no such header.
    """
    try:
        length = int.from_bytes(read(0, min(LENGTH_BYTES, size_bytes)), "little")
        if length > min(MAX_HEADER, size_bytes - LENGTH_BYTES):
            raise ValueError(f"a header of {length:,} bytes in a file of {size_bytes:,}")
        first = LENGTH_BYTES + length
        header = json.loads(read(LENGTH_BYTES, first), object_pairs_hook=_each_once)
        header.pop("__metadata__", None)
        places = {
            name: TensorPlace(
                _text(one["dtype"]), tuple(map(_count, one["shape"])), first + _count(start), end - start
            )
            for name, one in header.items()
            for start, end in (one["data_offsets"],)
        }
        _check_places(places, size_bytes)
        return places
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedArtefact(f"{told!r} has no readable header ({error}): {_REMEDY}") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the header, none of whose keys is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is no type")
    return value


def _count(value: Any) -> int:
    """A number of things, as it must be."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} is no number of things")
    return value


def _check_places(places: Mapping[str, TensorPlace], size_bytes: int) -> None:
    """Refuse tensors that lie outside the file, or over one another."""
    end, before = 0, ""
    for name, place in sorted(places.items(), key=lambda item: (item[1].start, item[1].size_bytes)):
        if place.size_bytes < 0 or place.start + place.size_bytes > size_bytes:
            raise ValueError(f"{name[:80]!r} lies outside the file")
        if place.start < end:
            raise ValueError(f"{name[:80]!r} lies over {before[:80]!r}")
        end, before = place.start + place.size_bytes, name
