"""Roots by shifts against eigenvectors, and the quadrature against the function that it stands for."""

import pytest
import torch
from oracles import close

from lorif_core.linalg import roots
from lorif_core.linalg.roots import inverse_root, shifts_of_root


@pytest.mark.parametrize(("smallest", "largest"), [(1.0, 1.0), (0.5, 2.0), (1e-3, 1e4), (1.0, 1e9)])
def test_the_shifts_stand_for_the_root_of_every_number_between_the_ends(smallest, largest):
    numbers = torch.logspace(0, 1, 400, base=largest / smallest, dtype=torch.float64) * smallest
    found = sum(weight / (numbers + shift) for shift, weight in shifts_of_root(smallest, largest, 1e-8))
    torch.testing.assert_close(found, numbers.rsqrt(), rtol=1e-7, atol=0)


def test_more_precision_takes_more_shifts():
    assert len(shifts_of_root(1e-3, 1e4, 1e-3)) < len(shifts_of_root(1e-3, 1e4, 1e-9))


def moment(width, *, spread, seed=0):
    """Of tokens one of whose directions holds nearly everything, as that of a large model's inputs does."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(3 * width, width, generator=generator) * torch.logspace(0, -2, width)
    rows[:, 0] *= spread
    return rows.T @ rows, len(rows)


def by_eigenvectors(summed, count, alpha):
    matrix = summed.double() / count
    damped = matrix + alpha * matrix.diagonal().mean() * torch.eye(len(matrix), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(damped)
    return vectors @ torch.diag(values**-0.5) @ vectors.T


@pytest.mark.parametrize("spread", [1.0, 1e3])  # the second has a condition that float32 alone does not master
@pytest.mark.parametrize("alpha", [0.1, 0.003])
def test_a_wide_root_by_shifts_is_that_by_eigenvectors(spread, alpha, monkeypatch):
    monkeypatch.setattr(roots, "WIDEST_BY_EIGENVECTORS", 50)
    summed, count = moment(120, spread=spread)
    columns = torch.linalg.qr(torch.randn(120, 15, generator=torch.Generator().manual_seed(1)).double()).Q
    found = inverse_root(summed, count, alpha, what="x", columns=columns)
    close(found, by_eigenvectors(summed, count, alpha) @ columns, relative=1e-4)


def test_where_float32_is_astray_the_solution_is_that_of_float64(monkeypatch):
    monkeypatch.setattr(roots, "WIDEST_BY_EIGENVECTORS", 50)
    monkeypatch.setattr(torch.Tensor, "float", lambda one: one.half().to(torch.float32))  # loses most of its digits
    summed, count = moment(120, spread=30.0)
    columns = torch.eye(120, dtype=torch.float64)[:, :20]
    found = inverse_root(summed, count, 0.003, what="x", columns=columns)
    close(found, by_eigenvectors(summed, count, 0.003) @ columns, relative=1e-4)


def test_a_narrow_root_and_a_whole_one_are_taken_from_eigenvectors(monkeypatch):
    monkeypatch.setattr(roots, "_by_shifts", lambda *_: pytest.fail("by shifts"))
    summed, count = moment(40, spread=3.0)
    whole = inverse_root(summed, count, 0.01, what="x")
    close(inverse_root(summed, count, 0.01, what="x", columns=torch.eye(40)[:, :5]), whole[:, :5], relative=1e-12)
    monkeypatch.setattr(roots, "WIDEST_BY_EIGENVECTORS", 30)
    columns = torch.eye(40, dtype=torch.float64)[:, :30]
    close(inverse_root(summed, count, 0.01, what="x", columns=columns), whole @ columns, relative=1e-12)
