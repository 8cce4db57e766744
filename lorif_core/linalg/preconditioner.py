"""Damped inverse of the gradient Gram matrix, kept as a rank-r subspace.

Let G be the (N, D) matrix of flattened projected gradients of one module and V_r, σ_r its
leading right singular vectors and values. For damping λ > 0 the Woodbury identity gives

    (V S² Vᵀ + λI)⁻¹ x  =  (x - V Vᵀx) / λ  +  V (S² + λI)⁻¹ Vᵀx
                           outside the subspace    inside it

so applying the inverse needs only the (D, r) basis and r numbers. This two-term form is the
numerically safe one: fused into one shrinkage, x/λ minus a correction cancels wherever
σ² ≫ λ. Computed in float32 or wider. With r = D it is the exact dense inverse (LoGra).
Source: LoRIF (arXiv:2601.21929), equation 9.
"""

from dataclasses import dataclass

from torch import Tensor

from lorif_core.errors import ConfigError, NumericalError
from lorif_core.linalg.subspace import Subspace
from lorif_core.shapes import Float


@dataclass(frozen=True)
class SubspacePreconditioner:
    """``(GᵀG + λI)⁻¹`` with GᵀG restricted to its leading r eigenvectors."""

    basis: Float[Tensor, "D r"]
    """Orthonormal columns."""

    eigenvalues: Float[Tensor, " r"]
    """Squared singular values σ², descending."""

    damping: float
    """Absolute λ > 0, added to σ². Unit: gradient norm squared."""

    def apply(self, rows: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """Multiply each row by the damped inverse."""
        coordinates = rows @ self.basis  # (n, r)
        outside = rows - coordinates @ self.basis.mT
        inside = coordinates / (self.eigenvalues + self.damping)
        return outside / self.damping + inside @ self.basis.mT

    def apply_transposed(self, rows: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """The same: it is symmetric."""
        return self.apply(rows)

    def quadratic_form(self, rows: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        """Each row's inner product with itself under the damped inverse: its self-influence."""
        energy = (rows @ self.basis).square()  # (n, r)
        outside = (rows.square().sum(1) - energy.sum(1)).clamp_min(0)
        return outside / self.damping + (energy / (self.eigenvalues + self.damping)).sum(1)


def damping_from_ratio(subspace: Subspace, rule: str, ratio: float) -> float:
    """Absolute damping as a ratio of a mean eigenvalue of the module's Gram matrix.

    ``trace`` averages all D eigenvalues (trace ÷ D, the released code), ``spectrum`` the kept
    and oversampled ones (the paper's experiments).

    Raises:
        NumericalError: The mean is 0, so no gradient reached the module.
    """
    if rule == "trace":
        mean = subspace.trace / subspace.dim
    elif rule == "spectrum":
        mean = float(subspace.spectrum.double().mean()) if len(subspace.spectrum) else 0.0
    else:
        raise ConfigError(f"a damping ratio needs the rule trace or spectrum, got {rule!r}.")
    if not mean > 0:
        raise NumericalError(
            f"damping by the rule {rule!r} needs a mean eigenvalue above 0, got {mean}: no gradient reaches this "
            "module, or no direction is kept. Exclude the module, or pass an absolute damping."
        )
    return ratio * mean


def precondition(subspace: Subspace, damping: float) -> SubspacePreconditioner:
    """The preconditioner of one module from its subspace and an absolute damping."""
    return SubspacePreconditioner(subspace.basis, subspace.spectrum[: subspace.rank], damping)
