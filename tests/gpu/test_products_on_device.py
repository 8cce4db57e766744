"""Products in bfloat16 with sums in float32, and the kernel for sign codes, against float64 on the CPU."""

import pytest
import torch
from devices import FLOAT32, distance

from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.factors import factor_gradient, random_start
from lorif_core.linalg.fused_signs import add_fused_scores, fused_side, fuses
from lorif_core.linalg.gradients import SequenceGradient
from lorif_core.linalg.gram_sums import add_gram
from lorif_core.linalg.maps import random_directions
from lorif_core.linalg.narrow_products import is_narrow, wide_product
from lorif_core.linalg.signs import SignColumns, SignFactors

pytestmark = pytest.mark.gpu

SHAPES = [(7, 9, 5), (64, 300, 128)]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_products_of_bfloat16_are_those_of_their_numbers(m, n, k, batch, device, generator):
    left = torch.randn(*batch, m, n, generator=generator).bfloat16()
    right = torch.randn(*batch, n, k, generator=generator).bfloat16()
    found = wide_product(left.to(device), right.to(device))
    assert found.dtype == torch.float32
    assert distance(found, left.double() @ right.double()) < FLOAT32


def test_on_a_gpu_bfloat16_stays_until_it_is_multiplied(device):
    rows = torch.ones(2, 2, device=device).bfloat16()
    assert is_narrow(rows) == (device.type == "cuda")
    assert not is_narrow(rows.float())
    assert not is_narrow(rows.requires_grad_())  # such products cannot be differentiated


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_gradients_of_narrow_rows_have_the_norms_and_factors_of_their_product(rank, scale, device, generator):
    rows = torch.randn(4, 40, 24, generator=generator) * torch.logspace(0, -4, 24)
    inputs, output_grads = rows.bfloat16(), (scale * torch.randn(4, 40, 33, generator=generator)).bfloat16()
    wanted = inputs.double().mT @ output_grads.double()
    gradient = SequenceGradient(inputs.to(device), output_grads.to(device))
    assert distance(gradient.dense(), wanted) < FLOAT32
    assert distance(gradient.squared_norm() / scale**2, (wanted / scale).square().sum((1, 2))) < 10 * FLOAT32
    factors = factor_gradient(gradient, random_start("module", 33, rank, seed=0))
    best = torch.linalg.svd(wanted / scale).S[:, :rank].square().sum(1)
    kept = factors.squared_norm().double().cpu() / scale**2
    assert bool((kept > 0.98 * best).all() and (kept < 1.0001 * best).all())


def test_moments_of_narrow_rows_are_those_of_their_numbers(device, generator):
    rows = torch.randn(300, 40, generator=generator).bfloat16()
    sums = torch.ones(40, 40, device=device)
    add_gram(sums, rows.to(device))
    assert distance(sums - 1, rows.double().mT @ rows.double()) < FLOAT32


def test_directions_that_are_made_on_a_device_are_orthonormal(device):
    found = random_directions("key", 300, 40, device)
    assert found.device.type == device.type
    assert distance(found.mT @ found * (40 / 300), torch.eye(40, dtype=torch.float64)) < 1e-12
    assert distance(found, random_directions("key", 300, 40)) < 1e-10


@pytest.mark.parametrize(
    ("n", "columns", "d_in", "d_out", "queries", "rank"),
    [(1, 1, 8, 8, 1, 1), (130, 1, 240, 241, 1, 16), (300, 2, 33, 300, 3, 5), (129, 1, 1024, 9, 2, 64)],
)
@pytest.mark.parametrize("scales", ["both", "left", "none"])
def test_the_kernel_scores_as_the_decoded_columns_do(
    n, columns, d_in, d_out, queries, rank, scales, device, generator
):
    if not fuses(device, rank):
        pytest.skip("the kernel needs a GPU and triton")
    codec = column_codec("sign")
    coded = [codec.encode(torch.randn(n, columns, width, generator=generator)) for width in (d_in, d_out)]
    kept = [scales != "none", scales == "both"]
    numbers = [
        codec.decode(one.codes, one.scales if is_kept else torch.ones_like(one.scales), width).double()
        for one, width, is_kept in zip(coded, (d_in, d_out), kept, strict=True)
    ]
    left, right = (torch.randn(width, queries * rank, generator=generator) for width in (d_in, d_out))
    before = torch.randn(queries, n, generator=generator)
    products = (numbers[0] @ left.double()) * (numbers[1] @ right.double())
    wanted = before.double() + products.unflatten(2, (queries, rank)).sum((1, 3)).T
    block = SignFactors(
        *(
            SignColumns(one.codes.to(device), one.scales.to(device) if is_kept else None)
            for one, is_kept in zip(coded, kept, strict=True)
        )
    )
    scores = before.to(device)
    add_fused_scores(scores, *(fused_side(side.to(device), queries) for side in (left, right)), block)
    assert distance(scores, wanted) < FLOAT32


def test_a_rank_that_leaves_the_registers_is_scored_without_the_kernel(device):
    assert not fuses(device, 65)
    assert not fuses(torch.device("cpu"), 1)
