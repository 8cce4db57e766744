# pyright: basic
"""What torch gives no types for, or types with holes, as functions that have them.

With it the rest of the mathematics is checked strictly; this file alone is not.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Eigen(NamedTuple):
    """Eigenvalues of symmetric matrices, ascending, and their eigenvectors as columns."""

    values: Tensor
    vectors: Tensor


class SingularValues(NamedTuple):
    """The thin decomposition ``left @ diag(values) @ right_rows``, largest value first."""

    left: Tensor
    values: Tensor
    right_rows: Tensor


def eigh(symmetric: Tensor) -> Eigen:
    """Eigenvalues and eigenvectors of symmetric matrices."""
    return Eigen(*torch.linalg.eigh(symmetric))


def thin_svd(matrices: Tensor) -> SingularValues:
    """Singular values and vectors, as many as the narrower side is wide."""
    return SingularValues(*torch.linalg.svd(matrices, full_matrices=False))


def orthonormal_basis(columns: Tensor) -> Tensor:
    """Orthonormal columns that span the same space."""
    return torch.linalg.qr(columns).Q


def vector_norm(numbers: Tensor, dim: int | tuple[int, ...], *, keepdim: bool = False) -> Tensor:
    """Euclidean norms along one axis or several."""
    return torch.linalg.vector_norm(numbers, dim=dim, keepdim=keepdim)


def matrix_norm(matrices: Tensor) -> Tensor:
    """Frobenius norm of each matrix."""
    return torch.linalg.matrix_norm(matrices)


def cholesky(symmetric: Tensor) -> Tensor | None:
    """The lower Cholesky factor of a symmetric matrix; None where rounding makes it indefinite."""
    factor, failed = torch.linalg.cholesky_ex(symmetric)
    return None if int(failed) else factor
