"""Many queries side by side, beside a double loop over whole matrices in float64."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.linalg import query_batch
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.query_batch import BatchedQueries, cut_batch, join_batches
from lorif_core.linalg.scores import RANK_TOLERANCE, DirectQueries, FactoredQueries, ScoreSums, prepare_queries
from lorif_core.linalg.signs import SignColumns, SignFactors

D_IN, D_OUT, N, TERMS = 20, 13, 11, 3
RANKS = (2, 0, 5, 1, 3)
SIGN = column_codec("sign")


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(ranks=RANKS, seed=0):
    return BatchedQueries(random(seed, D_IN, sum(ranks)), random(seed + 1, D_OUT, sum(ranks)), tuple(ranks))


def whole(queries):
    """Q' of each query, float64, column by column."""
    matrices, place = [], 0
    for rank in queries.ranks:
        found = np.zeros((D_IN, D_OUT))
        for _ in range(rank):
            found += np.outer(queries.left[:, place].double().numpy(), queries.right[:, place].double().numpy())
            place += 1
        matrices.append(found)
    return matrices


def double_loop(matrices, left, right):
    """⟨Q', Σ left rightᵀ⟩ of every pair."""
    scores = np.zeros((len(matrices), len(left)))
    for (q, matrix), n, c in itertools.product(enumerate(matrices), range(len(left)), range(left.shape[1])):
        scores[q, n] += left[n, c] @ matrix @ right[n, c]
    return scores


def coded(rows, scaled=True):
    found = SIGN.encode(rows)
    return SignColumns(found.codes, found.scales if scaled else None)


def unpacked(columns, d):
    bits = np.unpackbits(columns.codes.numpy(), axis=2, bitorder="little")[:, :, :d]
    scales = 1 if columns.scales is None else columns.scales.double().numpy()[:, :, None]
    return (2.0 * bits - 1) * scales


def close(found, wanted):
    np.testing.assert_allclose(found.double().numpy(), wanted, rtol=0, atol=2e-6 * max(np.abs(wanted).max(), 1e-30))


def scores_of(queries, add, num_examples=N):
    sums = ScoreSums(queries.num_queries, num_examples)
    add(sums)
    return sums.total()


@given(ranks=st.lists(st.integers(0, 6), min_size=1, max_size=9), at_once=st.integers(1, 12), scaled=st.booleans())
@settings(deadline=None)
def test_scores_of_sign_codes_are_those_of_a_double_loop(ranks, at_once, scaled):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_batch, "VECTORS_AT_ONCE", at_once)
        patch.setattr(query_batch, "SIGN_COLUMNS_AT_ONCE", 4 * TERMS)
        queries = batch(ranks)
        block = SignFactors(coded(random(2, N, TERMS, D_IN)), coded(random(3, N, TERMS, D_OUT), scaled))
        found = scores_of(queries, lambda sums: queries.add_sign_scores(sums, block))
    close(found, double_loop(whole(queries), unpacked(block.left, D_IN), unpacked(block.right, D_OUT)))


@pytest.mark.parametrize("at_once", [1, 4, 512])
def test_scores_of_numbers_are_those_of_a_double_loop(monkeypatch, at_once):
    monkeypatch.setattr(query_batch, "COLUMNS_AT_ONCE", at_once)
    queries, left, right = batch(), random(2, N, TERMS, D_IN), random(3, N, TERMS, D_OUT)
    found = scores_of(queries, lambda sums: queries.add_scores(sums, Factors(left, right)))
    close(found, double_loop(whole(queries), left.double().numpy(), right.double().numpy()))


class StoredColumns:
    """Columns as signs, or as numbers."""

    def __init__(self, left, places, is_signs):
        self._coded, self.places, self._is_signs = coded(left), places, is_signs
        self._left = torch.from_numpy(unpacked(self._coded, D_IN)).float()

    def decoded(self):
        return Columns(self._left, self.places, D_OUT)

    def signs(self):
        return self._coded if self._is_signs else None


