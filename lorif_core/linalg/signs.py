"""Products of sign-coded columns with a few vectors, read off the packed bits.

A byte of codes is eight signs, so its share in a product with a vector has 256 possible values. They are computed
once; then a column of d signs costs d/8 look-ups and additions per vector instead of d multiplications, and is never
unpacked. Every column is summed by itself and in the same order, so that neither threads nor the size of a block
change a product.
Source: the table of Arlazarov, Dinic, Kronrod and Faradžev (1970), known as the method of the four Russians.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from lorif_core.linalg.codecs import signs_of_bytes
from lorif_core.shapes import Float, Int, UInt8

VALUES_OF_BYTE, SIGNS_OF_BYTE = 256, 8

COLUMNS_AT_ONCE = 8192
"""Sign-coded columns looked up at once: their indices, four bytes each, stay in the processor's cache."""

ALIGNMENT = 8
"""Vectors of a table are a multiple of this, which is one register: six cost more than eight."""

MOST_VECTORS = 128
"""Looking up was measured to win up to here, by less and less: larger tables leave the cache."""


@dataclass(frozen=True)
class SignColumns:
    """Sign-coded columns as they are stored."""

    codes: UInt8[Tensor, "n c bytes"]
    """Eight signs a byte, the first in the lowest bit; bits behind the d-th are 0."""

    scales: Float[Tensor, "n c"] | None
    """What each column's signs are multiplied by; None: nothing."""

    def part(self, rows: slice) -> "SignColumns":
        """Those of some consecutive examples."""
        return SignColumns(self.codes[rows], None if self.scales is None else self.scales[rows])

    def scaled(self, products: Float[Tensor, "n c k"]) -> Float[Tensor, "n c k"]:
        """Products with the signs as products with the columns, in place."""
        return products if self.scales is None else products.mul_(self.scales.float().unsqueeze(-1))


@dataclass(frozen=True)
class SignFactors:
    """Both factors of some consecutive examples of one module."""

    left: SignColumns
    right: SignColumns


@dataclass(frozen=True)
class SignTable:
    """What every byte of a column adds to its products with some vectors."""

    values: Float[Tensor, "entries aligned"]
    """Of byte b at place j: row 256·j + b; zeros behind the last vector."""

    num_vectors: int
    """k."""

    def products(self, columns: SignColumns) -> Float[Tensor, "n c k"]:
        """Each column's inner product with each vector."""
        codes = columns.codes.flatten(0, 1)
        out = torch.empty(len(codes), self.num_vectors)
        for start in range(0, len(codes), COLUMNS_AT_ONCE):
            some = slice(start, start + COLUMNS_AT_ONCE)
            out[some] = self.sums(_entries(codes[some]))
        return columns.scaled(out.view(*columns.codes.shape[:2], -1))

    def sums(self, entries: Int[Tensor, "m bytes"]) -> Float[Tensor, "m k"]:
        """Inner products of columns' signs with each vector, by their entries."""
        return embedding_bag(entries, self.values, mode="sum")[:, : self.num_vectors]


def sign_entries(codes: UInt8[Tensor, "n c bytes"]) -> Int[Tensor, "m bytes"]:
    """Which rows of any table each of the m = n·c columns sums up, for products with many tables."""
    return _entries(codes.flatten(0, 1))


def _entries(codes: UInt8[Tensor, "m bytes"]) -> Int[Tensor, "m bytes"]:
    return codes.int().add_(torch.arange(codes.shape[1], dtype=torch.int32) * VALUES_OF_BYTE)


def sign_table(vectors: Float[Tensor, "d k"]) -> SignTable:
    """The table for products with the columns of a matrix."""
    d, k = vectors.shape
    filled = pad(vectors, (0, -k % ALIGNMENT, 0, -d % SIGNS_OF_BYTE))  # the bits behind the d-th count nothing
    values = torch.einsum("bs,jsk->jbk", signs_of_bytes(vectors.device), filled.unflatten(0, (-1, SIGNS_OF_BYTE)))
    return SignTable(values.flatten(0, 1).contiguous(), k)
