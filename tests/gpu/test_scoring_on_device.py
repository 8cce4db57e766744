"""Passes over an index's shards on a device: the processor's scores, and products of whole matrices in float64."""

import pytest
import torch
from random_indexes import (
    close_to,
    influences,
    random_gradients,
    random_index,
    random_plan,
    wanted_products,
)

from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.scores import FactoredQueries
from lorif_core.linalg.signs import SignColumns
from lorif_core.linalg.unpacked_signs import split_vectors
from lorif_core.passes.device_shards import ScoringDevice

pytestmark = pytest.mark.gpu

LAYOUTS = [("factors", codec) for codec in ("bf16", "int8", "int4", "sign")] + [("dense", "bf16"), ("dense", "sign")]
SHARES = pytest.mark.parametrize("share", [0.0, 0.5], ids=["streamed", "resident"])


@SHARES
@pytest.mark.parametrize("num_queries", [1, 3])
@pytest.mark.parametrize("query_rank", [None, 2], ids=["direct", "factored"])
@pytest.mark.parametrize(("layout", "codec"), LAYOUTS)
def test_scores_on_a_device_are_the_processors(layout, codec, query_rank, num_queries, share, device, tmp_path):
    reader = random_index(tmp_path, codec, layout)
    gradients = random_gradients(reader, num_queries, rank=query_rank)
    place = ScoringDevice(device, share)
    plans = [random_plan(reader, gradients, on, query_rank=query_rank) for on in (None, place)]
    plan = "direct" if query_rank is None else "factored"
    assert all(one.plans["b"] == plan for one in plans)
    expected, wanted = influences(plans[0]), wanted_products(reader, gradients)
    for _ in range(2):  # the second question finds the index there, or streams it again
        found = influences(plans[1])
        for ours, theirs in zip(found, expected, strict=True):
            close_to(ours, theirs)
        close_to(found[1] / plans[1].scale, wanted)
    assert (place.resident_bytes > 0) == (share > 0)


@SHARES
@pytest.mark.parametrize("normalisation", ["none", "relatif", "tempered"])
def test_members_are_added_up_and_normalised_on_a_device_as_on_the_processor(normalisation, share, device, tmp_path):
    readers = [random_index(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    gradients = [random_gradients(reader, 2, seed=seed) for seed, reader in enumerate(readers)]
    place = ScoringDevice(device, share)
    ours, theirs = (
        influences(
            *(
                random_plan(reader, one, on, normalisation=normalisation)
                for reader, one in zip(readers, gradients, strict=True)
            )
        )
        for on in (place, None)
    )
    for found, expected in zip(ours, theirs, strict=True):
        close_to(found, expected)
    alone = influences(random_plan(readers[0], gradients[0], place, normalisation=normalisation))
    assert not torch.allclose(alone[0], ours[0], rtol=0.1)


def test_queries_on_a_device_unpack_signs_and_keep_their_vectors(device):
    here = FactoredQueries(torch.ones(8, 2), torch.ones(16, 2), 1)
    there = here.on_device(device)
    assert there.device.type == device.type
    assert there.unpacks_signs > here.unpacks_signs
    assert torch.equal(there.left.cpu(), here.left)
    assert torch.equal(there.right.cpu(), here.right)


@pytest.mark.parametrize("d", [1, 8, 13, 64])
@pytest.mark.parametrize("k", [1, 5])
def test_products_with_unpacked_signs_are_those_in_float64(d, k, device):
    rng = torch.Generator().manual_seed(0)
    coded = column_codec("sign").encode(torch.randn(37, 2, d, generator=rng).to(device))
    vectors = torch.randn(d, k, generator=rng) * 10.0 ** torch.randint(-3, 3, (d, 1), generator=rng)
    found = split_vectors(vectors.to(device)).products(SignColumns(coded.codes, coded.scales))
    numbers = column_codec("sign").decode(coded.codes.cpu(), coded.scales.cpu(), d).double()
    assert found.device.type == device.type
    # Each number of a vector is off by 2⁻¹⁷ at most, and sums of d numbers by some roundings.
    most = numbers.abs() @ vectors.abs().double()
    assert ((found.cpu().double() - numbers @ vectors.double()).abs() <= 2e-5 * most + 1e-30).all()
