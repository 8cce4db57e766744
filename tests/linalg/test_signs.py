"""Products read off packed signs, beside signs that are unpacked one by one in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.linalg import signs
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.scores import ScoreSums, prepare_queries
from lorif_core.linalg.signs import SignColumns, SignFactors, sign_table

SIGN = column_codec("sign")


def coded(generator, n, c, d):
    found = SIGN.encode(torch.randn(n, c, d, generator=generator))
    assert found.scales is not None
    return SignColumns(found.codes, found.scales)


def unpacked(columns, d):
    """(nc, d) in float64: bit by bit, with numpy."""
    bits = np.unpackbits(columns.codes.numpy().reshape(-1, columns.codes.shape[2]), axis=1, bitorder="little")[:, :d]
    return torch.tensor(2.0 * bits - 1) * columns.scales.double().reshape(-1, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 20), st.integers(1, 3), st.integers(1, 9), st.integers(0, 2**31))
def test_products_are_those_of_the_unpacked_signs(d, k, c, n, seed):
    generator = torch.Generator().manual_seed(seed)
    columns, vectors = coded(generator, n, c, d), torch.randn(d, k, generator=generator)
    expected = unpacked(columns, d) @ vectors.double()
    found = sign_table(vectors).products(columns).flatten(0, 1)
    largest = (unpacked(columns, d).abs() @ vectors.double().abs()).max()
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 * float(largest))


def test_neither_the_block_nor_its_neighbours_change_a_product(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    columns, vectors = coded(generator, 37, 2, 33), torch.randn(33, 5, generator=generator)
    whole = sign_table(vectors).products(columns)
    monkeypatch.setattr(signs, "COLUMNS_AT_ONCE", 7)
    assert torch.equal(sign_table(vectors).products(columns), whole)
    some = SignColumns(columns.codes[10:13], columns.scales[10:13])
    assert torch.equal(sign_table(vectors).products(some), whole[10:13])


def scores_from_bits(prepared, factors):
    sums = ScoreSums(prepared.num_queries, len(factors.left.codes))
    prepared.add_sign_scores(sums, factors)
    return sums.total()


@pytest.mark.parametrize("num_queries", [1, 3])
def test_scores_from_bits_are_those_of_the_matrices(num_queries):
    generator = torch.Generator().manual_seed(1)
    factors = SignFactors(coded(generator, 50, 2, 40), coded(generator, 50, 2, 24))
    matrices = torch.randn(num_queries, 40, 3, generator=generator) @ torch.randn(
        num_queries, 3, 24, generator=generator
    )
    prepared = prepare_queries(matrices, rank_limit=10)
    assert prepared.plan == "factored"
    assert prepared.reads_signs
    left, right = unpacked(factors.left, 40).view(50, 2, 40), unpacked(factors.right, 24).view(50, 2, 24)
    expected = torch.einsum("nci,qij,ncj->qn", left, matrices.double(), right)
    found = scores_from_bits(prepared, factors)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    some = SignFactors(
        SignColumns(factors.left.codes[5:9], factors.left.scales[5:9]),
        SignColumns(factors.right.codes[5:9], factors.right.scales[5:9]),
    )
    torch.testing.assert_close(scores_from_bits(prepared, some), found[:, 5:9], rtol=0, atol=0)
