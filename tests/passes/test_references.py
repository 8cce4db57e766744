"""Uncompressed references against dense curvature matrices and one backward per example."""

from functools import cache

import pytest
import torch
from oracles import close, damped, second_moments, solve_whole, weight_gradients
from tiny_models import random_examples, tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.errors import NumericalError
from lorif_core.linalg.metric import Eigenbasis, Metric
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.references.ekfac import ekfac_metric
from lorif_core.methods.references.kfac import kfac_metric
from lorif_core.methods.references.repsim import Repsim
from lorif_core.passes.uncompressed import TrainPass, fit_eigenbases, last_states, score_uncompressed

FLOAT32 = 2e-5
EXAMPLES = random_examples([9, 3, 12, 6, 2, 7, 10, 5], seed=6)
NAMES = ["model.layers.0.self_attn.k_proj", "model.layers.1.mlp.down_proj"]


@cache
def dense_gradients() -> dict[str, torch.Tensor]:
    """Per module, the gradient of every example by a backward of its own, (N, i, o)."""
    model = tiny_model("llama")
    found = [weight_gradients(model, NAMES, one.input_ids, one.is_target) for one in EXAMPLES]
    return {name: torch.stack([one[name] for one in found]) for name in NAMES}


@cache
def dense_moments() -> dict[str, Moments]:
    found = second_moments(tiny_model("llama"), NAMES, [(one.input_ids, one.is_target) for one in EXAMPLES])
    return {name: Moments(left.float(), right.float(), count) for name, (left, right, count) in found.items()}


def bases(*, tokens_per_batch=24, groups=(8,)):
    model, start, sample = tiny_model("llama", dtype=torch.float32), 0, []
    for size in groups:
        sample.append(EXAMPLES[start : start + size])
        start += size
    with frozen(model):
        return fit_eigenbases(TrainPass(model, 1, tokens_per_batch), dense_moments(), sample)


def spd(width, seed):
    """A symmetric matrix with eigenvalues between 0.2 and about 4."""
    rows = torch.randn(2 * width, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows.T @ rows / (2 * width) + 0.2 * torch.eye(width, dtype=torch.float64)


def random_basis(i, o, seed=0):
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.linalg.eigh(spd(i, seed)).eigenvectors, torch.linalg.eigh(spd(o, seed + 1)).eigenvectors
    return Eigenbasis(left.float(), right.float(), torch.rand(i, o, generator=generator) + 0.05)


@pytest.mark.parametrize("name", NAMES)
def test_the_eigenbases_are_orthonormal_and_diagonalise_the_moments(name):
    found, moments = bases()[name], dense_moments()[name]
    for vectors, moment in ((found.inputs, moments.inputs), (found.output_grads, moments.output_grads)):
        vectors, moment = vectors.double(), moment.double()
        close(vectors.T @ vectors, torch.eye(len(vectors)), relative=FLOAT32)
        rotated = vectors.T @ moment @ vectors
        close(rotated, torch.diag(rotated.diagonal()), relative=FLOAT32)


@pytest.mark.parametrize("name", NAMES)
def test_lambda_is_the_mean_square_of_every_rotated_gradient(name):
    found = bases()[name]
    wanted = torch.zeros(found.moments.shape, dtype=torch.float64)
    for gradient in dense_gradients()[name]:
        wanted += (found.inputs.double().T @ gradient @ found.output_grads.double()) ** 2 / len(EXAMPLES)
    close(found.moments, wanted, relative=1e-4)  # squares double the relative error of float32 gradients


@pytest.mark.parametrize(
    "changes", [{"tokens_per_batch": 1}, {"tokens_per_batch": 9999}, {"groups": (3, 1, 4)}], ids=str
)
def test_batches_and_groups_do_not_change_lambda(changes):
    whole, changed = bases(), bases(**changes)
    assert len(changed) == len(whole) == 2
    for name, found in changed.items():
        close(found.moments, whole[name].moments, relative=1e-4)


@pytest.mark.parametrize(("i", "o"), [(4, 4), (2, 7), (6, 3)])
@pytest.mark.parametrize("ratio", [1e-2, 1.0, 100.0])
def test_ekfac_solves_with_the_whole_curvature_matrix(i, o, ratio, rng):
    basis, queries = random_basis(i, o), torch.randn(3, i, o, generator=rng)
    rotation = torch.kron(basis.inputs.double(), basis.output_grads.double())
    eigenvalues = basis.moments.double().flatten()
    curvature = rotation @ torch.diag(eigenvalues + ratio * eigenvalues.mean()) @ rotation.T
    close(ekfac_metric(basis, ratio).apply(queries), solve_whole(curvature, queries), relative=FLOAT32)


@pytest.mark.parametrize(("i", "o"), [(4, 4), (2, 7), (6, 3)])
@pytest.mark.parametrize("ratio", [1e-2, 1.0])
def test_kfac_solves_with_the_whole_kronecker_product(i, o, ratio, rng):
    queries, count = torch.randn(3, i, o, generator=rng), 5
    moments = Moments((count * spd(i, 1)).float(), (count * spd(o, 2)).float(), count)
    curvature = torch.kron(damped(spd(i, 1), ratio), damped(spd(o, 2), ratio))
    close(kfac_metric(moments, ratio, what="m").apply(queries), solve_whole(curvature, queries), relative=FLOAT32)


def test_ekfac_with_kronecker_eigenvalues_and_hardly_any_damping_is_kfac(rng):
    left, right = spd(5, 3), spd(4, 4)
    (left_values, left_vectors), (right_values, right_vectors) = torch.linalg.eigh(left), torch.linalg.eigh(right)
    basis = Eigenbasis(left_vectors.float(), right_vectors.float(), torch.outer(left_values, right_values).float())
    queries = torch.randn(2, 5, 4, generator=rng)
    kfac = kfac_metric(Moments(left.float(), right.float(), 1), 1e-8, what="m").apply(queries)
    close(ekfac_metric(basis, 1e-8).apply(queries), kfac, relative=FLOAT32)


def test_huge_damping_leaves_ekfac_the_query_itself(rng):
    basis, queries = random_basis(3, 4), torch.randn(2, 3, 4, generator=rng)
    found = ekfac_metric(basis, 1e6).apply(queries)
    close(found * 1e6 * basis.moments.mean(), queries, relative=1e-4)


def test_kfac_of_a_module_that_nothing_reaches_is_refused():
    with pytest.raises(NumericalError, match=r"'some\.module' must be finite and above 0"):
        kfac_metric(Moments.zeros(2, 2), 0.1, what="'some.module'")


def dense_metric(metric: Metric, i: int, o: int) -> torch.Tensor:
    """The (i·o × i·o) matrix of an inner product, column by column."""
    basis = torch.eye(i * o).view(i * o, i, o)
    return metric.apply(basis).reshape(i * o, i * o).double()


def test_a_self_influence_is_the_gradients_product_with_itself_preconditioned(rng):
    gradients = torch.randn(4, 3, 5, generator=rng)
    moments = Moments(spd(3, 1).float(), spd(5, 2).float(), 1)
    for metric in (Metric(), ekfac_metric(random_basis(3, 5), 0.1), kfac_metric(moments, 0.1, what="m")):
        rows = gradients.flatten(1).double()
        wanted = torch.stack([row @ dense_metric(metric, 3, 5) @ row for row in rows])
        close(metric.squared_norm(gradients), wanted, relative=FLOAT32)


def random_queries():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(3, *rows.shape[1:], generator=generator) for name, rows in dense_gradients().items()}


