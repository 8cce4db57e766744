"""Sums of XᵀX over many rows, in half of the multiplications or in bfloat16.

XᵀX is symmetric, so blocks below its diagonal are enough; the others are copied. In bfloat16 a product is rounded
when it is done, 2^-9 of each number at most, so few rows are multiplied at a time: the errors of n products are
independent, and of their sum 2^-9 / √n is left (docs/decisions/0041).
"""

from torch import Tensor

from lorif_core.linalg.narrow_products import is_narrow, wide_product
from lorif_core.shapes import Float

BLOCKS, NARROWEST_BLOCK = 8, 128
"""Into how many blocks of columns a sum is divided, and how narrow these may be: from there on products are slow."""

ROWS_AT_ONCE = 256
"""Rows whose product is rounded at once: twice as many are no faster."""

FEWEST_ROWS = 64 * ROWS_AT_ONCE
"""Rows from which on errors of products in bfloat16 even out to an eighth of what one product's are; with a few
hundred they moved the order of texts (Spearman .92 to float32)."""


def add_gram(sums: Float[Tensor, "d d"], rows: Float[Tensor, "n d"]) -> None:
    """Add XᵀX of some rows to a symmetric sum, in place, in its precision."""
    if is_narrow(rows):
        sums.add_(wide_product(rows.mT, rows))
        return
    rows = rows.to(sums.dtype)
    width = max(NARROWEST_BLOCK, -(-len(sums) // BLOCKS))
    for start in range(0, len(sums), width):
        stop = min(start + width, len(sums))
        sums[start:stop, :stop].addmm_(rows[:, start:stop].mT, rows[:, :stop])
        sums[:start, start:stop] = sums[start:stop, :start].mT


def add_gram_in_bfloat16(sums: Float[Tensor, "d d"], rows: Float[Tensor, "n d"]) -> None:
    """The same of rows that are rounded to bfloat16; products are summed in the sum's precision."""
    rows = rows.bfloat16()
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        sums.add_(some.mT @ some)
