"""Half-whitening against dense inverses in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import close, damped, kronecker_influence, project

from lorif_core.errors import NumericalError
from lorif_core.linalg.maps import random_directions
from lorif_core.linalg.roots import inverse_root
from lorif_core.linalg.whitening import Moments, whitened_maps
from lorif_core.shapes import ModuleShape

FLOAT32 = 2e-5
"""Roundings of 2⁻²⁴ in sums of some hundred float32 numbers, magnified by 1/√α."""

widths = st.integers(1, 9)
seeds = st.integers(0, 2**16)


def tokens(count, width, seed):
    """Rows whose second moment is far from the identity."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(0, -2, width, dtype=torch.float64)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) * spread @ mixing


def moments_of(inputs, output_grads):
    found = Moments.zeros(inputs.shape[1], output_grads.shape[1])
    found.add(inputs, output_grads)
    return found


def shape(i, o, f=1):
    return ModuleShape("layer.proj", i, o, max(1, i // f), max(1, o // f))


@given(width=widths, count=st.integers(1, 12), alpha=st.sampled_from([0.003, 0.01, 1.0]), seed=seeds)
def test_the_square_of_the_root_times_the_damped_moment_is_the_identity(width, count, alpha, seed):
    rows = tokens(count, width, seed)
    root = inverse_root(rows.T @ rows, count, alpha, what="x")
    identity = torch.eye(width, dtype=torch.float64)
    torch.testing.assert_close(root @ root @ damped(rows.T @ rows / count, alpha), identity, atol=1e-9, rtol=0)


@given(width=widths, seed=seeds)
def test_the_root_is_symmetric_and_positive(width, seed):
    rows = tokens(2 * width, width, seed)
    root = inverse_root(rows.T @ rows, 2 * width, 0.01, what="x")
    torch.testing.assert_close(root, root.T, atol=1e-9, rtol=1e-9)
    assert bool((torch.linalg.eigvalsh(root) > 0).all())


def test_the_root_stays_finite_in_directions_that_no_token_reaches():
    rows = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    root = inverse_root(rows.T @ rows, 2, 0.5, what="x")  # eigenvalues 4 and 0, mean 2, damping 1
    torch.testing.assert_close(root, torch.diag(torch.tensor([5.0**-0.5, 1.0], dtype=torch.float64)))


@given(width=widths, factor=st.floats(1e-6, 1e6), seed=seeds)
def test_the_root_of_scaled_tokens_is_scaled_inversely(width, factor, seed):
    rows = tokens(10, width, seed)
    plain = inverse_root(rows.T @ rows, 10, 0.01, what="x")
    scaled = inverse_root(factor**2 * rows.T @ rows, 10, 0.01, what="x")
    torch.testing.assert_close(factor * scaled, plain, rtol=1e-7, atol=1e-9 * float(plain.abs().max()))


@pytest.mark.parametrize(("i", "o"), [(6, 6), (3, 11), (11, 3), (1, 5)])
@pytest.mark.parametrize("alpha", [0.003, 0.1])
def test_a_plain_product_of_whitened_gradients_is_the_influence_in_the_kronecker_metric(i, o, alpha, rng):
    inputs, output_grads = tokens(40, i, 1), tokens(40, o, 2)
    found = whitened_maps(shape(i, o), moments_of(inputs, output_grads), alpha=alpha, seed=0)
    queries = torch.randn(3, i, o, generator=rng, dtype=torch.float64)
    trains = torch.randn(4, i, o, generator=rng, dtype=torch.float64)
    left, right = (
        torch.stack([project(one, found.input_map, found.output_map) for one in side]).flatten(1)
        for side in (queries, trains)
    )
    second = [rows.T @ rows / 40 for rows in (inputs, output_grads)]
    # The inverse magnifies the roundings of a float32 moment by its condition number, at most width / α.
    rounding = 4 * 2**-24 * max(i, o) / alpha
    close(left @ right.T, kronecker_influence(queries, trains, *second, alpha), relative=rounding)


def test_both_maps_are_float32_and_keep_every_direction():
    found = whitened_maps(shape(5, 3), moments_of(tokens(20, 5, 1), tokens(20, 3, 2)), alpha=0.01, seed=0)
    assert [(side.dtype, tuple(side.shape)) for side in (found.input_map, found.output_map)] == [
        (torch.float32, (5, 5)),
        (torch.float32, (3, 3)),
    ]


@pytest.mark.parametrize("f", [2, 3, 16])
def test_a_projection_follows_the_whitening(f):
    inputs, output_grads = tokens(60, 12, 3), tokens(60, 9, 4)
    found = whitened_maps(shape(12, 9, f), moments_of(inputs, output_grads), alpha=0.01, seed=5)
    for rows, got, kind in ((inputs, found.input_map, "input"), (output_grads, found.output_map, "output")):
        width = rows.shape[1]
        assert got.shape == (width, max(1, width // f))
        drawn = random_directions(f"5:layer.proj:{kind}", *got.shape)
        close(got, inverse_root(rows.T @ rows, 60, 0.01, what="x") @ drawn, relative=FLOAT32)


def test_moments_of_two_parts_are_the_moments_of_the_whole():
    inputs, output_grads = tokens(30, 4, 1), tokens(30, 7, 2)
    parts = moments_of(inputs[:11], output_grads[:11])
    parts.add(inputs[11:], output_grads[11:])
    assert parts.num_tokens == 30
    close(parts.inputs, inputs.T @ inputs, relative=FLOAT32)
    close(parts.output_grads, output_grads.T @ output_grads, relative=FLOAT32)


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["inputs", "gradients"])
def test_a_module_that_nothing_reaches_or_that_overflowed_is_refused_with_the_way_out(bad, side):
    good, spoilt = torch.ones(3, 2), torch.full((3, 2), bad)
    moments = moments_of(*((spoilt, good) if side == "inputs" else (good, spoilt)))
    message = (
        rf"the second moment of the {side} of (module )?'layer\.proj' must be finite and above 0, its mean "
        r"eigenvalue is (0\.0|nan|inf): .*Exclude it with `--exclude`\."
    )
    with pytest.raises(NumericalError, match=message):
        whitened_maps(shape(2, 2), moments, alpha=0.01, seed=0)


def test_a_module_without_a_token_is_refused():
    with pytest.raises(NumericalError, match="must be finite and above 0"):
        whitened_maps(shape(2, 2), Moments.zeros(2, 2), alpha=0.01, seed=0)