def diagonal_metrics(seed):
    """Per module, a metric that weighs every number of the gradient differently."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: Metric(weights=torch.rand(rows.shape[1:], generator=generator) + 0.1)
        for name, rows in dense_gradients().items()
    }


METRICS = [dict.fromkeys(NAMES, Metric()), diagonal_metrics(1), diagonal_metrics(2)]


def scored(tokens_per_batch):
    model = tiny_model("llama", dtype=torch.float32)
    with frozen(model):
        return score_uncompressed(TrainPass(model, 1, tokens_per_batch), random_queries(), METRICS, EXAMPLES)


def weight_of(metric, gradient):
    return torch.ones_like(gradient) if metric.weights is None else metric.weights.double()


@pytest.mark.parametrize("tokens_per_batch", [1, 24, 9999])
def test_scores_are_inner_products_with_one_backward_per_example_for_every_metric(tokens_per_batch):
    wanted = torch.zeros(len(METRICS), 3, len(EXAMPLES), dtype=torch.float64)
    for name, gradients in dense_gradients().items():
        for m, metric in enumerate(METRICS):
            for q, query in enumerate(random_queries()[name]):
                for n, gradient in enumerate(gradients):
                    wanted[m, q, n] += (query.double() * weight_of(metric[name], gradient) * gradient).sum()
    found = scored(tokens_per_batch)[0]
    assert found.shape == wanted.shape
    for part, whole in zip(found, wanted, strict=True):
        close(part, whole, relative=1e-4)


@pytest.mark.parametrize("tokens_per_batch", [1, 24, 9999])
def test_self_influences_are_summed_over_all_modules_for_every_metric(tokens_per_batch):
    wanted = torch.zeros(len(METRICS), len(EXAMPLES), dtype=torch.float64)
    for name, gradients in dense_gradients().items():
        for m, metric in enumerate(METRICS):
            for n, gradient in enumerate(gradients):
                wanted[m, n] += (weight_of(metric[name], gradient) * gradient**2).sum()
    assert len(wanted) > 1
    for part, whole in zip(scored(tokens_per_batch)[1], wanted, strict=True):
        close(part, whole, relative=1e-4)


@pytest.mark.parametrize("tokens_per_batch", [1, 24, 9999])
def test_similarity_of_states_is_the_cosine_at_the_last_real_token(tokens_per_batch):
    model, queries = tiny_model("llama", dtype=torch.float32), random_examples([5, 8, 3], seed=9)

    def state(example):
        with torch.no_grad():
            output = model(input_ids=torch.tensor([example.input_ids]), output_hidden_states=True)
        return output.hidden_states[-1][0, -1].double()

    wanted = torch.zeros(len(queries), len(EXAMPLES), dtype=torch.float64)
    for q, query in enumerate(queries):
        for n, example in enumerate(EXAMPLES):
            one, other = state(query), state(example)
            wanted[q, n] = one @ other / (one @ one * (other @ other)) ** 0.5
    with frozen(model):
        train = TrainPass(model, 1, tokens_per_batch)
        found = Repsim().score_states(last_states(train, queries), last_states(train, EXAMPLES))
    close(found, wanted, relative=FLOAT32)
