"""Maps without a matrix: a mask keeps some coordinates of a side, a sparse sketch adds coordinates up with signs.

A mask of d of w coordinates is a gather, M (w, d) with one entry per column; √(w/d) M M ᵀ is the identity in
expectation. A sparse Johnson–Lindenstrauss transform with one entry per coordinate (a count sketch) sends coordinate
j with the sign s_j to the bucket h(j) of k: z_b = Σ_{j: h(j)=b} s_j g_j. Its k columns are never formed either, it
is one ``index_add``, and E⟨z, z'⟩ = ⟨g, g'⟩ with a variance of at most 2 ‖g‖² ‖g'‖² ÷ k.
Source: GraSS and FactGraSS (arXiv:2505.18976), sections 3.1 to 3.3; Charikar, Chen, Farach-Colton, "Finding frequent
items in data streams" (2002).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.shapes import Float, Int


@dataclass(frozen=True)
class Mask:
    """The coordinates of one side that are kept, unscaled: what follows the product carries the scale of both."""

    places: Int[Tensor, " d"]
    """Of the kept coordinates among the side's; in a pair with another mask the same one may stand several times."""

    def apply(self, rows: Tensor) -> Tensor:
        """(…, width) → (…, d)."""
        return rows.index_select(-1, self.places)

    def to(self, device: torch.device) -> "Mask":
        """The same mask on another device."""
        return Mask(self.places.to(device))


@dataclass(frozen=True)
class SparseSketch:
    """Every coordinate of a flattened gradient added with its sign to one of k buckets."""

    buckets: Int[Tensor, " m"]
    """Per coordinate, int32."""

    signs: Int[Tensor, " m"]
    """Per coordinate, 1 or -1, int8."""

    width: int
    """k."""

    scale: float = 1.0
    """√(coordinates ÷ kept ones) of the masks before it."""

    def apply(self, matrices: Float[Tensor, "B d_in d_out"]) -> Float[Tensor, "B 1 k"]:
        """The sketch of each matrix, in its dtype; can be differentiated."""
        signed = matrices.flatten(1) * self.signs
        sums = signed.new_zeros(len(signed), self.width).index_add(1, self.buckets, signed)
        return (sums * self.scale)[:, None]

    def to(self, device: torch.device) -> "SparseSketch":
        """The same sketch on another device."""
        return SparseSketch(self.buckets.to(device), self.signs.to(device), self.width, self.scale)
