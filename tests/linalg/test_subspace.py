import math

import pytest
import torch
from oracles import close, gram_eigenvalues

from lorif_core.errors import ConfigError, NumericalError
from lorif_core.linalg.subspace import OVERSAMPLING, Subspace, fit_subspace

SHAPES = {"tall": (200, 40), "square": (60, 60), "wide": (25, 120)}


def decaying(n, dim, rng, ratio=0.8):
    """Rows whose singular values fall by ``ratio``."""
    rank = min(n, dim)
    u = torch.linalg.qr(torch.randn(n, rank, generator=rng, dtype=torch.float64)).Q
    v = torch.linalg.qr(torch.randn(dim, rank, generator=rng, dtype=torch.float64)).Q
    return (u * ratio ** torch.arange(rank, dtype=torch.float64)) @ v.T


def fitted(rows, rank, *, chunk=None, key="k"):
    step = chunk or len(rows)
    return fit_subspace(
        lambda: (rows[start : start + step] for start in range(0, len(rows), step)), rows.shape[1], rank, key=key
    )


def projector(basis):
    basis = basis.double()
    return basis @ basis.T


def leading_projector(rows, rank):
    vectors = torch.linalg.eigh(rows.double().T @ rows.double()).eigenvectors.flip(1)[:, :rank]
    return vectors @ vectors.T


@pytest.mark.parametrize("rank", [1, 5, 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_leading_directions_are_those_of_a_full_eigendecomposition(shape, rank, rng):
    rows = decaying(*SHAPES[shape], rng)
    found = fitted(rows, rank)
    # Three iterations leave (0.8^11)^8 = 3e-9 of what follows the oversampled directions; basis is stored in float32.
    close(projector(found.basis), leading_projector(rows, rank), relative=2e-6)
    close(found.spectrum[:rank], gram_eigenvalues(rows)[:rank], relative=1e-6)


@pytest.mark.parametrize("rank", [1, 5, 20, 200])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_basis_is_orthonormal(shape, rank, rng):
    basis = fitted(decaying(*SHAPES[shape], rng).float(), rank).basis.double()
    close(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), relative=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rank_of_the_full_dimension_is_exact(shape, rng):
    rows = torch.randn(*SHAPES[shape], generator=rng, dtype=torch.float64)
    found = fitted(rows, rows.shape[1] + 3)
    assert found.rank == found.dim == rows.shape[1]
    assert len(found.spectrum) == rows.shape[1]
    rebuilt = (found.basis.double() * found.spectrum.double()) @ found.basis.double().T
    close(rebuilt, rows.T @ rows, relative=1e-6)


@pytest.mark.parametrize("rank", [5, 30, 60])
@pytest.mark.parametrize("chunk", [1, 7, 60])
def test_the_size_of_chunks_does_not_change_the_subspace(rank, chunk, rng):
    rows = decaying(60, 60, rng)
    found, wanted = fitted(rows, rank, chunk=chunk), fitted(rows, rank)
    close(projector(found.basis[:, :5]), projector(wanted.basis[:, :5]), relative=1e-6)
    close(found.spectrum, wanted.spectrum, relative=1e-6)
    assert found.trace == pytest.approx(wanted.trace, rel=1e-12)


def test_a_refit_gives_the_same_bytes_and_another_key_another_start(rng):
    rows = torch.randn(50, 60, generator=rng)  # a flat spectrum, where the start shows
    first, again, other = fitted(rows, 5), fitted(rows, 5), fitted(rows, 5, key="other")
    assert torch.equal(first.basis, again.basis)
    assert torch.equal(first.spectrum, again.spectrum)
    assert not torch.equal(first.basis, other.basis)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [0, 3, 500])
def test_the_trace_is_the_sum_of_squared_norms(shape, rank, rng):
    rows = torch.randn(*SHAPES[shape], generator=rng)
    assert fitted(rows, rank, chunk=9).trace == pytest.approx((rows.double() ** 2).sum().item(), rel=1e-6)


@pytest.mark.parametrize(
    ("dim", "rank", "kept", "length"), [(40, 5, 5, 15), (40, 30, 30, 40), (40, 35, 35, 40), (40, 99, 40, 40)]
)
def test_the_spectrum_holds_the_kept_and_the_oversampled_eigenvalues(dim, rank, kept, length, rng):
    found = fitted(torch.randn(50, dim, generator=rng), rank)
    assert found.basis.shape == (dim, kept)
    assert len(found.spectrum) == length
    assert (found.spectrum.diff() <= 0).all()
    assert (found.spectrum >= 0).all()


def test_rank_zero_keeps_no_direction(rng):
    found = fitted(torch.randn(50, 40, generator=rng), 0)
    assert found.basis.shape == (40, 0)
    assert found.rank == 0
    assert found.dim == 40
    assert len(found.spectrum) == 0


@pytest.mark.parametrize("rank", [0, 3, 40])
def test_zero_rows_give_a_finite_subspace(rank):
    found = fitted(torch.zeros(7, 40), rank)
    assert torch.isfinite(found.basis).all()
    assert not found.spectrum.any()
    assert found.trace == 0


def test_more_directions_than_rows_have_eigenvalue_zero(rng):
    found = fitted(torch.randn(4, 60, generator=rng, dtype=torch.float64), 10)
    assert found.rank == 10
    assert (found.spectrum[4:] <= 1e-6 * found.spectrum[0]).all()
    close(projector(found.basis[:, :4]) @ found.basis[:, :4].double(), found.basis[:, :4].double(), relative=1e-6)


@pytest.mark.parametrize("rank", [0, 3, 40])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_that_are_not_finite_are_refused(rank, bad):
    rows = torch.ones(7, 40)
    rows[3, 3] = bad
    with pytest.raises(NumericalError, match="squared gradient norms must be finite"):
        fitted(rows, rank)


def test_restricting_equals_fitting_with_the_lower_rank(rng):
    rows = decaying(100, 60, rng)
    wanted, found = fitted(rows, 4), fitted(rows, 20).restrict(4)
    assert found.rank == 4
    assert len(found.spectrum) == len(wanted.spectrum) == 4 + OVERSAMPLING
    close(projector(found.basis), projector(wanted.basis), relative=1e-5)
    # The last oversampled eigenvalues are the least accurate: (0.8²)^8 = 3 % of 0.8^26 = 3e-3 of the first.
    close(found.spectrum, wanted.spectrum, relative=1e-4)
    assert found.trace == wanted.trace


def test_restricting_to_nothing_equals_fitting_nothing(rng):
    rows = decaying(100, 60, rng)
    wanted, found = fitted(rows, 0), fitted(rows, 20).restrict(0)
    assert found.basis.shape == wanted.basis.shape
    assert found.spectrum.shape == wanted.spectrum.shape


def test_restricting_to_more_than_is_kept_is_refused():
    subspace = Subspace(torch.eye(5)[:, :2], torch.ones(2), 2.0)
    with pytest.raises(ConfigError, match=r"at most the 2 directions that this index keeps, got 3"):
        subspace.restrict(3)
