"""Masks and sparse sketches: what is drawn, and that inner products are kept in expectation."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.linalg.gradients import finish_gradient, multiplication_order, prepare_inputs
from lorif_core.linalg.maps import maps_digest
from lorif_core.linalg.sparse_draws import hashed_maps, kept_widths, masked_maps, paired_maps, shares_of
from lorif_core.linalg.sparse_maps import Mask
from lorif_core.shapes import ModuleShape

WIDE = ModuleShape("a.up", 60, 90, 1, 64)


def drawn(kind, module=WIDE, seed=0, width=64):
    if kind == "masked":
        return masked_maps(module, sketch_width=width, mask_factor=4, seed=seed)
    if kind == "paired":
        own = ModuleShape(module.name, module.in_features, module.out_features, 256, 1)
        return paired_maps(own, sketch_width=width, seed=seed, joined_as="all")
    own = ModuleShape(module.name, module.in_features, module.out_features, 15, 22)
    return hashed_maps(own, f=4, sketch_width=width, seed=seed, joined_as="all")


KINDS = pytest.mark.parametrize("kind", ["masked", "paired", "hashed"])


def vector_of(inputs, output_grads, maps):
    order = multiplication_order(inputs.shape[1], inputs.shape[2], output_grads.shape[2], maps)
    return finish_gradient(prepare_inputs(inputs, maps, order), output_grads, maps, order).dense()


@KINDS
def test_the_seed_and_the_name_alone_draw_them(kind):
    digest = maps_digest({"a": drawn(kind)})
    assert maps_digest({"a": drawn(kind)}) == digest
    other = ModuleShape("b.up", 60, 90, 1, 64)
    assert len({digest, maps_digest({"a": drawn(kind, seed=1)}), maps_digest({"a": drawn(kind, other)})}) == 3


def test_a_digest_knows_every_part_of_a_map():
    maps = drawn("paired")
    flipped = maps.sketch.signs.clone()
    flipped[3] *= -1
    moved = maps.input_map.places.roll(1)
    changed = [
        replace(maps, input_map=Mask(moved)),
        replace(maps, output_map=Mask(maps.output_map.places.roll(1))),
        replace(maps, sketch=replace(maps.sketch, signs=flipped)),
        replace(maps, sketch=replace(maps.sketch, buckets=maps.sketch.buckets.roll(1))),
        replace(maps, sketch=replace(maps.sketch, scale=2.0)),
        replace(maps, joined_as="others"),
        replace(maps, is_paired=False),
    ]
    assert len({maps_digest({"a": one}) for one in (maps, *changed)}) == len(changed) + 1


@KINDS
def test_inner_products_are_kept_in_expectation(kind):
    rng = torch.Generator().manual_seed(0)
    inputs, output_grads = torch.randn(2, 5, 60, generator=rng), torch.randn(2, 5, 90, generator=rng)
    inputs[1], output_grads[1] = 0.7 * inputs[0] + 0.5 * inputs[1], 0.7 * output_grads[0] + 0.5 * output_grads[1]
    whole = (inputs.mT @ output_grads).flatten(1)
    wanted = float(whole[0] @ whole[1])
    found = torch.stack([vector_of(inputs, output_grads, drawn(kind, seed=seed)).flatten(1) for seed in range(400)])
    products = (found[:, 0] * found[:, 1]).sum(1)
    assert abs(float(products.mean()) - wanted) < 4 * float(products.std()) / 20  # standard errors
    assert float(products.std()) < 0.6 * wanted  # and one draw says something by itself


@pytest.mark.parametrize("kind", ["masked", "hashed"])
@pytest.mark.parametrize("tokens", [1, 7, 400])
def test_whatever_is_multiplied_first_and_in_however_many_tokens_there_is_one_vector(kind, tokens):
    rng = torch.Generator().manual_seed(1)
    inputs, output_grads = torch.randn(2, tokens, 60, generator=rng), torch.randn(2, tokens, 90, generator=rng)
    maps = drawn(kind)
    found = [
        finish_gradient(prepare_inputs(inputs, maps, order), output_grads, maps, order).dense()
        for order in ("both", "input", "output")
    ]
    assert [one.shape for one in found] == 3 * [(2, 1, 64)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found[2], found[0], rtol=1e-4, atol=1e-3)


def test_a_module_of_fewer_pairs_than_buckets_loses_nothing():
    module = ModuleShape("small", 5, 7, 1, 35)
    rng = torch.Generator().manual_seed(2)
    inputs, output_grads = torch.randn(2, 3, 5, generator=rng), torch.randn(2, 3, 7, generator=rng)
    found = vector_of(inputs, output_grads, masked_maps(module, sketch_width=64, mask_factor=4, seed=0))
    torch.testing.assert_close(found, (inputs.mT @ output_grads).flatten(1)[:, None])


sizes = st.integers(1, 5000)


@given(in_features=sizes, out_features=sizes, most=st.integers(1, 20_000))
def test_masks_keep_no_more_pairs_than_they_may_and_waste_none(in_features, out_features, most):
    kept_in, kept_out = kept_widths(in_features, out_features, most)
    assert 1 <= kept_in <= in_features
    assert 1 <= kept_out <= out_features
    assert kept_in * kept_out <= most
    assert kept_in == in_features or (kept_in + 1) * kept_out > most
    assert kept_out == out_features or kept_in * (kept_out + 1) > most or kept_in > kept_out


@given(sizes=st.lists(sizes, min_size=1, max_size=8), most=st.integers(8, 20_000))
def test_entries_are_shared_out_by_size(sizes, most):
    found = shares_of(sizes, most)
    fair = [min(1.0, most / sum(sizes)) * size for size in sizes]
    assert len(found) == len(sizes)
    assert min(found) >= 1
    assert max(one - size for one, size in zip(found, sizes, strict=True)) <= 0
    assert max(abs(one - share) for one, share in zip(found, fair, strict=True)) <= 1
