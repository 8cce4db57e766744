"""How far gradients are projected where nobody says so: as far as a text's bytes ask for, f before a second term.

A text may take 4 KB in a model of up to 20 million tracked numbers, and beyond that more with their cube root: 6.5 KB
at 80 million, 27 KB at 5.6 billion. The smallest divisor is taken at which every module has a term and the output
head its columns; a second term comes only out of what is left then (docs/decisions/0040).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lorif_core.linalg.maps import smallest_divisor
from lorif_core.shapes import ModuleShape

SMALL_MODEL = 20_000_000
"""Tracked numbers up to which a text takes ``BYTES_OF_SMALL``."""

BYTES_OF_SMALL = 4096

LARGEST_DIVISOR = 64

BytesAt = Callable[[int, int], int]
"""(f, factor rank) → bytes of one text."""


class Size(NamedTuple):
    """How a method projects, and what is stored per module."""

    f: int
    factor_rank: int


def tracked_numbers(modules: Sequence[ModuleShape]) -> int:
    """Numbers of the matrices that are stored as factors."""
    return sum(one.in_features * one.out_features for one in modules if one.form == "factors")


def default_bytes(modules: Sequence[ModuleShape]) -> int:
    """Bytes per text that a model with these tracked modules is given."""
    return int(BYTES_OF_SMALL * max(1.0, tracked_numbers(modules) / SMALL_MODEL) ** (1 / 3))


def size_by_bytes(limit_bytes: int, bytes_at: BytesAt, most_rank: int) -> Size:
    """The smallest divisor, a power of two, at which one term per module fits; the largest where none does."""
    f = smallest_divisor(lambda f: bytes_at(f, 1) <= limit_bytes, largest=LARGEST_DIVISOR) or LARGEST_DIVISOR
    return Size(f, rank_by_bytes(limit_bytes, bytes_at, f, most_rank))


def rank_by_bytes(limit_bytes: int, bytes_at: BytesAt, f: int, most_rank: int) -> int:
    """As many terms per module as fit at a divisor, 1 where not even one does, and no more than ``most_rank``."""
    return max((rank for rank in range(1, most_rank + 1) if bytes_at(f, rank) <= limit_bytes), default=1)
