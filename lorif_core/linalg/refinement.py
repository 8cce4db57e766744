"""Queries refined by the curvature of the stored gradients themselves, all modules together.

Half-whitened gradients Z make influence a plain product, as if their second moment were the identity. What the
stored ones really share, and how much an example already explains of itself, is in their Gram matrix. With k the
plain products of a query with all examples and K those of the examples with each other, in nats, the refined query is

    M' = λ (ZᵀZ + λI)⁻¹ M  =  M - Σ_n x_n Z_n,     (K + λI) x = k

and its product with Z_n is again the score. λ → ∞ gives back the plain query; λ is a ratio of the mean of K's
diagonal, the self-influences. The dual system is solved by conjugate gradients preconditioned by diag(K) + λ,
a few steps from x = 0; a step adds up all stored gradients once and scores them once, so nothing is stored for it
and K, which is N × N, is never formed.
Source: conjugate gradients with a diagonal preconditioner (Saad, Iterative Methods for Sparse Linear Systems, 9.2);
the Woodbury identity.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lorif_core.errors import NumericalError
from lorif_core.shapes import Float

Matrices = Mapping[str, Tensor]
"""Per module, one matrix per query, (Q, d_in, d_out)."""


def refine_queries(
    matrices: Matrices,
    self_influences: Float[Tensor, " N"],
    *,
    score: Callable[[Matrices], Tensor],
    add_up: Callable[[Tensor], Matrices],
    scale: float,
    ratio: float,
    steps: int,
) -> dict[str, Tensor]:
    """M' of every query after some steps of conjugate gradients.

    Args:
        matrices: Plain queries M, ``scale`` contained, so that ``score`` gives nats.
        self_influences: K's diagonal, in nats.
        score: Products of such matrices with every stored gradient, (Q, N).
        add_up: From weights (Q, N), Σ_n weight[q, n] Z_n per module.
        scale: Of K: nats per product of two stored gradients.
        ratio: λ over the mean self-influence, > 0.
        steps: Of conjugate gradients; 0 leaves the queries as they are.

    Raises:
        NumericalError: No stored gradient has any influence on itself.
    """
    refined = {name: matrix.clone() for name, matrix in matrices.items()}
    if not steps:
        return refined
    mean = float(self_influences.double().mean())
    if not mean > 0:
        raise NumericalError(
            f"refining needs stored gradients, the mean self-influence is {mean}: pass `--refine 0` for plain scores."
        )
    damping = ratio * mean
    diagonal = self_influences + damping
    residual = score(matrices)  # (Q, N)
    steered = residual / diagonal
    direction, agreement = steered, _rows_dot(residual, steered)
    for step in range(steps):
        summed = {name: matrix * scale for name, matrix in add_up(direction).items()}
        bent = sum(_rows_dot(matrix, matrix) for matrix in summed.values()) / scale  # directionᵀ K direction
        curvature = bent + damping * _rows_dot(direction, direction)
        length = torch.where(curvature > 0, agreement / curvature, 0.0).to(residual)  # (Q,)
        for name, matrix in summed.items():
            refined[name] -= length[:, None, None] * matrix
        if step + 1 == steps:
            break
        residual = residual - length[:, None] * (score(summed) + damping * direction)
        steered = residual / diagonal
        before, agreement = agreement, _rows_dot(residual, steered)
        turn = torch.where(before > 0, agreement / before, 0.0).to(residual)
        direction = steered + turn[:, None] * direction
    return refined


def _rows_dot(a: Tensor, b: Tensor) -> Float[Tensor, " Q"]:
    """Each row's product with the other's, in float64."""
    return (a.flatten(1).double() * b.flatten(1).double()).sum(1)
