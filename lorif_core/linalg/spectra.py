"""Functions of a curvature's eigenvalues, and chains of them: what a stretch of training does to a query.

A curvature is known by its leading eigenvectors V, their eigenvalues s, and one eigenvalue for everything else, the
mean of what is left of its trace. A function f of it is

    f(H) x  =  f(rest) (x - V Vᵀx)  +  V f(s) Vᵀx

Gradient descent with rates that add up to τ, on a loss with curvature H and a gradient g that stays, moves by

    -F_r(H) g   and leaves   F_S(H)   of a difference that was there before,
    F_r(s) = (1 - exp(-τ s)) / s,   F_S(s) = exp(-τ s),

since dθ/dt = -(H θ + g). F_r(0) = τ: a direction without curvature moves on; F_r(s) → 1/s for large τ s. Taken by
expm1, F_r loses no digit near 0. Every function is symmetric; a chain of them, each in a basis of its own, is not.

The mean of several curvatures is exact: outside of all their eigenvectors together it is the mean of their rests, and
inside it is decomposed anew, in as many directions as these span.
Source: SOURCE (Bae et al. 2024, arXiv:2405.12186), equations 14 and 15.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.linalg.subspace import Subspace
from lorif_core.linalg.typed_torch import eigh, orthonormal_basis
from lorif_core.shapes import Float


@dataclass(frozen=True)
class Spectrum:
    """A curvature: some eigenvectors with their eigenvalues, and one eigenvalue for every other direction."""

    basis: Float[Tensor, "D R"]
    """Orthonormal columns."""

    eigenvalues: Float[Tensor, " R"]
    """At least 0, float64; of a sum over train examples, in gradient norm squared."""

    rest: float
    """At least 0; that of every direction outside the basis."""

    @property
    def trace(self) -> float:
        """Sum of all eigenvalues."""
        dim, kept = self.basis.shape
        return float(self.eigenvalues.sum()) + self.rest * (dim - kept)


@dataclass(frozen=True)
class SpectralMap:
    """A function of a curvature, applied to rows; symmetric."""

    basis: Float[Tensor, "D R"]
    inside: Float[Tensor, " R"]
    """Its values on the basis."""

    outside: float
    """Its value on every other direction."""

    def apply(self, rows: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """The function of each row."""
        basis = self.basis.to(rows)
        coordinates = rows @ basis  # (n, R)
        outside = rows - coordinates @ basis.mT
        # Once more: what rounding leaves of the basis in it would be multiplied by a number that may be far larger.
        outside = outside - (outside @ basis) @ basis.mT
        return outside * self.outside + (coordinates * self.inside.to(rows)) @ basis.mT


@dataclass(frozen=True)
class Chain:
    """Functions of several curvatures, one after the other."""

    maps: tuple[SpectralMap, ...]
    """In the order in which they act on a query."""

    def apply(self, rows: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """What becomes of each row, a query."""
        for one in self.maps:
            rows = one.apply(rows)
        return rows

    def apply_transposed(self, rows: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """The transpose, for the other side of a product: ⟨apply(q), x⟩ = ⟨q, apply_transposed(x)⟩."""
        for one in reversed(self.maps):
            rows = one.apply(rows)
        return rows


def spectrum_of(subspace: Subspace) -> Spectrum:
    """A fitted subspace with the mean of the eigenvalues that it does not keep."""
    kept = subspace.spectrum[: subspace.rank].double().clamp_min(0)
    num_left = subspace.dim - subspace.rank
    rest = max(subspace.trace - float(kept.sum()), 0.0) / num_left if num_left else 0.0
    return Spectrum(subspace.basis, kept, rest)


def mean_spectrum(spectra: Sequence[Spectrum]) -> Spectrum:
    """The mean of curvatures of one module, each of which weighs the same."""
    if len(spectra) == 1:
        return spectra[0]
    bases = [one.basis.double() for one in spectra]
    dim = len(bases[0])
    joined = torch.cat(bases, 1)  # (D, sum of R)
    basis = None if joined.shape[1] >= dim else orthonormal_basis(joined)
    inner = torch.zeros(*(2 * ([dim] if basis is None else [basis.shape[1]])), dtype=torch.float64)
    for one, own in zip(spectra, bases, strict=True):
        local = own if basis is None else basis.mT @ own
        inner += (local * (one.eigenvalues.double() - one.rest)) @ local.mT
    found = eigh(inner / len(spectra))
    rest = sum(one.rest for one in spectra) / len(spectra)
    directions = found.vectors if basis is None else basis @ found.vectors
    return Spectrum(directions.to(spectra[0].basis), (found.values + rest).clamp_min(0), rest)


def remaining(spectrum: Spectrum, duration: float) -> SpectralMap:
    """F_S: what training leaves of a difference, exp(-τ s).

    Args:
        spectrum: Of the curvature, s.
        duration: τ, the learning rates summed over the steps, in units of 1/s.
    """
    inside = torch.exp(-duration * spectrum.eigenvalues)
    return SpectralMap(spectrum.basis, inside, float(torch.exp(_scalar(-duration * spectrum.rest))))


def response(spectrum: Spectrum, duration: float) -> SpectralMap:
    """F_r: how far a gradient that stays moves the weights, (1 - exp(-τ s)) / s, and τ where s is 0."""
    inside = _mean_decay(duration * spectrum.eigenvalues) * duration
    return SpectralMap(spectrum.basis, inside, float(_mean_decay(_scalar(duration * spectrum.rest))) * duration)


def _mean_decay(reached: Tensor) -> Tensor:
    """(1 - exp(-x)) / x, and 1 where x is 0."""
    return torch.where(reached > 0, -torch.expm1(-reached) / reached.clamp_min(torch.finfo(reached.dtype).tiny), 1.0)


def _scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
