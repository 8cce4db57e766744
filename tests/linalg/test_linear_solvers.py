"""Both solvers against the dense solution, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import close

from lorif_core.errors import NumericalError
from lorif_core.linalg.linear_solvers import SOLVERS, largest_eigenvalue, solve_system

SHAPES = {"a": (2, 3), "b": (1, 4)}
WIDTH = 10
DAMPING = 3.0


def flat(matrices):
    return torch.cat([matrix.flatten(1) for matrix in matrices.values()], 1)


def apart(rows):
    """Rows (Q, 10) as one matrix per module."""
    return {"a": rows[:, :6].reshape(-1, 2, 3), "b": rows[:, 6:].reshape(-1, 1, 4)}


def system(rank, num_queries=3, seed=0):
    """A positive semi-definite matrix over both modules, and right sides."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(WIDTH, rank, generator=generator, dtype=torch.float64)
    right = torch.randn(num_queries, WIDTH, generator=generator, dtype=torch.float64)
    return root @ root.T, apart(right)


def solve(matrix, right, steps, solver="cg", damping=DAMPING, **more):
    return solve_system(solver, lambda v: apart(flat(v) @ matrix), right, damping=damping, steps=steps, **more)


def dense(matrix, right, damping=DAMPING):
    return torch.linalg.solve(matrix + damping * torch.eye(WIDTH, dtype=torch.float64), flat(right).T).T


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 14), st.floats(0.1, 100), st.integers(0, 99))
def test_as_many_steps_as_directions_give_the_dense_solution(rank, damping, seed):
    matrix, right = system(rank, seed=seed)
    found = solve(matrix, right, steps=WIDTH + 3, damping=damping)
    close(flat(found.matrices), dense(matrix, right, damping), relative=1e-7)
    assert found.residuals.max() < 1e-7


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_step_is_the_query_itself_scaled(solver):
    matrix, right = system(7)
    found = flat(solve(matrix, right, 1, solver).matrices)
    scale = (found * flat(right)).sum(1) / flat(right).square().sum(1)
    close(found, scale[:, None] * flat(right), relative=1e-12)
    assert (scale > 0).all()


def test_the_neumann_series_reaches_what_conjugate_gradients_reach_sooner():
    matrix, right = system(9)
    target = dense(matrix, right)
    errors = {
        solver: [
            float((flat(solve(matrix, right, steps, solver).matrices) - target).norm()) for steps in (2, 10, 200)
        ]
        for solver in SOLVERS
    }
    assert errors["lissa"] == sorted(errors["lissa"], reverse=True)
    assert errors["lissa"][2] < 1e-3 * target.norm()
    assert errors["cg"][1] < errors["lissa"][1]


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_residual_is_that_of_the_system(solver):
    matrix, right = system(8)
    found = solve(matrix, right, 3, solver)
    left = flat(right) - flat(found.matrices) @ matrix - DAMPING * flat(found.matrices)
    close(found.residuals, left.norm(dim=1) / flat(right).norm(dim=1), relative=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_right_side_of_zero_stays_zero_beside_others(solver):
    matrix, right = system(8)
    for rows in right.values():
        rows[1] = 0
    found = solve(matrix, right, 4, solver)
    assert not flat(found.matrices)[1].any()
    assert found.residuals[1] == 0
    alone = {name: rows[2:] for name, rows in right.items()}
    close(flat(solve(matrix, alone, 4, solver).matrices)[0], flat(found.matrices)[2], relative=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_large_damping_leaves_the_direction_of_the_query(solver):
    matrix, right = system(8)
    found = flat(solve(matrix, right, 4, solver, damping=1e9).matrices)
    cosine = (found * flat(right)).sum(1) / found.norm(dim=1) / flat(right).norm(dim=1)
    close(cosine, torch.ones_like(cosine), relative=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_steps_on_the_way_are_those_of_fewer_steps(solver):
    matrix, right = system(8)
    on_the_way = {}
    solve(matrix, right, 4, solver, on_step=lambda step, u: on_the_way.update({step: flat(u).clone()}))
    assert list(on_the_way) == [1, 2, 3, 4]
    close(on_the_way[3], flat(solve(matrix, right, 3, solver).matrices), relative=1e-12)


def test_power_iteration_comes_from_below():
    matrix, right = system(9)
    largest = torch.linalg.eigvalsh(matrix)[-1]
    found = largest_eigenvalue(lambda v: apart(flat(v) @ matrix), right, 60)
    close(found, largest.expand(3), relative=1e-6)
    assert (largest_eigenvalue(lambda v: apart(flat(v) @ matrix), right, 3) <= largest).all()


@pytest.mark.parametrize(
    ("solver", "told"),
    [("cg", "a curvature must be positive along every direction, found -"), ("lissa", "LiSSA must come nearer")],
)
def test_a_curvature_that_is_not_positive_is_refused(solver, told):
    matrix, right = system(8)
    with pytest.raises(NumericalError, match=told):
        solve(-matrix, right, 2, solver, damping=1e-3)
