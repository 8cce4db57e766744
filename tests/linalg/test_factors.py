import pytest
import torch
from oracles import best_rank, close

from lorif_core.linalg.factors import Factors, factor_gradient, gram_schmidt, principal_axes, random_start
from lorif_core.linalg.gradients import DenseGradient, SequenceGradient

SHAPES = [(6, 6), (12, 5), (4, 11), (1, 7), (7, 1)]


def separated(batch, d_in, d_out, rng, ratio=0.3):
    """Matrices whose singular values fall by ``ratio``: 16 iterations shrink the rest by 0.3^32 = 2e-17."""
    rank = min(d_in, d_out)
    u = torch.linalg.qr(torch.randn(batch, d_in, rank, generator=rng, dtype=torch.float64)).Q
    v = torch.linalg.qr(torch.randn(batch, d_out, rank, generator=rng, dtype=torch.float64)).Q
    return (u * ratio ** torch.arange(rank, dtype=torch.float64)) @ v.mT


def factored(matrix, rank, name="m"):
    return factor_gradient(DenseGradient(matrix), random_start(name, matrix.shape[2], rank, seed=0))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("d_in", "d_out"), [(6, 6), (12, 5), (4, 11)])
def test_factors_are_the_best_approximation_of_their_rank(d_in, d_out, rank, rng):
    matrices = separated(3, d_in, d_out, rng)
    found = factored(matrices, rank).dense()
    for row in range(3):
        # 8 iterations for rank one leave (0.3²)^8 = 4e-9 of the neighbouring direction, times the tangent of the
        # angle between the start and the leading direction (up to 100 for one start in 50).
        close(found[row], best_rank(matrices[row], rank), relative=4e-7 if rank == 1 else 1e-12)


