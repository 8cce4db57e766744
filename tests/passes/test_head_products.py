"""The output head in uncompressed references, against whole gradients of one backward per example."""

from functools import cache
from itertools import product

import pytest
import torch
from oracles import close, damped, token_gradients
from tiny_models import random_examples, tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.metric import Metric
from lorif_core.linalg.token_sums import token_sums
from lorif_core.linalg.whitening import HEAD_ALPHA, Moments, diagonal_root
from lorif_core.methods.make_method import make_method, make_reference
from lorif_core.methods.method_settings import KroneckerConfig
from lorif_core.methods.references.reference import Curvatures
from lorif_core.passes.head_products import capture_head
from lorif_core.passes.queries import Query
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.uncompressed import TrainPass, score_uncompressed

HEAD, OTHER = "lm_head", {"gpt2": "transformer.h.0.mlp.c_fc", "llama": "model.layers.0.mlp.up_proj"}
RATIO, TOKENS_PER_TEXT = 0.1, 7.5
SINGLE = random_examples([9, 3, 12, 6, 2], seed=6)
WINDOWS = tuple(random_examples([9, 9, 5, 40], seed=7))
"""One text of several sequences, with more tokens than a hidden state is wide."""

TEXTS = [*SINGLE, WINDOWS]
SHORT, LEFT, RIGHT = random_examples([5, 8, 8], seed=9)
QUERIES = [Query("loss", (SHORT,), (1.0,)), Query("contrast", (LEFT, RIGHT), (1.0, -1.0))]


def gradient_of(model, sequences, weights):
    """Σ of the sequences' gradients of the head's own use, (d, V)."""
    parts = [
        weight * token_gradients(model, [HEAD], one.input_ids, one.is_target)[HEAD].sum(0)
        for one, weight in zip(sequences, weights, strict=True)
    ]
    return torch.stack(parts).sum(0)


@cache
def dense(architecture):
    """Whole gradients of the queries and of the texts."""
    model = tiny_model(architecture)
    queries = [gradient_of(model, query.sequences, query.weights) for query in QUERIES]
    texts = [gradient_of(model, (one,), (1.0,)) for one in SINGLE] + [gradient_of(model, WINDOWS, [1.0] * 4)]
    return torch.stack(queries), torch.stack(texts)


@cache
def moments(architecture):
    """Any that are positive: what they are taken from is tested elsewhere."""
    width, vocabulary = dense(architecture)[0].shape[1:]
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(2 * width, width, generator=generator)
    return Moments(rows.T @ rows, torch.rand(vocabulary, generator=generator) + 0.01, 60, 2 * width)


def head_metric(name, found):
    return make_reference(name).head_metric(HEAD, Curvatures({HEAD: found}, {}, TOKENS_PER_TEXT), RATIO)


def scored(architecture, tokens_per_batch):
    """Scores and self-influences of the head alone: under `kfac+head`, under a method without, under `ekfac+head`."""
    model, found, other = tiny_model(architecture, dtype=torch.float32), moments(architecture), OTHER[architecture]
    maps = ModuleMaps(None, diagonal_root(found, what=HEAD).float())
    source = GradientSource(model, {}, [], make_method(KroneckerConfig()), column_codec("sign"), 1, tokens_per_batch)
    metrics = [head_metric("kfac+head", found), None, head_metric("ekfac+head", found)]
    with frozen(model):
        head = capture_head(source, HEAD, maps, QUERIES, metrics)
        widths = token_gradients(tiny_model(architecture), [other], SHORT.input_ids, SHORT.is_target)[other].shape[1:]
        nothing = {other: Metric(weights=torch.zeros(*widths))}
        gradients = {other: torch.zeros(len(QUERIES), *widths)}
        return score_uncompressed(TrainPass(model, 1, tokens_per_batch), gradients, [nothing] * 3, TEXTS, head)


