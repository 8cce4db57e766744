"""Every direction of a Gram matrix, from whichever side is smaller.

The Gram matrix GᵀG (D, D) of N rows has at most N eigenvalues above zero, and G Gᵀ (N, N) has the same ones. With N
< D the eigenvectors are found there: G Gᵀ = U Σ² Uᵀ gives V = Gᵀ U Σ⁻¹, which costs N²D + N³ instead of N D² + D³ and
keeps N directions instead of D. All other directions have the eigenvalue 0, so the damped inverse is the exact one.
"""

import torch
from torch import Tensor

from lorif_core.linalg.subspace import RowStream, Subspace, fit_subspace
from lorif_core.linalg.typed_torch import eigh

NOTHING = 1e-12
"""Of the largest eigenvalue: below it, one of G Gᵀ in float64 is rounding of the rows."""


def whole_spectrum(stream_rows: RowStream, dim: int, *, key: str) -> Subspace:
    """All directions of the rows that ``stream_rows`` yields; at most D² numbers of them are alive.

    Args:
        stream_rows: Called once; once more where there are D rows or more.
        dim: Length D of a row.
        key: As for ``fit_subspace``.

    Raises:
        NumericalError: A gradient is not finite.
    """
    rows = _fewer_than(stream_rows, dim)
    if rows is None:
        return fit_subspace(stream_rows, dim, dim, key=key)
    eigenvalues, vectors = eigh(rows @ rows.mT)
    eigenvalues, vectors = eigenvalues.flip(0).clamp_min(0), vectors.flip(1)
    is_there = eigenvalues > NOTHING * eigenvalues[:1]
    kept = eigenvalues[is_there]
    basis = rows.mT @ (vectors[:, is_there] / kept.sqrt())
    spectrum = torch.cat([kept, kept.new_zeros(dim - len(kept))])
    return Subspace(basis.float(), spectrum.float(), float(rows.square().sum()))


def _fewer_than(stream_rows: RowStream, dim: int) -> Tensor | None:
    """All rows in float64, or None where there are ``dim`` or more, or one is not finite, which the fit tells of."""
    found: list[Tensor] = []
    for rows in stream_rows():
        found.append(rows.double())
        if sum(map(len, found)) >= dim:
            return None
    together = torch.cat(found)
    return together if bool(torch.isfinite(together).all()) else None
