"""Inverse square roots of damped second moments, (M + λI)^-½, whole or times a few columns.

Folded with a projection P to k columns, nobody needs the d × d root itself:

    narrow, or k near d   the eigenvectors of M in float64
    wide                  (M + λI)^-½ P = Σ_j w_j (M + s_j I)⁻¹ P, the trapezoid rule on the contour on which the
                          integral of the root converges fastest: some dozen shifts for five digits. Each takes a
                          Cholesky factor in float32 and a residual in float64, and no matrix of eigenvectors: 1.6
                          times as fast at a width of 4,096 (docs/decisions/0039).

Source: Hale, Higham and Trefethen, "Computing A^α, log(A), and related matrix functions by contour integrals" (2008),
method 3; the elliptic functions by the arithmetic-geometric mean, Abramowitz and Stegun 16.4 and 17.6.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.errors import NumericalError
from lorif_core.linalg.typed_torch import cholesky, eigh, vector_norm
from lorif_core.shapes import Float

WIDEST_BY_EIGENVECTORS = 2048
"""Up to here eigenvectors cost no more than the shifts."""

PRECISION = 1e-5
"""Relative, of the quadrature and of every solution."""


def inverse_root(
    summed: Float[Tensor, "d d"], count: int, alpha: float, *, what: str, columns: Float[Tensor, "d k"] | None = None
) -> Float[Tensor, "d k"]:
    """(M + α·mean eigenvalue·I)^-½ with M = ``summed`` ÷ ``count``, times ``columns``; float64, where ``summed`` is.

    Args:
        summed: Σ x xᵀ, symmetric.
        count: How many x.
        alpha: Damping over the mean eigenvalue of M, above 0.
        what: Whose moment it is, for an error.
        columns: What the root is multiplied by; None: the root itself, d × d.

    Raises:
        NumericalError: M is not finite or has no positive eigenvalue.
    """
    moment = summed.double() / max(count, 1)
    mean = float(moment.diagonal().mean())
    check_moment(mean, moment, what)
    if columns is not None and is_by_shifts(*columns.shape):
        return _by_shifts(moment, alpha * mean, columns.to(moment))
    values, vectors = eigh(moment)
    scaled = vectors * (values.clamp_min(0) + alpha * mean).rsqrt()
    return scaled @ (vectors.mT if columns is None else vectors.mT @ columns.to(moment))


def is_by_shifts(width: int, kept: int) -> bool:
    """Whether the root of a moment of that width is taken by shifts, for so many columns."""
    return width > WIDEST_BY_EIGENVECTORS and 2 * kept <= width


def check_moment(mean: float, moment: Tensor, what: str) -> None:
    """Refuse second moments that have no root.

    Raises:
        NumericalError: They are not finite, or zero.
    """
    if not (mean > 0 and bool(torch.isfinite(moment).all())):
        raise NumericalError(
            f"the second moment of {what} must be finite and above 0, its mean eigenvalue is {mean}: nothing reaches "
            "this module, or the gradients overflowed. Exclude it with `--exclude`."
        )


class Shift(NamedTuple):
    """One point of the quadrature."""

    shift: float
    """Added to the diagonal, above 0."""

    weight: float
    """Of the solution in the sum."""


def shifts_of_root(smallest: float, largest: float, precision: float = PRECISION) -> list[Shift]:
    """Points with which Σ_j w_j / (x + s_j) is x^-½ for every x between two numbers, to a relative precision.

    Args:
        smallest: Above 0.
        largest: Not below ``smallest``.
        precision: Wanted, relative.
    """
    ratio = math.sqrt(smallest / largest)  # the complementary modulus of the elliptic functions below
    number = max(2, math.ceil(-math.log(precision) * (2 * math.log(1 / ratio) + 3) / (2 * math.pi**2)))
    quarter = _quarter_period(ratio)
    found: list[Shift] = []
    for point in range(number):
        sn, cn = _sn_cn((point + 0.5) * quarter / number, ratio)
        dn = math.sqrt(cn**2 + (ratio * sn) ** 2)
        weight = 2 * quarter * math.sqrt(smallest) / (math.pi * number) * dn / cn**2
        found.append(Shift(smallest * (sn / cn) ** 2, weight))
    return found


def _by_shifts(moment: Tensor, damping: float, columns: Tensor) -> Tensor:
    largest = float(moment.abs().sum(1).max()) + damping  # no eigenvalue is above the largest row sum
    damped = moment
    damped.diagonal().add_(damping)
    single = damped.float()
    total = torch.zeros_like(columns)
    for shift, weight in shifts_of_root(damping, largest):
        total += weight * _solved(damped, single, shift, columns)
    return total


def _solved(matrix: Tensor, single: Tensor, shift: float, columns: Tensor) -> Tensor:
    """(matrix + shift·I)⁻¹ columns: solved in float32, refined in float64; all in float64 where that goes astray."""
    factor = cholesky(_shifted(single, shift))
    wanted = PRECISION * _size(columns)
    solution, residual, before = torch.zeros_like(columns), columns, math.inf
    while factor is not None:
        solution = solution + torch.cholesky_solve(residual.float(), factor).double()
        residual = columns - matrix @ solution - shift * solution
        size = _size(residual)
        if size <= wanted:
            return solution
        if not size < before / 2:
            break
        before = size
    factor = cholesky(_shifted(matrix, shift))
    assert factor is not None  # it is damped
    return torch.cholesky_solve(columns, factor)


def _size(matrix: Tensor) -> float:
    return float(vector_norm(matrix, (0, 1)))


def _shifted(matrix: Tensor, shift: float) -> Tensor:
    moved = matrix.clone()
    moved.diagonal().add_(shift)
    return moved


def _quarter_period(complementary: float) -> float:
    """K(k) for the modulus k whose complementary one is given."""
    high, low = 1.0, complementary
    while high - low > 1e-15 * high:
        high, low = (high + low) / 2, math.sqrt(high * low)
    return math.pi / (2 * high)


def _sn_cn(argument: float, complementary: float) -> tuple[float, float]:
    """Jacobi's sn and cn of a real argument, for the modulus whose complementary one is given."""
    high, low = 1.0, complementary
    gaps: list[tuple[float, float]] = []
    while high - low > 1e-15 * high:
        gaps.append(((high - low) / 2, (high + low) / 2))
        high, low = (high + low) / 2, math.sqrt(high * low)
    angle = 2.0 ** len(gaps) * high * argument
    for gap, mean in reversed(gaps):
        angle = (angle + math.asin(max(-1.0, min(1.0, gap / mean * math.sin(angle))))) / 2
    return math.sin(angle), math.cos(angle)
