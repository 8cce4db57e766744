import subprocess
import sys

import pytest
import torch

from lorif_core.linalg.maps import (
    ModuleMaps,
    maps_digest,
    projected_width,
    random_directions,
    random_maps,
    smallest_divisor,
)
from lorif_core.shapes import ModuleShape

NAME = "model.layers.3.mlp.up_proj"


def drawn_maps(name, in_features, out_features, *, f, seed):
    widths = (projected_width(width, f) for width in (in_features, out_features))
    return random_maps(ModuleShape(name, in_features, out_features, *widths), f=f, seed=seed)


def sides(maps):
    return maps.input_map, maps.output_map


def test_the_same_module_and_seed_redraw_the_same_maps():
    first, second = (drawn_maps(NAME, 12, 20, f=4, seed=7) for _ in range(2))
    assert len(sides(first)) == 2
    assert all(torch.equal(a, b) for a, b in zip(sides(first), sides(second), strict=True))


def test_another_process_redraws_the_same_maps():
    code = (
        "from lorif_core.linalg.maps import maps_digest, random_maps; from lorif_core.shapes import ModuleShape;"
        f"print(maps_digest({{'m': random_maps(ModuleShape('{NAME}', 12, 20, 3, 5), f=4, seed=7)}}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == maps_digest({"m": drawn_maps(NAME, 12, 20, f=4, seed=7)})


@pytest.mark.parametrize(
    "other", [drawn_maps(NAME + "x", 16, 16, f=2, seed=7), drawn_maps(NAME, 16, 16, f=2, seed=8)]
)
def test_another_module_or_seed_draws_other_maps(other):
    maps = drawn_maps(NAME, 16, 16, f=2, seed=7)
    assert len(sides(maps)) == 2
    # 128 independent signs: agreement on all of them has probability 2^-128.
    assert not any(torch.equal(a, b) for a, b in zip(sides(maps), sides(other), strict=True))


def test_the_two_sides_of_a_square_module_are_drawn_apart():
    maps = drawn_maps(NAME, 16, 16, f=2, seed=7)
    assert not torch.equal(maps.input_map, maps.output_map)


def test_drawing_maps_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    drawn_maps(NAME, 16, 16, f=2, seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_entries_are_signs_over_the_root_of_the_projected_width():
    maps = drawn_maps(NAME, 32, 64, f=4, seed=0)
    assert set(maps.input_map.flatten().tolist()) == {8**-0.5, -(8**-0.5)} or torch.allclose(
        maps.input_map.abs(), torch.full((32, 8), 8**-0.5)
    )
    torch.testing.assert_close(maps.output_map.abs(), torch.full((64, 16), 0.25))


def test_inner_products_are_kept_in_expectation():
    draws = 4000
    mean = torch.zeros(6, 6)
    for seed in range(draws):
        side = drawn_maps(NAME, 6, 6, f=2, seed=seed).input_map
        mean += side @ side.T / draws
    # Off the diagonal the mean of 3 products of signs ± 1/3: standard deviation 1/√(3 · draws) = 0.009.
    torch.testing.assert_close(mean, torch.eye(6), atol=0.045, rtol=0)


def test_nothing_is_projected_with_f_one():
    assert drawn_maps(NAME, 12, 20, f=1, seed=0) == ModuleMaps(None, None)


@pytest.mark.parametrize(("width", "f", "expected"), [(12, 4, 3), (13, 4, 3), (3, 4, 1), (1, 100, 1), (5, 1, 5)])
def test_a_projected_width_is_at_least_one(width, f, expected):
    assert projected_width(width, f) == expected


@pytest.mark.parametrize("f", [4, 64])
def test_maps_have_the_shape_of_their_module(f):
    maps = drawn_maps(NAME, 12, 20, f=f, seed=0)
    assert maps.input_map.shape == (12, max(1, 12 // f))
    assert maps.output_map.shape == (20, max(1, 20 // f))


def test_the_digest_does_not_depend_on_the_order_of_modules():
    a, b = (drawn_maps(name, 8, 8, f=2, seed=0) for name in "ab")
    assert maps_digest({"a": a, "b": b}) == maps_digest({"b": b, "a": a})


def test_the_digest_changes_with_one_number_a_name_or_an_identity():
    a, b = (drawn_maps(name, 8, 8, f=2, seed=0) for name in "ab")
    flipped = a.input_map.clone()
    flipped[0, 0] *= -1
    digests = {
        maps_digest(maps)
        for maps in (
            {"a": a},
            {"b": a},
            {"a": b},
            {"a": ModuleMaps(flipped, a.output_map)},
            {"a": ModuleMaps(None, a.output_map)},
            {"a": ModuleMaps(a.input_map, None)},
            {"a": ModuleMaps(a.output_map, a.input_map)},
            {"a": ModuleMaps(None, None)},
            {},
        )
    }
    assert len(digests) == 9


def test_moving_maps_keeps_the_identity():
    moved = ModuleMaps(None, torch.ones(2, 1)).to(torch.device("cpu"), torch.float64)
    assert moved.input_map is None
    assert moved.output_map.dtype == torch.float64


def test_a_side_that_keeps_its_width_is_left_as_it_is():
    maps = random_maps(ModuleShape(NAME, 4096, 16, 512, 16), f=8, seed=0)
    assert maps.output_map is None
    assert maps.input_map.shape == (4096, 512)


@pytest.mark.parametrize(("width", "projected"), [(12, 5), (64, 8), (7, 1)])
def test_directions_are_orthogonal_and_keep_inner_products_in_expectation(width, projected):
    drawn = random_directions("key", width, projected)
    wanted = torch.eye(projected, dtype=torch.float64) * width / projected
    torch.testing.assert_close(drawn.T @ drawn, wanted, atol=1e-12, rtol=0)
    mean = sum((one := random_directions(f"{seed}", width, projected)) @ one.T for seed in range(3000)) / 3000
    # An entry of one draw varies by at most width / projected, so its mean over 3,000 by a fiftieth of that.
    torch.testing.assert_close(
        mean, torch.eye(width, dtype=torch.float64), atol=5 * width / projected / 3000**0.5, rtol=0
    )


def test_directions_depend_on_the_key_and_are_none_where_all_are_kept():
    assert random_directions("key", 9, 9) is None
    assert torch.equal(random_directions("key", 9, 3), random_directions("key", 9, 3))
    assert not torch.allclose(random_directions("key", 9, 3), random_directions("other", 9, 3))


@pytest.mark.parametrize(("least", "first", "found"), [(1, 1, 1), (5, 1, 8), (5, 3, 6), (16, 1, 16), (17, 1, None)])
def test_the_smallest_divisor_is_the_first_doubling_at_which_something_fits(least, first, found):
    assert smallest_divisor(lambda f: f >= least, first=first, largest=16) == found
