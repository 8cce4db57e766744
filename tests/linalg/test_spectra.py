"""What unrolled training does to a query, against matrix exponentials and against training that autograd unrolls."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.linalg.spectra import Chain, Spectrum, mean_spectrum, remaining, response, spectrum_of
from lorif_core.linalg.subspace import Subspace

DIMS = st.integers(1, 6)
SEEDS = st.integers(0, 2**16)
FEW = settings(deadline=None, max_examples=60)


def curvature(rng, dim, rank):
    """A symmetric positive matrix whose eigenvalues beyond the first ``rank`` are one number, and its spectrum."""
    basis = torch.linalg.qr(torch.randn(dim, dim, generator=rng, dtype=torch.float64)).Q
    values = torch.rand(dim, generator=rng, dtype=torch.float64).sort(descending=True).values * 3
    values[rank:] = values[rank:].mean() if rank < dim else 0.0
    dense = basis @ torch.diag(values) @ basis.T
    subspace = Subspace(basis[:, :rank], values[:rank], float(values.sum()))
    return dense, spectrum_of(subspace)


def exact_response(dense, duration):
    """∫₀^τ exp(-s H) ds from one exponential of a block matrix (Van Loan 1978): no inverse, so H may be singular."""
    dim = len(dense)
    block = torch.zeros(2 * dim, 2 * dim, dtype=torch.float64)
    block[:dim, :dim], block[:dim, dim:] = -dense * duration, torch.eye(dim, dtype=torch.float64) * duration
    return torch.linalg.matrix_exp(block)[:dim, dim:]


def same(found, wanted, tolerance=1e-8):
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


@FEW
@given(
    dim=DIMS,
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    rank=st.integers(0, 6),
    durations=st.lists(st.sampled_from([0.0, 1e-9, 0.3, 2.0, 40.0]), min_size=3, max_size=3),
    seed=SEEDS,
)
def test_chains_are_products_of_dense_exponentials_of_each_segments_mean_curvature(
    dim, counts, rank, durations, seed
):
    rng = torch.Generator().manual_seed(seed)
    segments = [[curvature(rng, dim, min(rank, dim)) for _ in range(count)] for count in counts]
    query, text = torch.randn(2, dim, generator=rng, dtype=torch.float64)
    means = [torch.stack([dense for dense, _ in one]).mean(0) for one in segments]
    spectra = [mean_spectrum([spectrum for _, spectrum in one]) for one in segments]
    wanted = query
    for number in range(len(segments) - 1, -1, -1):
        later = [remaining(spectra[after], durations[after]) for after in range(len(segments) - 1, number, -1)]
        chain = Chain((*later, response(spectra[number], durations[number])))
        found = chain.apply(query[None])[0]
        same(found, exact_response(means[number], durations[number]) @ wanted)
        same(chain.apply_transposed(text[None])[0] @ query, found @ text)
        wanted = torch.linalg.matrix_exp(-means[number] * durations[number]) @ wanted


def test_a_score_is_what_training_differentiated_through_all_its_steps_says():
    """A linear regression with inputs of its own in every segment, and texts whose gradients stay.

    SOURCE's assumptions hold then, but for exp(-K η H) in place of (I - η H)^K. These differ by O(η). Richardson's
    extrapolation over halved steps takes that below the tolerance, so what is compared with is training itself, and
    not the flow that F_r and F_S are derived from.
    """
    rng = torch.Generator().manual_seed(0)
    dim, num_texts, taus = 4, 5, (0.6, 1.1, 0.4)
    hessians, gradients = [], []
    for _ in taus:
        inputs = torch.randn(9, dim, generator=rng, dtype=torch.float64)
        hessians.append(inputs.T @ inputs / 9)
        gradients.append(torch.randn(num_texts, dim, generator=rng, dtype=torch.float64))
    query = torch.randn(dim, generator=rng, dtype=torch.float64)
    start = torch.randn(dim, generator=rng, dtype=torch.float64)

    def by_autograd(steps):
        weights = torch.ones(num_texts, dtype=torch.float64, requires_grad=True)
        theta = start
        for hessian, own, tau in zip(hessians, gradients, taus, strict=True):
            for _ in range(steps):
                theta = theta - tau / steps * (theta @ hessian + (weights[:, None] * own).mean(0))
        (found,) = torch.autograd.grad(theta @ query, weights)
        return found

    table = [by_autograd(64 << level) for level in range(6)]
    for order in range(1, 6):
        table = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in pairwise(table)]
    (wanted,) = table

    spectra = [spectrum_of(Subspace(*eigenvectors(one), float(one.trace()))) for one in hessians]
    found = torch.zeros(num_texts, dtype=torch.float64)
    for number, own in enumerate(gradients):
        later = [remaining(spectra[after], taus[after]) for after in range(len(taus) - 1, number, -1)]
        chain = Chain((*later, response(spectra[number], taus[number])))
        found -= own @ chain.apply(query[None])[0] / num_texts
    assert float(wanted.abs().min()) > 1e-3
    same(found, wanted)


def eigenvectors(hessian):
    values, vectors = torch.linalg.eigh(hessian)
    return vectors.flip(1), values.flip(0)


def test_long_training_is_the_inverse_and_short_training_the_plain_product(rng):
    dense, spectrum = curvature(rng, 5, 3)
    rows = torch.randn(4, 5, generator=rng, dtype=torch.float64)
    same(response(spectrum, 1e6).apply(rows), rows @ torch.linalg.inv(dense))
    same(response(spectrum, 1e-12).apply(rows) / 1e-12, rows)
    same(remaining(spectrum, 1e6).apply(rows), torch.zeros_like(rows))
    same(remaining(spectrum, 0.0).apply(rows), rows)


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e-18, 1e-9, 1e-4, 1.0, 1e3, 1e12])
def test_no_digit_is_lost_however_small_or_large_an_eigenvalue_is(value):
    """The mean of exp(-τ s) over τ, from its series where that converges at once."""
    spectrum = Spectrum(torch.eye(1, dtype=torch.float64), torch.tensor([value], dtype=torch.float64), 0.0)
    series = 2.0 * (1 - value + 2 * value**2 / 3 - value**3 / 3)
    wanted = series if value < 1e-3 else (1 - math.exp(-2 * value)) / value
    assert float(response(spectrum, 2.0).inside[0]) == pytest.approx(wanted, rel=1e-12)


def test_eigenvalues_that_rounding_made_negative_count_as_0(rng):
    basis = torch.linalg.qr(torch.randn(4, 2, generator=rng)).Q
    spectrum = spectrum_of(Subspace(basis, torch.tensor([2.0, -1e-6]), 2.0 - 1e-5))
    assert (spectrum.eigenvalues.tolist(), spectrum.rest) == ([2.0, 0.0], 0.0)
    assert spectrum.trace == 2.0
    assert torch.isfinite(response(spectrum, 1e9).inside).all()


@FEW
@given(dim=st.integers(2, 6), rank=st.integers(1, 5), seed=SEEDS)
def test_the_mean_of_a_curvature_with_itself_is_itself(dim, rank, seed):
    rng = torch.Generator().manual_seed(seed)
    dense, spectrum = curvature(rng, dim, min(rank, dim))
    mean = mean_spectrum([spectrum, spectrum, spectrum])
    same(mean.trace, spectrum.trace)
    rows = torch.eye(dim, dtype=torch.float64)
    same(response(mean, 0.7).apply(rows), exact_response(dense, 0.7))
