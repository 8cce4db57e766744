"""Solvers of (H + ρ I) u = q for a positive semi-definite H that is known by its products alone.

A vector is one matrix per module for every right side, so all modules are one system, and every right side has one of
its own. A *step* is one product with H:

    conjugate gradients   from u = 0; the best point of span{q, H q, …}. One step is q itself, scaled.
    LiSSA                 the Neumann series u ← u + (q - (H + ρ I) u) / s from 0, with s ≥ the largest eigenvalue,
                          which some further products estimate; one step is q itself, scaled.

Conjugate gradients need no s and get as near in k steps as the series in some k²; the series is here because the
field knows influence by it. A stochastic LiSSA draws another batch for every term; here H is the same in all.
Source: Hestenes and Stiefel 1952 (Saad, Iterative Methods for Sparse Linear Systems, 6.7); LiSSA (arXiv:1602.03943),
used for influence by Koh and Liang (arXiv:1703.04730).
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lorif_core.errors import NumericalError
from lorif_core.shapes import Float

Matrices = Mapping[str, Tensor]
"""Per module, one matrix per right side, (Q, d_in, d_out)."""

Product = Callable[[Matrices], Matrices]
"""H times every right side's vector."""

OnStep = Callable[[int, Matrices], None]
"""Receives (steps done, u so far); what it is given is changed by the next step."""


def no_report(step: int, found: Matrices) -> None:
    """Tells nobody."""


SolverName = Literal["cg", "lissa"]

EIGENVALUE_STEPS = 8
"""Products that the largest eigenvalue is estimated with."""

EIGENVALUE_MARGIN = 1.5
"""What the estimate is multiplied by: power iteration comes from below."""


NUMBERS_AT_ONCE = 1 << 20
"""Of each right side, as float64 (8 MB)."""

SOLVED = 1e-12
"""Relative residual below which a right side is left alone: what is left of it is rounding."""


class Solution(NamedTuple):
    """What some steps found."""

    matrices: dict[str, Tensor]
    """u per module, (Q, d_in, d_out)."""

    residuals: Float[Tensor, " Q"]
    """‖q - (H + ρ I) u‖ ÷ ‖q‖ by the recursion that the solver keeps; 0 for a right side of zero."""


def solve_system(
    solver: SolverName,
    product: Product,
    right: Matrices,
    *,
    damping: float,
    steps: int,
    on_step: OnStep = no_report,
) -> Solution:
    """u of every right side q after some steps.

    Args:
        solver: By name.
        product: With H.
        right: q per module.
        damping: ρ, > 0.
        steps: At least 1.
        on_step: Called after every step.

    Raises:
        NumericalError: H is not positive where it was tried, or a number is not finite.
    """
    return SOLVERS[solver](product, right, damping, steps, on_step)


def conjugate_gradients(product: Product, right: Matrices, damping: float, steps: int, on_step: OnStep) -> Solution:
    """u by conjugate gradients from 0; a right side that is solved stays as it is."""
    found = {name: torch.zeros_like(rows) for name, rows in right.items()}
    residual = {name: rows.clone() for name, rows in right.items()}
    direction = {name: rows.clone() for name, rows in right.items()}
    whole = squares = inner_products(residual, residual)
    for step in range(1, steps + 1):
        bent = product(direction)
        along, size = inner_products(direction, bent), inner_products(direction, direction)
        curvature, is_open = along + damping * size, squares > SOLVED**2 * whole
        _check(curvature, is_open)
        length = torch.where(is_open, squares / curvature, 0.0)
        _add(found, length, direction)
        _add(residual, -length, bent)
        _add(residual, -length * damping, direction)
        before, squares = squares, inner_products(residual, residual)
        on_step(step, found)
        turn = torch.where(before > 0, squares / before, 0.0)
        for name, rows in direction.items():
            rows.mul_(_as_factor(turn, rows)).add_(residual[name])
    return Solution(found, _relative(squares, whole))


def neumann_series(product: Product, right: Matrices, damping: float, steps: int, on_step: OnStep) -> Solution:
    """u by the truncated series; s is estimated with further products beforehand."""
    whole = squares = inner_products(right, right)
    largest = EIGENVALUE_MARGIN * largest_eigenvalue(product, right) + damping
    shrink = 1 / largest
    found = {name: torch.zeros_like(rows) for name, rows in right.items()}
    residual = {name: rows.clone() for name, rows in right.items()}
    for step in range(1, steps + 1):
        _add(found, shrink, residual)
        on_step(step, found)
        bent = product(residual)
        for rows in residual.values():
            rows.mul_(_as_factor(1 - shrink * damping, rows))
        _add(residual, -shrink, bent)
        before, squares = squares, inner_products(residual, residual)
        if bool((squares > before * (1 + 1e-3)).any()) or not bool(torch.isfinite(squares).all()):
            raise NumericalError(
                f"LiSSA must come nearer at each step, step {step} of {steps} went away: the largest eigenvalue was "
                "estimated too small. Use `--solver cg`, which needs none."
            )
    return Solution(found, _relative(squares, whole))


SOLVERS: dict[SolverName, Callable[[Product, Matrices, float, int, OnStep], Solution]] = {
    "cg": conjugate_gradients,
    "lissa": neumann_series,
}


def largest_eigenvalue(product: Product, start: Matrices, steps: int = EIGENVALUE_STEPS) -> Float[Tensor, " Q"]:
    """Of H as every right side reaches it, by power iteration from it: never more than the largest."""
    vector = {name: rows.clone() for name, rows in start.items()}
    found = torch.zeros_like(inner_products(start, start))
    for _ in range(steps):
        norm = inner_products(vector, vector).sqrt()
        scale = torch.where(norm > 0, 1 / norm, 0.0)
        vector = product({name: rows * _as_factor(scale, rows) for name, rows in vector.items()})
        found = inner_products(vector, vector).sqrt()
    if not bool(torch.isfinite(found).all()):
        raise NumericalError(
            "the largest eigenvalue of the curvature is not finite: the model overflows. Load it in float32."
        )
    return found


def inner_products(a: Matrices, b: Matrices) -> Float[Tensor, " Q"]:
    """Each right side's product over all modules together, in float64, some numbers at a time."""
    parts = list[Tensor]()
    for name, matrices in a.items():
        one, other = matrices.flatten(1), b[name].flatten(1)
        for start in range(0, one.shape[1], NUMBERS_AT_ONCE):
            some = slice(start, start + NUMBERS_AT_ONCE)
            parts.append(torch.einsum("qd,qd->q", one[:, some].double(), other[:, some].double()))
    return torch.stack(parts).sum(0)


def _add(into: dict[str, Tensor], factors: Tensor, what: Matrices) -> None:
    for name, rows in into.items():
        rows.addcmul_(_as_factor(factors, rows), what[name])


def _as_factor(numbers: Tensor, rows: Tensor) -> Tensor:
    return numbers.to(rows)[:, None, None]


def _relative(squares: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, (squares / whole).sqrt(), 0.0)


def _check(curvature: Tensor, is_open: Tensor) -> None:
    if not bool(torch.isfinite(curvature).all()) or bool((curvature[is_open] <= 0).any()):
        raise NumericalError(
            f"a curvature must be positive along every direction, found {curvature.min().item():.3g}: the model's "
            "numbers overflow, or the damping is lost in their rounding. Raise `--refine-damping`."
        )