def wanted(architecture):
    """(kfac+head) by whole matrices: products of the queries with the texts, and of the texts with themselves."""
    found = moments(architecture)
    hidden = damped(found.inputs.double() / found.num_inputs, RATIO)
    diagonal = found.output_grads.double() / found.num_tokens
    diagonal = diagonal + HEAD_ALPHA * diagonal.mean()
    queries, texts = dense(architecture)
    weighed = torch.linalg.solve(hidden, texts) / diagonal
    return torch.einsum("qio,nio->qn", queries, weighed), torch.einsum("nio,nio->n", texts, weighed)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])  # gpt2's head is tied to its embedding
@pytest.mark.parametrize("tokens_per_batch", [1, 24, 9999])
def test_scores_and_self_influences_are_those_of_whole_preconditioned_gradients(architecture, tokens_per_batch):
    scores, own = scored(architecture, tokens_per_batch)
    products, squares = wanted(architecture)
    close(scores[0], products, relative=1e-4)
    close(own[0], squares, relative=1e-4)
    close(scores[2] * TOKENS_PER_TEXT, products, relative=1e-4)


def test_a_method_without_the_head_gets_nothing_of_it():
    scores, own = scored("llama", 24)
    assert not scores[1].any()
    assert not own[1].any()


def factorial(width=3, vocabulary=4, tokens=5):
    """Texts of ``tokens`` real tokens of which one carries a gradient, for every pair of a state and an error.

    Their Fisher matrix is exactly a Kronecker product: errors are signed unit vectors, states anything.
    """
    states = torch.randn(6, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    errors = torch.cat([torch.eye(vocabulary), -torch.eye(vocabulary)]).double()
    pairs = list(product(states, errors))
    inputs = sum(torch.outer(x, x) for x, _ in pairs)
    outputs = sum(y.square() for _, y in pairs)
    found = Moments(inputs.float(), outputs.float(), tokens * len(pairs), len(pairs))
    return torch.stack([torch.outer(x, y).flatten() for x, y in pairs]), found


@pytest.mark.parametrize(("name", "per"), [("kfac+head", 5), ("ekfac+head", 1)])
def test_the_unit_is_that_of_the_fisher_matrix_per_token_or_per_text(name, per):
    gradients, found = factorial()
    fisher = gradients.T @ gradients / len(gradients) / per  # of a text, or of one of its five tokens
    reference = make_reference(name)
    metric = reference.head_metric(HEAD, Curvatures({HEAD: found}, {}, 5.0), 1e-7).double()
    diagonal = diagonal_root(found, what=HEAD) ** 2 * (1 + HEAD_ALPHA)  # equal everywhere, so damping is a factor
    close(torch.kron(metric, torch.diag(diagonal)), torch.linalg.inv(fisher), relative=1e-4)


def test_a_gradient_that_was_multiplied_out_is_a_sum_over_its_rows(rng):
    matrix = torch.randn(2, 3, 7, generator=rng)
    matrix[1, 2] = 0
    first, second = token_sums(DenseGradient(matrix))
    close(first.inputs.T @ first.output_grads, matrix[0], relative=1e-6)
    close(second.inputs.T @ second.output_grads, matrix[1], relative=1e-6)
    assert len(second.inputs) == 2


def test_of_the_queries_a_row_per_target_token_is_kept():
    model, found = tiny_model("llama", dtype=torch.float32), moments("llama")
    source = GradientSource(model, {}, [], make_method(KroneckerConfig()), column_codec("sign"), 1, 24)
    with frozen(model):
        head = capture_head(source, HEAD, ModuleMaps(None, torch.ones_like(found.output_grads)), QUERIES, [])
    targets = [sum(sum(one.is_target) for one in query.sequences) for query in QUERIES]
    assert [int((head.owners == query).sum()) for query in range(len(QUERIES))] == targets
    assert head.rows.output_grads.shape == (sum(targets), len(found.output_grads))
