"""Leading right singular vectors of the N × D matrix of train gradients, in a few streams.

Randomised subspace iteration on the uncentred Gram matrix GᵀG: one initial multiply of a
random (D, r + 10) matrix, three more multiplies with orthonormalisation in between, and a
Rayleigh–Ritz step. Each multiply streams the rows once, in chunks, so neither the (N, D) nor
the (D, D) matrix exists. When the sketch would be as wide as D, the Gram matrix is no larger
than the sketch: it is summed in one stream and its eigenvectors are exact.
Sums over chunks and decompositions are in float64; products of a chunk in its own dtype.
Source: Halko, Martinsson, Tropp (2011), algorithms 4.4 and 5.3; LoRIF (arXiv:2601.21929).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.errors import ConfigError, NumericalError
from lorif_core.linalg.maps import seeded_generator
from lorif_core.linalg.typed_torch import eigh, orthonormal_basis
from lorif_core.shapes import Float

OVERSAMPLING = 10
SUBSPACE_ITERATIONS = 3

RowStream = Callable[[], Iterable[Tensor]]
"""Starts a fresh pass over the (chunk, D) rows of one module, in store order."""


@dataclass(frozen=True)
class Subspace:
    """Leading eigenspace of a module's gradient Gram matrix GᵀG, a sum over train examples."""

    basis: Float[Tensor, "D r"]
    """Orthonormal columns, leading direction first."""

    spectrum: Float[Tensor, " sketch"]
    """Eigenvalues of GᵀG (squared singular values) for the r kept directions and, after them,
    for the oversampled ones that a damping rule averages over. Descending."""

    trace: float
    """Sum of all eigenvalues: the summed squared gradient norms."""

    @property
    def rank(self) -> int:
        """How many directions are kept, r."""
        return self.basis.shape[1]

    @property
    def dim(self) -> int:
        """Length of one flattened projected gradient, D."""
        return self.basis.shape[0]

    def restrict(self, rank: int) -> "Subspace":
        """The same subspace with fewer directions."""
        if rank > self.rank:
            raise ConfigError(
                f"subspace_rank must be at most the {self.rank} directions that this index keeps, got {rank}. "
                "Run `lorif index` again with the larger rank; stored gradients are reused."
            )
        seen = rank + OVERSAMPLING if rank else 0
        return Subspace(self.basis[:, :rank], self.spectrum[:seen], self.trace)


def fit_subspace(stream_rows: RowStream, dim: int, subspace_rank: int, *, key: str) -> Subspace:
    """Leading ``subspace_rank`` directions of the rows that ``stream_rows`` yields.

    Args:
        stream_rows: Called once per pass.
        dim: Length D of a row.
        subspace_rank: r; more than D means all D, exactly.
        key: Names the random start, so that a refit gives the same basis.

    Raises:
        NumericalError: A gradient is not finite.

    Source:
        LoRIF (arXiv:2601.21929): oversampling 10, three subspace iterations.
    """
    width = subspace_rank + OVERSAMPLING
    if subspace_rank == 0:
        return Subspace(torch.zeros(dim, 0), torch.zeros(0), _stream_trace(stream_rows))
    if width >= dim:
        return _exact_subspace(stream_rows, dim, min(subspace_rank, dim))
    basis = torch.randn(dim, width, generator=seeded_generator(f"{key}:subspace"), dtype=torch.float64)
    for _ in range(1 + SUBSPACE_ITERATIONS):
        basis = orthonormal_basis(_multiply_by_gram(stream_rows, basis))
    return _rayleigh_ritz(stream_rows, basis, subspace_rank)


def _multiply_by_gram(stream_rows: RowStream, basis: Tensor) -> Tensor:
    product = torch.zeros_like(basis)
    for rows in stream_rows():
        local = basis.to(rows)
        product += (rows.mT @ (rows @ local)).to(product)
    return product


def _rayleigh_ritz(stream_rows: RowStream, basis: Tensor, rank: int) -> Subspace:
    gram = torch.zeros(basis.shape[1], basis.shape[1], dtype=torch.float64)
    trace = 0.0
    for rows in stream_rows():
        coordinates = rows @ basis.to(rows)
        gram += (coordinates.mT @ coordinates).to(gram)
        trace += float(rows.square().sum(dtype=torch.float64))
    return _leading(basis, gram, rank, _check_trace(trace))


def _exact_subspace(stream_rows: RowStream, dim: int, rank: int) -> Subspace:
    gram = torch.zeros(dim, dim, dtype=torch.float64)
    for rows in stream_rows():
        gram += (rows.mT @ rows).to(gram)
    trace = _check_trace(float(gram.trace()))
    return _leading(None, gram, rank, trace)


def _leading(basis: Tensor | None, gram: Tensor, rank: int, trace: float) -> Subspace:
    """Eigenvectors of ``gram`` (in the coordinates of ``basis``), largest first, first ``rank`` kept."""
    eigenvalues, eigenvectors = eigh(gram)
    kept = eigenvectors.flip(1)[:, :rank]
    directions = kept if basis is None else basis @ kept
    return Subspace(directions.float(), eigenvalues.flip(0).clamp_min(0).float(), trace)


def _stream_trace(stream_rows: RowStream) -> float:
    return _check_trace(sum(float(rows.square().sum(dtype=torch.float64)) for rows in stream_rows()))


def _check_trace(trace: float) -> float:
    if not 0 <= trace < float("inf"):
        raise NumericalError(
            f"the summed squared gradient norms must be finite, got {trace}: a stored gradient overflowed. "
            "Check the model's weights, or build the index in float32."
        )
    return trace
