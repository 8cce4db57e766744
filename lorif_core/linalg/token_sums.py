"""Gradients that are too wide to be formed, as the tokens that they are sums over.

The gradient of an output head by one text is G = Σ_t x_t y_tᵀ, (d, V), with t over the places that predict a target.
Under a metric M on the hidden side

    ⟨M G_q, G_n⟩ = Σ_s Σ_t (x_sᵀ M x_t) (y_sᵀ y_t),   s of the one text, t of the other

so what is formed are matrices of tokens by tokens, never d × V. A diagonal metric of the vocabulary is in the y.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.linalg.gradients import ProjectedGradient, SequenceGradient
from lorif_core.shapes import Float


class TokenSum(NamedTuple):
    """Rows that stand for a sum of x yᵀ: those of one gradient, or of several behind one another."""

    inputs: Tensor
    """x, (t, i)."""

    output_grads: Tensor
    """y, (t, o)."""


def token_sums(gradient: ProjectedGradient) -> Iterator[TokenSum]:
    """Every gradient of a batch by itself, without the tokens that add nothing; one is copied at a time.

    A gradient that was multiplied out is the sum over its own rows.
    """
    if not isinstance(gradient, SequenceGradient):
        rows = torch.eye(gradient.widths[0], device=gradient.device, dtype=gradient.matrix.dtype)
        gradient = SequenceGradient(rows.expand(len(gradient.matrix), -1, -1), gradient.matrix)
    for inputs, output_grads in zip(gradient.wide.inputs, gradient.wide.output_grads, strict=True):
        kept = output_grads.any(1)
        yield TokenSum(inputs[kept], output_grads[kept])


def products_of_rows(
    output_grads: Float[Tensor, "s o"], weighed: Sequence[Float[Tensor, "s i"]], other: TokenSum
) -> Float[Tensor, "M s"]:
    """What each of some tokens adds to the inner product with another sum, under every metric.

    The wide side is multiplied once for all metrics.

    Args:
        output_grads: y of the tokens.
        weighed: M x of the tokens, for every metric M.
        other: The other sum.
    """
    outputs = output_grads @ other.output_grads.mT  # (s, t)
    return torch.stack([((inputs @ other.inputs.mT) * outputs).sum(1) for inputs in weighed])
