import pytest
import torch

from lorif_core.linalg.gram_sums import add_gram, add_gram_in_bfloat16


def rows_with_a_mean(n: int, d: int) -> torch.Tensor:
    """Like a layer's inputs: one direction holds most of the energy."""
    generator = torch.Generator().manual_seed(d)
    return torch.randn(n, d, generator=generator) + 3 * torch.randn(d, generator=generator)


@pytest.mark.parametrize("d", [1, 5, 127, 128, 129, 300, 1100])
def test_a_sum_is_the_product_of_all_rows(d: int) -> None:
    rows = rows_with_a_mean(70, d)
    sums = torch.zeros(d, d)
    for some in rows.split(33):
        add_gram(sums, some)
    wanted = torch.einsum("ni,nj->ij", rows.double(), rows.double())
    torch.testing.assert_close(sums.double(), wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    assert torch.equal(sums, sums.mT)


def test_rounding_each_product_leaves_little_of_the_error_of_a_sum() -> None:
    """2^-9 of a number is what one product may be off; a sum of 32 of them by a sixth of that, rms."""
    rows = rows_with_a_mean(32 * 256, 40).bfloat16().float()  # so that only products are rounded
    sums = torch.zeros(40, 40)
    add_gram_in_bfloat16(sums, rows)
    wanted = torch.einsum("ni,nj->ij", rows.double(), rows.double())
    error = float((sums - wanted).norm() / wanted.norm())
    assert 0 < error < 2**-9 / 6
    assert torch.equal(sums, sums.mT)


def test_rows_are_rounded_but_not_changed() -> None:
    rows = rows_with_a_mean(9, 6)
    before = rows.clone()
    sums = torch.zeros(6, 6)
    add_gram_in_bfloat16(sums, rows)
    assert torch.equal(rows, before)
    wanted = (rows.bfloat16().double().mT @ rows.bfloat16().double()).bfloat16()
    torch.testing.assert_close(sums, wanted.float(), rtol=2**-7, atol=0)