@pytest.mark.parametrize(("d_in", "d_out"), SHAPES)
def test_full_rank_factors_are_exact(d_in, d_out, rng):
    matrices = torch.randn(4, d_in, d_out, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(factored(matrices, min(d_in, d_out)).dense(), matrices)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_no_approximation_keeps_more_energy_than_the_best_one(rank, rng):
    matrices = torch.randn(5, 9, 8, generator=rng, dtype=torch.float64)  # a flat spectrum
    kept = factored(matrices, rank).squared_norm()
    best = torch.stack([best_rank(matrix, rank).square().sum() for matrix in matrices])
    assert (kept <= best * (1 + 1e-12)).all()
    assert (kept >= 0.8 * best).all()


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("tokens", [1, 2, 20])
def test_factors_found_by_token_are_those_of_the_multiplied_gradient(rank, tokens, rng):
    inputs = torch.randn(3, tokens, 6, generator=rng, dtype=torch.float64)
    output_grads = torch.randn(3, tokens, 7, generator=rng, dtype=torch.float64)
    start = random_start("m", 7, rank, seed=0)
    by_token = factor_gradient(SequenceGradient(inputs, output_grads), start)
    multiplied = factor_gradient(DenseGradient(inputs.mT @ output_grads), start)
    torch.testing.assert_close(by_token.dense(), multiplied.dense(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_singular_values_are_ordered_and_shared_evenly(rank, rng):
    found = factored(separated(3, 6, 8, rng), rank)
    left_norms, right_norms = found.left.norm(dim=2), found.right.norm(dim=2)
    wanted = 0.3 ** torch.arange(rank, dtype=torch.float64)
    torch.testing.assert_close(left_norms, right_norms, rtol=1e-6, atol=0)
    torch.testing.assert_close((left_norms * right_norms), wanted.expand(3, rank), rtol=1e-6, atol=0)


def test_factors_are_singular_vectors_and_not_a_rotation_of_them(rng):
    found = factored(separated(3, 6, 8, rng), 3)
    for side in (found.left, found.right):
        gram = side @ side.mT
        assert (gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))).abs().max() < 1e-8


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_gradients_give_finite_zero_factors(rank, dtype):
    for gradient in (
        DenseGradient(torch.zeros(2, 5, 4, dtype=dtype)),
        SequenceGradient(torch.zeros(2, 3, 5, dtype=dtype), torch.zeros(2, 3, 4, dtype=dtype)),
    ):
        found = factor_gradient(gradient, random_start("m", 4, rank, seed=0))
        assert torch.isfinite(found.left).all()
        assert torch.isfinite(found.right).all()
        assert not found.dense().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("true_rank", [1, 2])
def test_gradients_of_lower_rank_than_asked_for_are_kept_exactly(true_rank, dtype, rng):
    matrix = torch.randn(3, 6, true_rank, generator=rng, dtype=dtype) @ torch.randn(
        3, true_rank, 5, generator=rng, dtype=dtype
    )
    found = factored(matrix, 4)
    assert torch.isfinite(found.left).all()
    assert torch.isfinite(found.right).all()
    close(found.dense(), matrix, relative=50 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_the_scale_of_a_gradient_does_not_change_the_quality_of_its_factors(rank, scale, rng):
    matrices = separated(3, 6, 5, rng).float()
    found = factored(matrices * scale, rank).dense().double() / scale
    wanted = torch.stack([best_rank(matrix, rank) for matrix in matrices])
    close(found, wanted, relative=1e-5)  # a few dozen float32 operations


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_scale_of_a_sequence_changes_neither_its_factors_nor_its_norm(rank, scale, rng):
    inputs = torch.randn(3, 20, 6, generator=rng)
    output_grads = torch.randn(3, 20, 7, generator=rng)
    start = random_start("m", 7, rank, seed=0)
    wanted = factor_gradient(SequenceGradient(inputs.double(), output_grads.double()), start).dense()
    small = SequenceGradient(inputs, output_grads * scale)
    close(factor_gradient(small, start).dense().double() / scale, wanted, relative=1e-4)  # a flat spectrum
    norms = torch.linalg.matrix_norm(inputs.double().mT @ output_grads.double())
    torch.testing.assert_close(small.squared_norm().double().sqrt() / scale, norms, rtol=1e-5, atol=0)


@pytest.mark.parametrize("rank", [1, 3])
def test_factors_do_not_depend_on_the_rest_of_the_batch(rank, rng):
    matrices = torch.randn(5, 6, 7, generator=rng, dtype=torch.float64)
    together, alone = factored(matrices, rank), factored(matrices[2:3], rank)
    torch.testing.assert_close(together.left[2:3], alone.left, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(together.right[2:3], alone.right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("batch_dtype", [torch.float32, torch.float64])
def test_factors_keep_the_dtype_of_the_gradient(batch_dtype, rng):
    found = factored(torch.randn(2, 3, 3, generator=rng, dtype=batch_dtype), 2)
    assert found.left.dtype == found.right.dtype == batch_dtype


def test_the_squared_norm_is_that_of_the_matrices(rng):
    factors = Factors(
        torch.randn(4, 2, 5, generator=rng, dtype=torch.float64),
        torch.randn(4, 2, 6, generator=rng, dtype=torch.float64),
    )
    explicit = torch.einsum("nci,nco->nio", factors.left, factors.right)
    torch.testing.assert_close(factors.dense(), explicit)
    torch.testing.assert_close(factors.squared_norm(), (explicit**2).sum((1, 2)))


def test_a_start_is_orthonormal_and_named_by_module_and_seed():
    start = random_start("m", 9, 3, seed=0)
    torch.testing.assert_close(start.T @ start, torch.eye(3, dtype=start.dtype))
    assert torch.equal(start, random_start("m", 9, 3, seed=0))
    assert not torch.equal(start, random_start("n", 9, 3, seed=0))
    assert not torch.equal(start, random_start("m", 9, 3, seed=1))


@pytest.mark.parametrize(("d", "c"), [(5, 1), (40, 2), (40, 4), (16, 16)])
def test_gram_schmidt_spans_what_a_decomposition_in_float64_spans(d, c, rng):
    columns = torch.randn(6, d, c, generator=rng) @ torch.diag(10.0 ** -torch.arange(c) / 4)
    basis = gram_schmidt(columns).double()
    torch.testing.assert_close(basis.mT @ basis, torch.eye(c).double().expand(6, c, c), atol=1e-5, rtol=0)
    wanted = torch.linalg.qr(columns.double()).Q
    torch.testing.assert_close(basis @ basis.mT, wanted @ wanted.mT, atol=1e-3, rtol=0)


def test_gram_schmidt_stays_orthonormal_for_columns_that_differ_by_rounding(rng):
    first = torch.randn(4, 30, 1, generator=rng)
    columns = torch.cat([first, first * (1 + 1e-5 * torch.randn(4, 30, 1, generator=rng))], 2)
    basis = gram_schmidt(columns).double()
    torch.testing.assert_close(basis.mT @ basis, torch.eye(2).double().expand(4, 2, 2), atol=1e-5, rtol=0)


def test_gram_schmidt_leaves_zero_where_columns_depend_on_one_another(rng):
    first = torch.randn(4, 30, 1, generator=rng)
    basis = gram_schmidt(torch.cat([first, -3 * first, torch.zeros(4, 30, 1)], 2))
    assert torch.equal(basis[:, :, 1:], torch.zeros(4, 30, 2))


@pytest.mark.parametrize("c", [2, 3])
def test_principal_axes_are_eigenvectors_largest_first(c, rng):
    columns = torch.randn(50, 6, c, generator=rng, dtype=torch.float64)
    columns[0, :, 1] = 0  # of rank one less
    columns[1] = torch.linalg.qr(columns[1]).Q  # equal eigenvalues
    gram = columns.mT @ columns
    axes = principal_axes(gram)
    turned = axes.mT @ gram @ axes
    torch.testing.assert_close(axes.mT @ axes, torch.eye(c).double().expand(50, c, c))
    torch.testing.assert_close(turned, torch.diag_embed(torch.linalg.eigvalsh(gram).flip(-1)))


def test_gradients_that_are_not_finite_give_factors_that_are_not():
    matrix = torch.ones(1, 5, 6)
    matrix[0, 1, 1] = torch.nan
    for rank in (1, 2, 3):
        factors = factor_gradient(DenseGradient(matrix), random_start("module", 6, rank, seed=0))
        assert not bool(factors.left.isfinite().all() & factors.right.isfinite().all())
