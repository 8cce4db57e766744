"""Masks and sparse sketches of modules, drawn on the CPU from a seed and a module's name alone.

* ``masked_maps``: some coordinates of each side are kept, their product is sketched (FactGraSS).
* ``paired_maps``: some entries of the flat gradient are kept, wherever they stand, and sketched (GraSS). An entry of
  G = XᵀY' is the product of one column of X and one of Y', so G is never formed.
* ``hashed_maps``: random signs on both sides as everywhere, their product is sketched (TRAK).

A sketch of no more coordinates than buckets gives each a bucket of its own and loses nothing.
Source: GraSS and FactGraSS (arXiv:2505.18976).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lorif_core.linalg.maps import ModuleMaps, random_maps, seeded_generator
from lorif_core.linalg.sparse_maps import Mask, SparseSketch
from lorif_core.shapes import ModuleShape

BYTES_PER_COORDINATE = 5
"""Of a sketch: a bucket and a sign."""


def kept_widths(in_features: int, out_features: int, most: int) -> tuple[int, int]:
    """How many coordinates masks keep of both sides: at most ``most`` pairs, as many of each as the widths allow."""
    kept_in = min(in_features, max(1, math.isqrt(most)))
    kept_out = min(out_features, most // kept_in)
    return min(in_features, most // kept_out), kept_out


def shares_of(sizes: Sequence[int], most: int) -> list[int]:
    """How many entries are kept of each module's gradient: in all ``most``, by size, of each at least one."""
    whole = sum(sizes)
    ends = [min(most, whole) * sum(sizes[: place + 1]) // whole for place in range(len(sizes))]
    return [max(1, end - start) for start, end in zip([0, *ends], ends, strict=False)]


def masked_maps(module: ModuleShape, *, sketch_width: int, mask_factor: int, seed: int) -> ModuleMaps:
    """Masks of both sides, then a sketch to ``module.d_out`` numbers.

    Args:
        module: Its name draws the maps.
        sketch_width: k, the most numbers.
        mask_factor: How many pairs of kept coordinates there are for each of them.
        seed: Of the draw.
    """
    widths = module.in_features, module.out_features
    kept = kept_widths(*widths, mask_factor * sketch_width)
    key = f"{seed}:{module.name}"
    scale = math.sqrt(math.prod(widths) / math.prod(kept))
    return ModuleMaps(
        _mask(f"{key}:input mask", widths[0], kept[0]),
        _mask(f"{key}:output mask", widths[1], kept[1]),
        sketch=_sketch(key, math.prod(kept), module.d_out, scale),
    )


def paired_maps(module: ModuleShape, *, sketch_width: int, seed: int, joined_as: str) -> ModuleMaps:
    """``module.d_in`` entries of the flat gradient, sketched to ``sketch_width`` numbers.

    Args:
        module: Its name draws the maps.
        sketch_width: k.
        seed: Of the draw.
        joined_as: What the vectors of all modules are added up to.
    """
    key, size, kept = f"{seed}:{module.name}", module.in_features * module.out_features, module.d_in
    places = _distinct(f"{key}:entries", size, kept)
    return ModuleMaps(
        Mask(places // module.out_features),
        Mask(places % module.out_features),
        is_paired=True,
        sketch=_sketch(key, kept, sketch_width, math.sqrt(size / kept), is_alone=False),
        joined_as=joined_as,
    )


def hashed_maps(module: ModuleShape, *, f: int, sketch_width: int, seed: int, joined_as: str) -> ModuleMaps:
    """Random signs to the module's projected widths, whose product is sketched to ``sketch_width`` numbers.

    Args:
        module: Its name draws the maps.
        f: Projection divisor; 1 projects nothing.
        sketch_width: k.
        seed: Of the draw.
        joined_as: What the vectors of all modules are added up to.
    """
    signs = random_maps(module, f=f, seed=seed)
    sketch = _sketch(f"{seed}:{module.name}", module.dim, sketch_width, 1.0, is_alone=False)
    return ModuleMaps(signs.input_map, signs.output_map, sketch=sketch, joined_as=joined_as)


def _mask(key: str, width: int, kept: int) -> Mask | None:
    return None if kept == width else Mask(_distinct(key, width, kept).sort().values)


def _sketch(key: str, size: int, width: int, scale: float, *, is_alone: bool = True) -> SparseSketch:
    if is_alone and size <= width:
        return SparseSketch(torch.arange(size, dtype=torch.int32), torch.ones(size, dtype=torch.int8), width, scale)
    generator = seeded_generator(f"{key}:sketch")
    buckets = torch.randint(0, width, (size,), generator=generator, dtype=torch.int32)
    signs = torch.randint(0, 2, (size,), generator=generator, dtype=torch.int8) * 2 - 1
    return SparseSketch(buckets, signs, width, scale)


def _distinct(key: str, size: int, count: int) -> Tensor:
    """``count`` different numbers below ``size``, each as likely, int64; of many there is no list of all."""
    generator = seeded_generator(key)
    if size <= 4 * count:
        return torch.randperm(size, generator=generator)[:count]
    found: dict[int, None] = {}
    while len(found) < count:
        drawn = torch.randint(0, size, (2 * count,), generator=generator)
        found |= dict.fromkeys(int(one) for one in drawn)
    return torch.tensor(list(found)[:count])
