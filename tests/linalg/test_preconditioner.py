import pytest
import torch
from oracles import close, dense_inverse, gram_eigenvalues

from lorif_core.errors import ConfigError, NumericalError
from lorif_core.linalg.preconditioner import SubspacePreconditioner, damping_from_ratio, precondition
from lorif_core.linalg.subspace import Subspace, fit_subspace

SHAPES = {"tall": (30, 6), "square": (8, 8), "wide": (5, 20)}


@pytest.fixture(params=SHAPES)
def grads(request, rng):
    return torch.randn(*SHAPES[request.param], generator=rng, dtype=torch.float64)


def exact(grads, rank, damping):
    """The preconditioner from a float64 SVD, so that only its own arithmetic is tested."""
    _, s, vh = torch.linalg.svd(grads, full_matrices=True)
    eigenvalues = torch.zeros(grads.shape[1], dtype=torch.float64)
    eigenvalues[: len(s)] = s**2
    return SubspacePreconditioner(vh[:rank].T, eigenvalues[:rank], damping)


@pytest.mark.parametrize("damping", [1e-3, 1.0, 1e3])
def test_full_rank_equals_the_dense_inverse(grads, damping):
    found = exact(grads, grads.shape[1], damping).apply(grads)
    torch.testing.assert_close(found, grads @ dense_inverse(grads, damping), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_as_many_directions_as_the_rank_of_the_rows_equal_the_dense_inverse(grads, damping, rng):
    found = exact(grads, min(grads.shape), damping)
    rows = torch.randn(4, grads.shape[1], generator=rng, dtype=torch.float64)
    torch.testing.assert_close(found.apply(rows), rows @ dense_inverse(grads, damping), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_the_stable_form_equals_the_woodbury_form_of_the_paper(grads, rank):
    # Equation 9: λ⁻¹ I - λ⁻² V (Σ⁻² + λ⁻¹ I)⁻¹ Vᵀ, evaluated as it is written.
    damping = 0.7
    preconditioner = exact(grads, rank, damping)
    basis, eigenvalues = preconditioner.basis, preconditioner.eigenvalues
    core = torch.linalg.inv(torch.diag(1 / eigenvalues) + torch.eye(rank, dtype=torch.float64) / damping)
    woodbury = torch.eye(grads.shape[1], dtype=torch.float64) / damping - basis @ core @ basis.T / damping**2
    torch.testing.assert_close(preconditioner.apply(grads), grads @ woodbury)


@pytest.mark.parametrize("rank", [0, 1, 2, 4])
def test_truncation_error_is_bounded_by_the_first_dropped_singular_value(grads, rank):
    damping = 0.5
    identity = torch.eye(grads.shape[1], dtype=torch.float64)
    approx, dense = exact(grads, rank, damping).apply(identity), dense_inverse(grads, damping)
    dropped = gram_eigenvalues(grads)[rank]
    bound = dropped / (damping * (damping + dropped))  # 1/λ - 1/(λ + σ²)
    assert torch.linalg.matrix_norm(approx - dense, ord=2) <= bound * (1 + 1e-9)
    assert torch.linalg.matrix_norm(approx - dense, ord=2) >= bound * (1 - 1e-9)  # it is attained there


def test_huge_damping_gives_inner_products_over_the_damping(grads):
    found = exact(grads, 3, 1e9).apply(grads) * 1e9
    torch.testing.assert_close(found, grads, rtol=1e-6, atol=1e-6)


def test_without_directions_the_inverse_is_one_over_the_damping(grads):
    torch.testing.assert_close(exact(grads, 0, 4.0).apply(grads), grads / 4)


def test_rows_are_multiplied_one_by_one(grads, rng):
    preconditioner = exact(grads, 3, 0.5)
    rows = torch.randn(6, grads.shape[1], generator=rng, dtype=torch.float64)
    combined = preconditioner.apply((2 * rows[0] - 3 * rows[1]).unsqueeze(0))
    separate = preconditioner.apply(rows)
    torch.testing.assert_close(combined[0], 2 * separate[0] - 3 * separate[1])


def test_the_inverse_is_symmetric_and_positive(grads):
    matrix = exact(grads, 3, 0.5).apply(torch.eye(grads.shape[1], dtype=torch.float64))
    torch.testing.assert_close(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_strongly_damped_float32_keeps_the_small_part_inside_the_subspace():
    # One direction with σ² = 1e12 and λ = 1: inside it the inverse is 1e-12, where x/λ - (…) cancels.
    grads = torch.zeros(1, 4)
    grads[0, 0] = 1e6
    preconditioner = SubspacePreconditioner(torch.eye(4)[:, :1], torch.tensor([1e12]), 1.0)
    assert preconditioner.apply(grads)[0, 0].item() == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("rank", [0, 1, 4])
def test_the_quadratic_form_is_the_diagonal(grads, rank):
    preconditioner = exact(grads, rank, 0.3)
    diagonal = (preconditioner.apply(grads) @ grads.T).diagonal()
    torch.testing.assert_close(preconditioner.quadratic_form(grads), diagonal)


def test_the_quadratic_form_is_never_negative(rng):
    basis = torch.linalg.qr(torch.randn(10, 10, generator=rng)).Q[:, :9]
    rows = torch.randn(500, 9, generator=rng) @ basis.T  # inside the subspace, so the rest rounds around zero
    preconditioner = SubspacePreconditioner(basis, torch.full((9,), 1e12), 1e-9)
    assert (preconditioner.quadratic_form(rows) >= 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fitted_subspace_of_full_rank_equals_the_dense_inverse(shape, rng):
    grads = torch.randn(*SHAPES[shape], generator=rng, dtype=torch.float64)
    subspace = fit_subspace(lambda: [grads], grads.shape[1], grads.shape[1], key="k")
    damping = 0.5 * subspace.trace / subspace.dim
    found = precondition(subspace, damping).apply(grads.float())
    close(found, grads @ dense_inverse(grads, damping), relative=2e-5)  # float32, σ²/λ below 20


def test_preconditioning_takes_the_kept_part_of_the_spectrum(rng):
    grads = torch.randn(50, 30, generator=rng)
    subspace = fit_subspace(lambda: [grads], 30, 4, key="k")
    preconditioner = precondition(subspace, 2.0)
    assert preconditioner.basis.shape == (30, 4)
    assert torch.equal(preconditioner.eigenvalues, subspace.spectrum[:4])
    assert preconditioner.damping == 2.0


def test_damping_by_trace_is_a_ratio_of_the_mean_of_all_eigenvalues(grads):
    subspace = fit_subspace(lambda: [grads], grads.shape[1], 2, key="k")
    wanted = 0.5 * gram_eigenvalues(grads).sum().item() / grads.shape[1]
    assert damping_from_ratio(subspace, "trace", 0.5) == pytest.approx(wanted, rel=1e-6)


def test_damping_by_spectrum_is_a_ratio_of_the_mean_of_kept_and_oversampled_eigenvalues(rng):
    grads = torch.randn(300, 40, generator=rng, dtype=torch.float64) * 0.7 ** torch.arange(40)
    subspace = fit_subspace(lambda: [grads], 40, 5, key="k")
    wanted = 0.1 * gram_eigenvalues(grads)[:15].mean().item()
    assert damping_from_ratio(subspace, "spectrum", 0.1) == pytest.approx(wanted, rel=1e-4)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match=r"needs the rule trace or spectrum, got 'absolute'"):
        damping_from_ratio(Subspace(torch.eye(2), torch.ones(2), 2.0), "absolute", 0.5)


@pytest.mark.parametrize(
    ("rule", "subspace"),
    [
        ("trace", Subspace(torch.eye(2), torch.zeros(2), 0.0)),
        ("spectrum", Subspace(torch.eye(2), torch.zeros(2), 0.0)),
        ("spectrum", Subspace(torch.zeros(2, 0), torch.zeros(0), 5.0)),
    ],
)
def test_a_mean_eigenvalue_of_zero_is_refused_with_the_ways_out(rule, subspace):
    with pytest.raises(NumericalError, match=rf"rule '{rule}' needs a mean eigenvalue above 0.*Exclude the module"):
        damping_from_ratio(subspace, rule, 0.5)