@pytest.mark.parametrize("is_signs", [False, True])
def test_scores_of_columns_are_those_of_a_double_loop(monkeypatch, is_signs):
    monkeypatch.setattr(query_batch, "NUMBERS_AT_ONCE", 40)
    queries, places = batch(), torch.randint(D_OUT, (N, TERMS), generator=torch.Generator().manual_seed(4))
    block = StoredColumns(random(2, N, TERMS, D_IN), places, is_signs)
    found = scores_of(queries, lambda sums: queries.add_column_scores(sums, block))
    one_hot = np.eye(D_OUT)[places.numpy()]
    close(found, double_loop(whole(queries), block.decoded().left.double().numpy(), one_hot))


def test_filled_up_they_are_the_same_queries():
    queries, left, right = batch(), random(2, N, TERMS, D_IN), random(3, N, TERMS, D_OUT)
    filled = queries.filled()
    assert filled.rank == max(RANKS)
    found = scores_of(queries, lambda sums: filled.add_scores(sums, Factors(left, right)))
    close(found, double_loop(whole(queries), left.double().numpy(), right.double().numpy()))


def low_rank(seed, rank, num_queries=4):
    scales = 0.4 ** torch.arange(rank)
    return (random(seed, num_queries, D_IN, rank) * scales) @ random(seed + 1, num_queries, rank, D_OUT)


def prepared(rank=5):
    matrices = {"one": low_rank(0, rank), "two": 0.1 * low_rank(7, rank)}
    return matrices, {name: prepare_queries(one, rank_limit=100, plan=None) for name, one in matrices.items()}


@pytest.mark.parametrize("tolerance", [RANK_TOLERANCE, 0.01, 0.1, 0.5])
def test_what_is_left_out_of_a_query_is_its_weakest_part_over_all_modules(tolerance):
    matrices, laid_out = prepared(3)
    assert all(isinstance(one, FactoredQueries) for one in laid_out.values())
    cut = cut_batch(laid_out, tolerance)
    for query in range(4):
        exact = [one[query].double().numpy() for one in matrices.values()]
        kept = [whole(cut.modules[name])[query] for name in matrices]
        values = np.sort(np.concatenate([np.linalg.svd(one, compute_uv=False) for one in exact]) ** 2)
        norm, lost = values.sum(), sum(((a - b) ** 2).sum() for a, b in zip(exact, kept, strict=True))
        best = values.cumsum()[values.cumsum() <= tolerance**2 * norm]
        # The best that any cut of so little loses, and no more; float32 leaves 1e-6 of the norm everywhere.
        assert lost**0.5 == pytest.approx((best[-1] if len(best) else 0) ** 0.5, abs=3e-6 * norm**0.5)
        assert float(cut.left_out[query]) == pytest.approx((lost / norm) ** 0.5, abs=3e-6)
        assert float(cut.left_out[query]) <= tolerance


def test_more_is_left_out_of_what_has_more_to_leave_out():
    _, laid_out = prepared(3)
    exact, rough = (cut_batch(laid_out, one).modules for one in (RANK_TOLERANCE, 0.2))
    assert sum(sum(one.ranks) for one in rough.values()) < sum(sum(one.ranks) for one in exact.values())


@pytest.mark.parametrize("first_rank", [3, D_OUT])
def test_joined_queries_are_all_of_them_in_their_order(first_rank):
    given_ranks = (first_rank, 3, D_OUT)
    matrices = [low_rank(10 * place, rank, 2) for place, rank in enumerate(given_ranks)]
    parts = [cut_batch({"m": prepare_queries(one, rank_limit=100)}).modules["m"] for one in matrices]
    assert {type(one) for one in parts} == {BatchedQueries, DirectQueries}
    joined = join_batches(parts)
    left, right = random(2, N, TERMS, D_IN), random(3, N, TERMS, D_OUT)
    found = scores_of(joined, lambda sums: joined.add_scores(sums, Factors(left, right)))
    exact = [one.double().numpy() for some in matrices for one in some]
    wanted = double_loop(exact, left.double().numpy(), right.double().numpy())
    # A bound of each score by what may be left out, and rounding.
    np.testing.assert_allclose(found.double().numpy(), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_whole_matrices_stay_whole_side_by_side():
    parts = [DirectQueries(random(seed, D_IN, 2 * D_OUT), 2) for seed in (0, 1)]
    joined = join_batches(parts)
    assert isinstance(joined, DirectQueries)
    assert joined.num_queries == 4
    assert torch.equal(joined.matrix, torch.cat([one.matrix for one in parts], 1))
