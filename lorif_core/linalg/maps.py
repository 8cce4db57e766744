"""The two projections of one module.

A module with input width i and output width o has the gradient G = XᵀY' (i, o). Its maps
P_in (i, d_in) and P_out (o, d_out) turn that into G̃ = (X P_in)ᵀ (Y' P_out), (d_in, d_out),
without ever forming G. Random maps hold signs scaled by 1/√d, so that E[P Pᵀ] = I and inner
products are kept in expectation; they are drawn on the CPU from a seed and the module's name,
so any machine redraws the same ones and they need not be stored.
Maps that are stored anyway have orthonormal columns times √(width/d) instead: E[P Pᵀ] = I as well, and no direction
is counted twice (docs/decisions/0039).
A side may also be a mask, and a sparse sketch may follow the product (``sparse_maps``): then what is left of a
gradient is a vector (1, k). The vectors of several modules may be added up to one that stands for all of them.
Source: LoRIF (arXiv:2601.21929) and LoGra (arXiv:2405.13954), which project the same way.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorif_core.linalg.sparse_maps import Mask, SparseSketch
from lorif_core.linalg.typed_torch import orthonormal_basis
from lorif_core.shapes import Float, ModuleShape

MOST_DIVISOR = 1 << 20
"""By which every width becomes 1."""


Side = Tensor | Mask | None
"""How one side is projected: by a matrix, a diagonal or a mask; None: not at all."""


@dataclass(frozen=True)
class ModuleMaps:
    """The input and output map of one module, and what follows their product."""

    input_map: Side
    """(i, d_in), float32, or a mask."""

    output_map: Side
    """(o, d_out), float32, or a mask; (o,) for a diagonal, which keeps the width."""

    is_paired: bool = False
    """Whether both sides are masks of as many coordinates, whose entries are multiplied pair by pair: the kept ones
    of the flat gradient, (1, m)."""

    sketch: SparseSketch | None = None
    """Of the product, which it turns into a vector (1, k)."""

    joined_as: str | None = None
    """Under which name the vectors of all modules with this name are added up; None: this module stands alone."""

    @property
    def keeps_outputs_apart(self) -> bool:
        """Whether every output is only scaled, as those of an output head are: tokens are not mixed."""
        return isinstance(self.output_map, Tensor) and self.output_map.ndim == 1

    def to(self, device: torch.device, dtype: torch.dtype) -> "ModuleMaps":
        """The same maps on another device, in another dtype."""

        def move(side: Side) -> Side:
            return side.to(device, dtype) if isinstance(side, Tensor) else side and side.to(device)

        sketch = self.sketch and self.sketch.to(device)
        return replace(self, input_map=move(self.input_map), output_map=move(self.output_map), sketch=sketch)


def projected_width(width: int, f: int) -> int:
    """Width after projection by the divisor ``f``: max(1, width // f)."""
    return max(1, width // f)


def smallest_divisor(fits: Callable[[int], bool], *, first: int = 1, largest: int = MOST_DIVISOR) -> int | None:
    """The smallest of ``first``, twice that, four times that … at which something fits; None where nothing does."""
    f = first
    while f <= largest:
        if fits(f):
            return f
        f *= 2
    return None


def random_maps(module: ModuleShape, *, f: int, seed: int) -> ModuleMaps:
    """Random sign maps of one module to its projected widths; a side that keeps its width is left as it is.

    Args:
        module: Its name draws the maps.
        f: Projection divisor; 1 projects nothing.
        seed: Of the draw.

    Source: LoRIF (arXiv:2601.21929), two-sided random projection.
    """

    def side(kind: str, width: int, projected: int) -> Tensor | None:
        # A width of one is multiplied by a sign for f > 1, as it always was: digests of older indexes know it.
        if f == 1 or width == projected > 1:
            return None
        return random_signs(f"{seed}:{module.name}:{kind}", width, projected)

    return ModuleMaps(
        side("input", module.in_features, module.d_in), side("output", module.out_features, module.d_out)
    )


def seeded_generator(key: str) -> torch.Generator:
    """CPU generator whose seed depends on ``key`` alone."""
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    return torch.Generator().manual_seed(seed >> 1)


def random_signs(key: str, width: int, projected: int) -> Float[Tensor, "width projected"]:
    """Signs over √projected that depend on ``key`` alone."""
    bits = torch.randint(0, 2, (width, projected), generator=seeded_generator(key), dtype=torch.int8)
    return bits.float().mul_(2).sub_(1).div_(projected**0.5)


def random_directions(
    key: str, width: int, projected: int, device: torch.device | None = None
) -> Float[Tensor, "width projected"] | None:
    """Orthonormal columns times √(width ÷ projected) that depend on ``key`` alone, float64; None if all are kept.

    The last bits depend on the QR decomposition of the device that they are made on: for maps that are stored.
    """
    if projected == width:
        return None
    drawn = torch.randn(width, projected, generator=seeded_generator(key), dtype=torch.float64)
    return orthonormal_basis(drawn.to(device)) * (width / projected) ** 0.5


def bytes_of_maps(modules: Sequence[ModuleShape], *, keeps_widths: bool) -> int:
    """Bytes of dense maps of some modules in float32.

    Args:
        modules: Whose.
        keeps_widths: Whether a side that keeps its width has a map as well, as half-whitening ones have.
    """

    def side(width: int, projected: int) -> int:
        return width * projected if keeps_widths or projected < width else 0

    return 4 * sum(
        side(one.in_features, one.d_in)
        + (one.out_features if one.form == "columns" else side(one.out_features, one.d_out))
        for one in modules
    )


def maps_digest(maps: Mapping[str, ModuleMaps]) -> str:
    """Hash of all maps: proof that a redraw gave the ones an index was built with."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(maps):
        own = maps[name]
        sides = (one.places if isinstance(one, Mask) else one for one in (own.input_map, own.output_map))
        sketch = () if own.sketch is None else (own.sketch.buckets, own.sketch.signs)
        for side in (*sides, *sketch):
            shape = () if side is None else tuple(side.shape)
            digest.update(f"{name}{shape}".encode())
            if side is not None:
                digest.update(side.contiguous().cpu().numpy().tobytes())
        if own.sketch is not None:
            digest.update(f"{own.is_paired} {own.sketch.width} {own.sketch.scale} {own.joined_as}".encode())
    return digest.hexdigest()
