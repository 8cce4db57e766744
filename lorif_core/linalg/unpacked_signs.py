"""Products of sign-coded columns with vectors by unpacking them, as a GPU does it.

Of byte b the bit at place s is worth 2ˢ, and b masked by 2ˢ is 2ˢ or 0: both are bfloat16 numbers, so a byte becomes
eight numbers by masks, and 2ˢ is divided out of the vectors, which is exact as well. A sign is twice its bit
less one, hence ⟨signs, v⟩ = 2 ⟨bits, v⟩ - Σ v. A vector is the sum of two bfloat16 numbers per number, which leaves
2⁻¹⁷ of it out; their products with bits are exact and are added up in float32. Look-ups (``signs``) do the same with
less memory but one column at a time, which is for a processor.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from lorif_core.linalg.narrow_products import wide_product
from lorif_core.linalg.signs import SIGNS_OF_BYTE, SignColumns
from lorif_core.shapes import Float

ALIGNMENT = 8
"""Columns of a product in bfloat16 are a multiple of this where it is to be fast."""


@dataclass(frozen=True)
class SplitVectors:
    """Some vectors, laid out for products with masked bits."""

    parts: Float[Tensor, "padded_d aligned"]
    """bfloat16: twice the leading parts of all vectors, then twice what these leave; each divided by the value of its
    row's bit. Zeros behind the d-th row and the last vector."""

    sums: Float[Tensor, " k"]
    """Of each vector's numbers."""

    def products(self, columns: SignColumns) -> Float[Tensor, "n c k"]:
        """Each column's inner product with each vector."""
        codes, k = columns.codes.flatten(0, 1), len(self.sums)
        # Two operations, as a GPU has no bitwise one that writes floating-point numbers.
        bits = (codes.unsqueeze(-1) & _worth(codes.device)).flatten(1).bfloat16()
        both = wide_product(bits, self.parts)
        signed = both[:, :k].add(both[:, k : 2 * k]).sub_(self.sums)
        return columns.scaled(signed.view(*columns.codes.shape[:2], k))


def split_vectors(vectors: Float[Tensor, "d k"]) -> SplitVectors:
    """The columns of a matrix, for products with signs."""
    d, k = vectors.shape
    filled = pad(2 * vectors, (0, 0, 0, -d % SIGNS_OF_BYTE))
    leading = filled.bfloat16()
    both = torch.cat((leading, (filled - leading.float()).bfloat16()), 1)
    worth = _worth(vectors.device).bfloat16().repeat(len(both) // SIGNS_OF_BYTE)
    return SplitVectors(pad(both / worth[:, None], (0, -2 * k % ALIGNMENT)), vectors.sum(0))


@cache
def _worth(device: torch.device) -> Tensor:
    """(8,) uint8: what each bit of a byte is worth, the first sign's first."""
    return (2 ** torch.arange(SIGNS_OF_BYTE, device=device)).to(torch.uint8)
