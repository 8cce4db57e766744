"""Columns of an output head in a shard: written, read back, multiplied with queries as they lie there."""

import pytest
import torch

from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.scores import DirectQueries, FactoredQueries, ScoreSums
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import CodedColumns, column_bytes, decode_block, encode_block, tensor_names

D, M, N = 13, 3, 300


def head(width):
    return ModuleShape("lm_head", D, width, D, width, "columns")


def columns_of(width, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.stack([torch.randperm(width, generator=generator)[:M] for _ in range(N)])
    places[0] = torch.tensor([0, width - 1, width // 2])
    return Columns(torch.randn(N, M, D, generator=generator), places, width)


@pytest.mark.parametrize("width", [40, 65_536, 65_537])
def test_every_place_comes_back_and_takes_the_bytes_that_are_counted(width):
    block, codec = columns_of(width), column_codec("sign")
    coded = encode_block(block, "lm_head", codec)
    assert sorted(coded) == sorted(tensor_names(head(width), codec, "factors"))
    found = decode_block(coded, head(width), codec, "factors")
    assert isinstance(found, Columns)
    assert torch.equal(found.places, block.places)
    assert torch.equal(found.left.sign(), block.left.sign())
    assert sum(one.nbytes for one in coded.values()) == N * M * column_bytes(codec, head(width))


@pytest.mark.parametrize("codec", ["sign", "int8", "bf16"])
@pytest.mark.parametrize("num_queries", [1, 3])
@pytest.mark.parametrize("is_factored", [False, True])
def test_scores_are_the_products_of_the_decoded_matrices(codec, num_queries, is_factored, monkeypatch):
    monkeypatch.setattr("lorif_core.linalg.scores.NUMBERS_AT_ONCE", 500)  # several pieces, the last one shorter
    module, codec = head(40), column_codec(codec)
    coded = CodedColumns(encode_block(columns_of(40), "lm_head", codec), module, codec)
    generator = torch.Generator().manual_seed(5)
    left = torch.randn(num_queries, D, 2, generator=generator)
    right = torch.randn(num_queries, 40, 2, generator=generator)
    whole = left @ right.mT
    if is_factored:
        queries = FactoredQueries(
            left.transpose(0, 1).reshape(D, -1), right.transpose(0, 1).reshape(40, -1), num_queries
        )
    else:
        queries = DirectQueries(whole.transpose(0, 1).reshape(D, -1), num_queries)
    sums = ScoreSums(num_queries, N)
    queries.add_column_scores(sums, coded)
    expected = torch.einsum("qio,nio->qn", whole.double(), coded.decoded().dense().double())
    torch.testing.assert_close(sums.total().double(), expected, rtol=1e-4, atol=1e-4)
