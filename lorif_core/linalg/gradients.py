"""Projected per-example gradients of one module, from its inputs and output gradients.

G̃ = (X P_in)ᵀ (Y' P_out) can be multiplied out in three orders whose cost differs by a
factor of up to three (d_in ≪ i, but d_in·o may be less than o·d_out). All give the same
number; the cheapest by operation count is taken:

    both first     T·(i·d_in + o·d_out) + T·d_in·d_out
    input first    T·i·d_in + T·d_in·o + d_in·o·d_out
    output first   T·o·d_out + T·i·d_out + i·d_in·d_out

A sketch, and masks whose entries are multiplied pair by pair, follow at once: what they leave is multiplied out.

With few tokens (T < min(d_in, d_out)) the product is left undone: the pair of projected
sequences is smaller, and its rank-c factors are found without forming G̃.

On a GPU, rows that the model computed in bfloat16 stay so until they are multiplied by one another, with products
added up and given in float32 (``narrow_products``): the same numbers as in float32, ten times as fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from lorif_core.linalg.maps import ModuleMaps, Side
from lorif_core.linalg.narrow_products import is_narrow, wide_product
from lorif_core.linalg.sparse_maps import Mask
from lorif_core.linalg.typed_torch import vector_norm

NUMBERS_AT_ONCE = 1 << 23
"""Numbers of scaled rows that are alive at a time for their inner products (32 MiB)."""


@dataclass(frozen=True)
class Gram:
    """Inner products of each example's rows, (T × T), kept in range whatever the rows' magnitude."""

    matrix: Tensor
    """(B, T, T), of the rows divided by ``scale``."""

    scale: Tensor
    """(B, 1, 1), above 0: the largest magnitude among each example's rows."""

    @classmethod
    def of(cls, rows: Tensor) -> "Gram":
        """Of rows (B, T, width); of a vocabulary's width, some columns at a time, so that no second copy is alive."""
        flat = rows.flatten(1)
        scale = torch.maximum(-flat.amin(1), flat.amax(1)).clamp_min(torch.finfo(rows.dtype).tiny)[:, None, None]
        if is_narrow(rows):  # a power of two, so that what is divided is exact in bfloat16 as well
            scale = _power_of_two_above(scale.float())
            scaled = (rows / scale).to(rows.dtype)
            return cls(wide_product(scaled, scaled.mT), scale)
        width = max(1, NUMBERS_AT_ONCE // (rows.shape[0] * rows.shape[1]))
        scaled = rows[:, :, :width] / scale
        matrix = scaled @ scaled.mT
        for start in range(width, rows.shape[2], width):
            scaled = rows[:, :, start : start + width] / scale
            matrix = matrix.baddbmm(scaled, scaled.mT)
        return cls(matrix, scale)


def _power_of_two_above(numbers: Tensor) -> Tensor:
    """The smallest power of two above each number, which is at least the smallest normal one."""
    return torch.ldexp(torch.ones_like(numbers), torch.frexp(numbers).exponent)


@dataclass(frozen=True)
class SequenceGradient:
    """G̃ = ``inputs``ᵀ ``output_grads`` per example, not multiplied out."""

    inputs: Tensor
    """(B, T, d_in), float32; bfloat16 where a GPU computed it."""

    output_grads: Tensor
    """(B, T, d_out), likewise."""

    @cached_property
    def wide(self) -> "SequenceGradient":
        """The same rows in float32 or wider."""
        return SequenceGradient(_wide(self.inputs), _wide(self.output_grads))

    def dense(self) -> Tensor:
        """The projected gradients themselves, (B, d_in, d_out)."""
        return wide_product(self.inputs.mT, self.output_grads)

    def apply(self, vectors: Tensor) -> Tensor:
        """G̃ times (B, d_out, c): (B, d_in, c)."""
        return times(self.wide.inputs.mT, times(self.wide.output_grads, vectors))

    def apply_transposed(self, vectors: Tensor) -> Tensor:
        """G̃ᵀ times (B, d_in, c): (B, d_out, c)."""
        return times(self.wide.output_grads.mT, times(self.wide.inputs, vectors))

    def squared_norm(self) -> Tensor:
        """Squared Frobenius norm per example, (B,)."""
        inputs, output_grads = self.grams
        inside = (inputs.matrix * output_grads.matrix).sum((1, 2)).clamp_min(0)
        return inside * (inputs.scale * output_grads.scale).square()[:, 0, 0]

    @cached_property
    def grams(self) -> "tuple[Gram, Gram]":
        """X Xᵀ of the inputs and Y Yᵀ of the output gradients, multiplied once for the norm and the factors."""
        rows = self if is_narrow(self.inputs) and is_narrow(self.output_grads) else self.wide
        return Gram.of(rows.inputs), Gram.of(rows.output_grads)

    def columns(self, places: Tensor) -> Tensor:
        """The columns of G̃ at places (B, m): (B, d_in, m)."""
        chosen = self.output_grads.gather(2, places[:, None].expand(-1, self.inputs.shape[1], -1))
        return wide_product(self.inputs.mT, chosen)

    def __len__(self) -> int:
        """B."""
        return len(self.inputs)

    @property
    def widths(self) -> tuple[int, int]:
        """d_in and d_out."""
        return self.inputs.shape[2], self.output_grads.shape[2]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What it consists of."""
        return self.inputs, self.output_grads

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.inputs.device


@dataclass(frozen=True)
class DenseGradient:
    """G̃ per example, multiplied out."""

    matrix: Tensor
    """(B, d_in, d_out), float32."""

    def plus(self, other: "DenseGradient") -> "DenseGradient":
        """The sum of both, where this one lies."""
        return DenseGradient(self.matrix + other.matrix.to(self.matrix.device))

    def dense(self) -> Tensor:
        """The projected gradients themselves, (B, d_in, d_out)."""
        return self.matrix

    def apply(self, vectors: Tensor) -> Tensor:
        """G̃ times (B, d_out, c): (B, d_in, c)."""
        return times(self.matrix, vectors)

    def apply_transposed(self, vectors: Tensor) -> Tensor:
        """G̃ᵀ times (B, d_in, c): (B, d_out, c)."""
        return times(self.matrix.mT, vectors)

    def squared_norm(self) -> Tensor:
        """Squared Frobenius norm per example, (B,)."""
        return vector_norm(self.matrix, (1, 2)).square()

    def columns(self, places: Tensor) -> Tensor:
        """The columns of G̃ at places (B, m): (B, d_in, m)."""
        return self.matrix.gather(2, places[:, None].expand(-1, self.matrix.shape[1], -1))

    def __len__(self) -> int:
        """B."""
        return len(self.matrix)

    @property
    def widths(self) -> tuple[int, int]:
        """d_in and d_out."""
        return self.matrix.shape[1], self.matrix.shape[2]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What it consists of."""
        return (self.matrix,)

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.matrix.device


def times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(B, m, n) times (B, n, c).

    Batched products with a few vectors are bound by memory, and on the CPU the way they are written decides: row
    vectors times the transposed matrices were measured two to seven times faster than ``matrices @ vectors``, and
    for a single vector and matrices that lie by rows a plain multiply-and-sum is (64 × 64 × 384, float32).
    """
    if matrices.is_cuda:
        return matrices @ vectors
    if vectors.shape[2] == 1 and matrices.stride(1) != 1:
        return (matrices * vectors.mT).sum(2, keepdim=True)
    return (vectors.mT @ matrices.mT).mT


ProjectedGradient = SequenceGradient | DenseGradient

Order = Literal["sequence", "both", "input", "output"]
"""What is multiplied first; "sequence" leaves the last product undone."""


def multiplication_order(num_tokens: int, in_features: int, out_features: int, maps: ModuleMaps) -> Order:
    """The cheapest order for sequences of that length, by operation count.

    Outputs that are kept apart are those of a vocabulary: a product as wide as that is never formed here.
    """
    if maps.keeps_outputs_apart:
        return "sequence"
    if maps.is_paired:
        return "both"
    d_in, d_out = _width(maps.input_map, in_features), _width(maps.output_map, out_features)
    if maps.sketch is None and num_tokens < min(d_in, d_out):
        return "sequence"
    cost_in = num_tokens * in_features * d_in if isinstance(maps.input_map, Tensor) else 0
    cost_out = num_tokens * out_features * d_out if isinstance(maps.output_map, Tensor) else 0
    costs: dict[Order, int] = {
        "both": cost_in + cost_out + num_tokens * d_in * d_out,
        "input": cost_in + num_tokens * d_in * out_features + d_in * out_features * d_out,
        "output": cost_out + num_tokens * in_features * d_out + in_features * d_in * d_out,
    }
    return min(costs, key=lambda order: costs[order])


def _width(side: Side, width: int) -> int:
    if side is None:
        return width
    return len(side.places) if isinstance(side, Mask) else side.shape[1]


def prepare_inputs(inputs: Tensor, maps: ModuleMaps, order: Order) -> Tensor:
    """What of the layer inputs X (B, T, i) must be kept until the output gradients arrive."""
    return inputs if order == "output" else project_side(inputs, maps.input_map)


def finish_gradient(prepared: Tensor, output_grads: Tensor, maps: ModuleMaps, order: Order) -> ProjectedGradient:
    """Projected gradients of a batch.

    Args:
        prepared: From ``prepare_inputs`` with the same maps and order.
        output_grads: Gradient of the objective with respect to the layer outputs Y', (B, T, o).
        maps: The module's maps.
        order: From ``multiplication_order``, or "sequence" to keep the tokens apart.
    """
    if order == "input":
        half = _product_as(prepared.mT, output_grads.to(prepared.dtype))  # (B, d_in, o)
        return _sketched(DenseGradient(_wide(project_side(half, maps.output_map))), maps)
    projected = project_side(output_grads, maps.output_map)
    if order == "output":
        half = _product_as(projected.mT, prepared.to(projected.dtype))  # (B, d_out, i)
        return _sketched(DenseGradient(_wide(project_side(half, maps.input_map)).mT), maps)
    return multiply_sides(prepared, projected, maps, order)


def multiply_sides(inputs: Tensor, output_grads: Tensor, maps: ModuleMaps, order: Order) -> ProjectedGradient:
    """Projected gradients of a batch whose sides are both projected, (B, T, d_in) and (B, T, d_out)."""
    pair = SequenceGradient(inputs, output_grads)
    if maps.is_paired:
        return _sketched(DenseGradient((pair.wide.inputs * pair.wide.output_grads).sum(1, keepdim=True)), maps)
    return pair if order == "sequence" else _sketched(DenseGradient(pair.dense()), maps)


def _sketched(gradient: DenseGradient, maps: ModuleMaps) -> DenseGradient:
    return gradient if maps.sketch is None else DenseGradient(maps.sketch.apply(gradient.matrix))


def sum_gradients(gradients: Sequence[ProjectedGradient]) -> ProjectedGradient:
    """Gradients of several calls of one module as one; kept per token, they stand one after another."""
    pairs = [gradient for gradient in gradients if isinstance(gradient, SequenceGradient)]
    if len(pairs) == len(gradients):
        return SequenceGradient(
            torch.cat([pair.inputs for pair in pairs], 1), torch.cat([pair.output_grads for pair in pairs], 1)
        )
    return DenseGradient(torch.stack([gradient.dense() for gradient in gradients]).sum(0))


def stack_gradients(gradients: Sequence[ProjectedGradient]) -> ProjectedGradient:
    """Gradients of several modules behind one another as one batch; all multiplied out or none, and of one shape."""
    if len(gradients) == 1:
        return gradients[0]
    pairs = [one for one in gradients if isinstance(one, SequenceGradient)]
    if pairs:
        return SequenceGradient(
            torch.cat([one.inputs for one in pairs]), torch.cat([one.output_grads for one in pairs])
        )
    return DenseGradient(torch.cat([one.dense() for one in gradients]))


def sum_over_sequences(gradient: ProjectedGradient, count: int, weights: Tensor) -> ProjectedGradient:
    """Gradients of texts that are ``count`` sequences each, as weighted sums of their sequences' gradients.

    Args:
        gradient: Of the sequences (n·count, …), those of one text one behind the other.
        count: Sequences of every text.
        weights: Of the sequences, (n·count,).
    """
    if isinstance(gradient, DenseGradient):
        weighted = gradient.matrix * weights.to(gradient.matrix)[:, None, None]
        return DenseGradient(weighted.view(-1, count, *weighted.shape[1:]).sum(1))
    gradient = gradient.wide  # weights are no powers of two
    weighted = gradient.output_grads * weights.to(gradient.output_grads)[:, None, None]
    pair = SequenceGradient(_end_to_end(gradient.inputs, count), _end_to_end(weighted, count))
    return pair if pair.inputs.shape[1] < min(pair.widths) else DenseGradient(pair.dense())


def _end_to_end(rows: Tensor, count: int) -> Tensor:
    """(n·count, T, width) as (n, count·T, width)."""
    return rows.reshape(-1, count * rows.shape[1], rows.shape[2])


def project_side(rows: Tensor, side: Side) -> Tensor:
    """(…, width) times (width, d), times a diagonal (width,), or masked; float32 or wider, except of narrow rows."""
    if isinstance(side, Mask):
        projected = side.apply(rows)
    elif side is not None and side.ndim == 1:
        return rows * side.to(torch.promote_types(rows.dtype, torch.float32))
    else:
        projected = rows if side is None else rows @ side.to(rows.dtype)
    return projected if is_narrow(rows) else _wide(projected)


def _product_as(left: Tensor, right: Tensor) -> Tensor:
    """A product that is rounded to what its factors are in, as that of rows and a map is."""
    return wide_product(left, right).to(left.dtype)


def _wide(rows: Tensor) -> Tensor:
    return rows.to(torch.promote_types(rows.dtype, torch.float32))
