# pyright: basic, reportInvalidTypeForm=false, reportIndexIssue=false
"""Scores of sign-coded factors in one kernel of a GPU, which reads every byte of codes once.

Σ_k ⟨l, a_k⟩⟨r, b_k⟩ for the columns l and r of an example and the k directions of a query. Unpacked to numbers in the
device's memory, codes become sixteen times as many bytes; here the bits of a byte become numbers in registers: bit s
of all bytes is a matrix (rows × bytes), and is multiplied with the rows of the vectors that belong to it. Vectors are
two bfloat16 numbers per number, as in ``unpacked_signs``, and sums are in float32.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from lorif_core.linalg.signs import SIGNS_OF_BYTE, SignFactors

try:  # comes with torch where there is CUDA
    import triton  # pyright: ignore
    import triton.language as tl  # pyright: ignore
except ImportError:
    triton = tl = cast(Any, None)

ROWS, BYTES = 128, 32
"""Examples of a block, and bytes of them that are multiplied at a time."""

NARROWEST, MOST_DIRECTIONS = 16, 64
"""The matrix units multiply no fewer directions at once; of more, sums of both sides no longer fit into registers."""


@dataclass(frozen=True)
class FusedSide:
    """One side of a query's directions, laid out for the kernel."""

    parts: Tensor
    """(Q, 2, 8, bytes, padded k), bfloat16: twice the vectors, first their leading parts, then what these leave."""

    sums: Tensor
    """(Q, padded k), float32: of each vector's numbers."""


def fused_side(vectors: Tensor, num_queries: int) -> FusedSide:
    """The columns (d, Q k) of one side, those of query 0 first."""
    by_query = vectors.float().unflatten(1, (num_queries, -1)).transpose(0, 1)  # (Q, d, k)
    width = max(NARROWEST, triton.next_power_of_2(by_query.shape[2]))
    filled = pad(2 * by_query, (0, width - by_query.shape[2], 0, -by_query.shape[1] % SIGNS_OF_BYTE))
    leading = filled.bfloat16()
    both = torch.stack((leading, (filled - leading.float()).bfloat16()), 1)
    parts = both.unflatten(2, (-1, SIGNS_OF_BYTE)).transpose(2, 3).contiguous()
    return FusedSide(parts, filled.sum(1).div(2).contiguous())


def fuses(device: torch.device, rank: int) -> bool:
    """Whether the kernel is there for queries of a rank."""
    return triton is not None and device.type == "cuda" and rank <= MOST_DIRECTIONS


def add_fused_scores(scores: Tensor, left: FusedSide, right: FusedSide, block: SignFactors) -> None:
    """Add each example's products with each query to the scores (Q, n), float32."""
    num_queries, n = scores.shape
    codes = block.left.codes.contiguous(), block.right.codes.contiguous()
    scales = [None if one.scales is None else one.scales.contiguous() for one in (block.left, block.right)]
    with torch.cuda.device(scores.device):  # where a kernel is started, whatever its tensors say
        _kernel[(triton.cdiv(n, ROWS), num_queries)](
            scores,
            scores.stride(0),
            *codes,
            *(codes[0] if one is None else one for one in scales),
            left.parts,
            right.parts,
            left.sums,
            right.sums,
            n,
            codes[0].shape[1],
            codes[0].shape[2],
            codes[1].shape[2],
            HAS_LEFT_SCALES=scales[0] is not None,
            HAS_RIGHT_SCALES=scales[1] is not None,
            WIDTH=left.sums.shape[1],
            ROWS=ROWS,
            BYTES=BYTES,
        )


if triton is not None:

    @triton.jit
    def _side_products(
        codes, parts, sums, rows, is_row, num_bytes, WIDTH: tl.constexpr, ROWS: tl.constexpr, BYTES: tl.constexpr
    ):
        """(ROWS, WIDTH): inner products of the signs of some columns with some vectors."""
        places, directions = tl.arange(0, BYTES), tl.arange(0, WIDTH)
        found = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
        for first in range(0, num_bytes, BYTES):
            is_byte = first + places < num_bytes
            some = tl.load(
                codes + rows[:, None] * num_bytes + (first + places)[None, :],
                mask=is_row[:, None] & is_byte[None, :],
                other=0,
            )
            for bit in tl.static_range(8):
                bits = ((some >> bit) & 1).to(parts.dtype.element_ty)
                for part in tl.static_range(2):
                    at = ((part * 8 + bit) * num_bytes + first + places)[:, None] * WIDTH + directions[None, :]
                    vectors = tl.load(parts + at, mask=is_byte[:, None], other=0.0)
                    found = tl.dot(bits, vectors, found)
        return found - tl.load(sums + directions)[None, :]

    @triton.jit
    def _kernel(
        scores, stride, left_codes, right_codes, left_scales, right_scales, left_parts, right_parts,
        left_sums, right_sums, n, num_columns, left_bytes, right_bytes,
        HAS_LEFT_SCALES: tl.constexpr, HAS_RIGHT_SCALES: tl.constexpr,
        WIDTH: tl.constexpr, ROWS: tl.constexpr, BYTES: tl.constexpr,
    ):  # fmt: skip
        examples = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        query = tl.program_id(1)
        is_row = examples < n
        total = tl.zeros((ROWS,), dtype=tl.float32)
        for column in range(num_columns):
            rows = examples.to(tl.int64) * num_columns + column
            left = _side_products(
                left_codes, left_parts + query * 16 * left_bytes * WIDTH, left_sums + query * WIDTH,
                rows, is_row, left_bytes, WIDTH, ROWS, BYTES,
            )  # fmt: skip
            right = _side_products(
                right_codes, right_parts + query * 16 * right_bytes * WIDTH, right_sums + query * WIDTH,
                rows, is_row, right_bytes, WIDTH, ROWS, BYTES,
            )  # fmt: skip
            found = tl.sum(left * right, 1)
            if HAS_LEFT_SCALES:
                found *= tl.load(left_scales + rows, mask=is_row, other=0.0).to(tl.float32)
            if HAS_RIGHT_SCALES:
                found *= tl.load(right_scales + rows, mask=is_row, other=0.0).to(tl.float32)
            total += found
        own = scores + query * stride + examples
        tl.store(own, tl.load(own, mask=is_row, other=0.0) + total, mask=is_row)
