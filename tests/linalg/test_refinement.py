"""Refined queries against the dense inverse of the Gram matrix of all stored gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import close

from lorif_core.errors import NumericalError
from lorif_core.linalg.refinement import refine_queries

SHAPES = {"a": (3, 4), "b": (2, 5)}
SCALE = 0.25


def stored_and_queries(num_examples, num_queries=3, seed=0):
    """Gradients of both modules in float64, (n, 3, 4) and (n, 2, 5), of unequal size, and plain queries."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda n, shape: torch.randn(n, *shape, generator=generator, dtype=torch.float64)  # noqa: E731 - brevity
    sizes = torch.linspace(0.3, 3, num_examples, dtype=torch.float64)[:, None, None]
    stored = {name: draw(num_examples, shape) * sizes for name, shape in SHAPES.items()}
    return stored, {name: draw(num_queries, shape) * SCALE for name, shape in SHAPES.items()}


def flat(matrices):
    return torch.cat([matrix.flatten(1) for matrix in matrices.values()], 1)


def refine(stored, queries, steps, ratio=1.0):
    own = SCALE * flat(stored).square().sum(1)
    return refine_queries(
        queries,
        own,
        score=lambda matrices: flat(matrices) @ flat(stored).T,
        add_up=lambda weights: {name: torch.einsum("qn,nio->qio", weights, one) for name, one in stored.items()},
        scale=SCALE,
        ratio=ratio,
        steps=steps,
    )


def wanted(stored, queries, ratio=1.0):
    """λ (scale·ZᵀZ + λI)⁻¹ applied to every query, with λ the ratio of the mean self-influence."""
    rows = flat(stored)
    damping = ratio * SCALE * rows.square().sum(1).mean()
    inverse = torch.linalg.inv(SCALE * rows.T @ rows + damping * torch.eye(rows.shape[1], dtype=torch.float64))
    return damping * flat(queries) @ inverse


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.floats(0.1, 10), st.integers(0, 99))
def test_as_many_steps_as_examples_give_the_dense_inverse(num_examples, ratio, seed):
    stored, queries = stored_and_queries(num_examples, seed=seed)
    found = flat(refine(stored, queries, steps=num_examples + 2, ratio=ratio))
    close(found, wanted(stored, queries, ratio), relative=1e-6)


def test_every_step_comes_nearer():
    stored, queries = stored_and_queries(40)
    target = wanted(stored, queries, 0.3)
    errors = [float((flat(refine(stored, queries, steps, 0.3)) - target).norm()) for steps in (0, 1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02 * errors[0]


def test_no_step_leaves_the_queries_as_they_are():
    stored, queries = stored_and_queries(5)
    assert torch.equal(flat(refine(stored, queries, steps=0)), flat(queries))


def test_a_huge_damping_leaves_the_queries_nearly_as_they_are():
    stored, queries = stored_and_queries(5)
    close(flat(refine(stored, queries, steps=4, ratio=1e9)), flat(queries), relative=1e-6)


def test_queries_do_not_change_each_other_and_are_not_changed_in_place():
    stored, queries = stored_and_queries(9)
    before = flat(queries).clone()
    together = flat(refine(stored, queries, steps=3))
    for row in range(3):
        alone = {name: matrix[row : row + 1] for name, matrix in queries.items()}
        close(flat(refine(stored, alone, steps=3))[0], together[row], relative=1e-9)
    assert torch.equal(flat(queries), before)


def test_a_query_without_gradient_stays_zero_beside_others():
    stored, queries = stored_and_queries(6)
    for matrix in queries.values():
        matrix[1] = 0
    found = flat(refine(stored, queries, steps=9))
    assert not found[1].any()
    close(found, wanted(stored, queries), relative=1e-6)


def test_an_example_alone_shares_its_influence_with_the_damping():
    stored, _ = stored_and_queries(1)
    queries = {name: matrix * SCALE for name, matrix in stored.items()}  # the query is the example
    refined = refine(stored, queries, steps=1, ratio=1.0)
    close(flat(refined), flat(queries) / 2, relative=1e-9)  # λ / (λ + h) with λ = h


def test_stored_gradients_that_are_all_zero_are_refused():
    stored, queries = stored_and_queries(3)
    with pytest.raises(NumericalError, match=r"mean self-influence is 0\.0: pass `--refine 0`"):
        refine({name: one * 0 for name, one in stored.items()}, queries, steps=1)
