"""A preconditioned query cut to fewer directions, and how large a product of what is left out can be.

A Bᵀ of rank k is R_A R_Bᵀ between orthonormal bases, so its singular values are those of a k × k matrix. A whole
matrix is cut by a range finder with one power iteration, and what is left out is known by subtracting: nothing large
is decomposed.
Source: Halko, Martinsson and Tropp (arXiv:0909.4061), algorithms 4.4 and 5.1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.linalg.scores import OVERSAMPLING, DirectQueries, FactoredQueries, PreparedQueries
from lorif_core.linalg.typed_torch import matrix_norm, orthonormal_basis, thin_svd, vector_norm
from lorif_core.shapes import Float

ROUNDING = 1e-5
"""Share of a query's norm by which bounds are raised, since products are sums in float32."""


class CutQuery(NamedTuple):
    """One query of one module, cut, and bounds for what a stored term can make of it."""

    queries: PreparedQueries

    whole: float
    """No stored term of norm 1 has a larger product with the whole query."""

    missing: float
    """Nor with what the cut left out."""


def cut_query(queries: PreparedQueries, ranks: Sequence[int | None], *, of_columns: bool) -> list[CutQuery]:
    """Keep the strongest directions of the only query of a module.

    Args:
        queries: Of one query.
        ranks: How many directions are kept; None, or as many as there are: all, and the query stays as it is.
        of_columns: Whether stored terms are columns, x eᵥᵀ; else they are any x yᵀ.
    """
    assert queries.num_queries == 1
    if isinstance(queries, DirectQueries):
        return [_cut_matrix(queries, rank, of_columns) for rank in ranks]
    u, s, v = _decomposed(queries.left.double(), queries.right.double())
    rounding = ROUNDING * float(s.square().sum().sqrt())
    whole, found = _largest_term(s, v, of_columns) + rounding, list[CutQuery]()
    for rank in ranks:
        if rank is None or rank >= len(s):
            found.append(CutQuery(queries, whole, 0.0))
            continue
        kept = FactoredQueries((u * s)[:, :rank].float(), v[:, :rank].float(), 1, queries.unpacks_signs)
        missing = _largest_term(s[rank:], v[:, rank:], of_columns) + rounding
        found.append(CutQuery(kept, whole, missing))
    return found


def _decomposed(left: Float[Tensor, "i k"], right: Float[Tensor, "o k"]) -> tuple[Tensor, Tensor, Tensor]:
    """Singular vectors and values of left rightᵀ."""
    left_basis, right_basis = orthonormal_basis(left), orthonormal_basis(right)
    u, s, vh = thin_svd((left_basis.mT @ left) @ (right_basis.mT @ right).mT)
    return left_basis @ u, s, right_basis @ vh.mT


def _largest_term(s: Float[Tensor, " k"], v: Float[Tensor, "o k"], of_columns: bool) -> float:
    """Largest singular value, or norm of the heaviest column, of Σ s u vᵀ with orthonormal u."""
    if not len(s):
        return 0.0
    return float(vector_norm(v * s, 1).max()) if of_columns else float(s[0])


def _cut_matrix(queries: DirectQueries, rank: int | None, of_columns: bool) -> CutQuery:
    matrix = queries.matrix
    rounding = ROUNDING * float(matrix_norm(matrix))
    whole = _norm_bound(matrix, of_columns) + rounding
    if rank is None or rank + OVERSAMPLING >= min(matrix.shape):
        return CutQuery(queries, whole, 0.0)
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(matrix.shape[1], rank + OVERSAMPLING, generator=generator)
    basis = orthonormal_basis(matrix @ (matrix.mT @ orthonormal_basis(matrix @ probes)))
    u, s, vh = thin_svd(basis.mT @ matrix)
    left, right = basis @ u[:, :rank] * s[:rank], vh[:rank].mT
    return CutQuery(
        FactoredQueries(left.contiguous(), right.contiguous(), 1),
        whole,
        _norm_bound(matrix - left @ right.mT, of_columns) + rounding,
    )


def _norm_bound(matrix: Float[Tensor, "i o"], of_columns: bool) -> float:
    return float(vector_norm(matrix, 0).max()) if of_columns else float(matrix_norm(matrix))
