"""The two projections of one module.

A module with input width i and output width o has the gradient G = XᵀY' (i, o). Its maps
P_in (i, d_in) and P_out (o, d_out) turn that into G̃ = (X P_in)ᵀ (Y' P_out), (d_in, d_out),
without ever forming G. Random maps hold signs scaled by 1/√d, so that E[P Pᵀ] = I and inner
products are kept in expectation; they are drawn on the CPU from a seed and the module's name,
so any machine redraws the same ones and they need not be stored.
Maps that are stored anyway have orthonormal columns times √(width/d) instead: E[P Pᵀ] = I as well, and no direction
is counted twice (docs/decisions/0039).
Source: LoRIF (arXiv:2601.21929) and LoGra (arXiv:2405.13954), which project the same way.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.linalg.typed_torch import orthonormal_basis
from lorif_core.shapes import Float, ModuleShape

MOST_DIVISOR = 1 << 20
"""By which every width becomes 1."""


@dataclass(frozen=True)
class ModuleMaps:
    """The input and output map of one module; None stands for the identity."""

    input_map: Tensor | None
    """(i, d_in), float32."""

    output_map: Tensor | None
    """(o, d_out), float32; (o,) for a diagonal, which keeps the width."""

    @property
    def keeps_outputs_apart(self) -> bool:
        """Whether every output is only scaled, as those of an output head are: tokens are not mixed."""
        return self.output_map is not None and self.output_map.ndim == 1

    def to(self, device: torch.device, dtype: torch.dtype) -> "ModuleMaps":
        """The same maps on another device, in another dtype."""

        def move(side: Tensor | None) -> Tensor | None:
            return None if side is None else side.to(device, dtype)

        return ModuleMaps(move(self.input_map), move(self.output_map))


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


def maps_digest(maps: Mapping[str, ModuleMaps]) -> str:
    """Hash of all maps: proof that a redraw gave the ones an index was built with."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(maps):
        for side in (maps[name].input_map, maps[name].output_map):
            shape = () if side is None else tuple(side.shape)
            digest.update(f"{name}{shape}".encode())
            if side is not None:
                digest.update(side.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
