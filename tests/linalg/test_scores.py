import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import best_rank

from lorif_core.errors import NumericalError
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.scores import (
    RANK_TOLERANCE,
    FactoredQueries,
    ScoreSums,
    TopK,
    check_finite_scores,
    choose_plan,
    prepare_queries,
    score_dense_rows,
)

PLANS = ["direct", "factored"]
sizes = st.integers(1, 6)


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score(prepared, *blocks):
    """Scores over some modules, for all of which the same queries stand."""
    sums = ScoreSums(prepared.num_queries, len(blocks[0].left), blocks[0].left.dtype)
    for block in blocks:
        prepared.add_scores(sums, block)
    return sums.total()


def scores_by_hand(matrices, block):
    """Σ_ij Q'_ij (left rightᵀ)_ij, one pair at a time."""
    scores = torch.zeros(len(matrices), len(block.left), dtype=torch.float64)
    for q in range(len(matrices)):
        for n in range(len(block.left)):
            rebuilt = sum(torch.outer(a, b) for a, b in zip(block.left[n], block.right[n], strict=True))
            scores[q, n] = (matrices[q] * rebuilt).sum()
    return scores


@pytest.mark.parametrize("plan", [*PLANS, None])
@given(q=sizes, n=sizes, d_in=sizes, d_out=sizes, rank=st.integers(1, 3), seed=st.integers(0, 999))
def test_every_plan_equals_the_double_loop(plan, q, n, d_in, d_out, rank, seed):
    matrices = draw(seed, q, d_in, d_out)
    block = Factors(draw(seed + 1, n, rank, d_in), draw(seed + 2, n, rank, d_out))
    found = score(prepare_queries(matrices, plan=plan), block)
    torch.testing.assert_close(found, scores_by_hand(matrices, block), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("plan", [*PLANS, None])
@pytest.mark.parametrize("query_rank", [1, 2, 4, 5, 99])
def test_a_query_rank_keeps_the_leading_singular_directions(plan, query_rank):
    matrices = draw(0, 3, 7, 5)
    block = Factors(draw(1, 6, 2, 7), draw(2, 6, 2, 5))
    found = score(prepare_queries(matrices, query_rank=query_rank, plan=plan), block)
    truncated = torch.stack([best_rank(matrix, query_rank) for matrix in matrices])
    torch.testing.assert_close(found, scores_by_hand(truncated, block), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("num_queries", [1, 3])
def test_scores_of_modules_of_any_width_add_up(plan, num_queries):
    sums, wanted = ScoreSums(num_queries, 6, torch.float64), torch.zeros(num_queries, 6, dtype=torch.float64)
    for seed, (rank, d_in, d_out) in enumerate([(2, 7, 5), (2, 4, 5), (1, 7, 5), (2, 7, 5), (5, 3, 2), (1, 3, 10)]):
        matrices = draw(seed, num_queries, d_in, d_out)
        block = Factors(draw(seed + 10, 6, rank, d_in), draw(seed + 20, 6, rank, d_out))
        prepare_queries(matrices, plan=plan).add_scores(sums, block)
        wanted += scores_by_hand(matrices, block)
    torch.testing.assert_close(sums.total(), wanted, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(sums.total(), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("plan", PLANS)
def test_scoring_leaves_queries_and_stored_factors_alone(plan):
    matrices, block = draw(0, 3, 7, 5), Factors(draw(1, 6, 2, 7), draw(2, 6, 2, 5))
    before = matrices.clone(), block.left.clone(), block.right.clone()
    prepared = prepare_queries(matrices, plan=plan)
    first, second = score(prepared, block), score(prepared, block)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, (matrices, block.left, block.right), strict=True))


@pytest.mark.parametrize("plan", PLANS)
def test_scores_are_linear_in_the_query(plan):
    matrices, block = draw(0, 2, 7, 5), Factors(draw(1, 6, 2, 7), draw(2, 6, 2, 5))
    combined = score(prepare_queries((2 * matrices[0] - 3 * matrices[1]).unsqueeze(0), plan=plan), block)[0]
    first, second = score(prepare_queries(matrices, plan=plan), block)
    torch.testing.assert_close(combined, 2 * first - 3 * second)


@pytest.mark.parametrize("plan", PLANS)
def test_many_examples_are_scored_as_a_few_are(plan):
    matrices = draw(0, 2, 3, 4).float()
    block = Factors(draw(1, 20_000, 1, 3).float(), draw(2, 20_000, 1, 4).float())
    prepared = prepare_queries(matrices, plan=plan)
    pieces = [
        score(prepared, Factors(block.left[start : start + 777], block.right[start : start + 777]))
        for start in range(0, 20_000, 777)
    ]
    torch.testing.assert_close(score(prepared, block), torch.cat(pieces, 1), rtol=1e-5, atol=1e-5)


def low_rank(seed, *ranks):
    """One (90, 120) matrix per rank, as of queries of so many tokens."""
    return torch.stack([draw(seed, 90, rank) @ draw(seed + 1, rank, 120) for rank in ranks])


@pytest.mark.parametrize("ranks", [(3,), (0, 1, 5), (40, 3)])
def test_queries_of_few_tokens_are_scored_through_their_rank_and_exactly(ranks):
    matrices, block = low_rank(0, *ranks), Factors(draw(1, 6, 2, 90), draw(2, 6, 2, 120))
    prepared = prepare_queries(matrices, rank_limit=1000)
    assert isinstance(prepared, FactoredQueries)
    assert prepared.rank == max(ranks)
    torch.testing.assert_close(score(prepared, block), scores_by_hand(matrices, block), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("decay", [0.3, 0.7])
def test_what_is_left_out_of_a_query_moves_no_score_by_more_than_the_tolerance(decay):
    u, v = torch.linalg.qr(draw(3, 90, 90)).Q, torch.linalg.qr(draw(4, 120, 90)).Q
    matrices = ((u * decay ** torch.arange(90, dtype=torch.float64)) @ v.mT).unsqueeze(0)
    prepared = prepare_queries(matrices, rank_limit=1000)
    assert isinstance(prepared, FactoredQueries)
    kept = prepared.left @ prepared.right.mT
    worst = torch.linalg.svd(matrices[0] - kept)  # the example that feels the difference most
    block = Factors(worst.U[:, :1].T.unsqueeze(0).contiguous(), worst.Vh[:1].unsqueeze(0).contiguous())
    error = (score(prepared, block) - scores_by_hand(matrices, block)).abs()
    assert 0 < error.item() <= RANK_TOLERANCE * torch.linalg.matrix_norm(matrices).item()
    assert prepared.rank <= math.ceil(math.log(RANK_TOLERANCE / 2) / math.log(decay))


@pytest.mark.parametrize(
    ("ranks", "rank_limit"), [((90,), 1000), ((60,), 1000), ((40,), 39), ((3, 90), 1000), ((3,), 0)]
)
def test_a_query_whose_rank_does_not_pay_is_scored_directly(ranks, rank_limit):
    matrices, block = low_rank(0, *ranks), Factors(draw(1, 6, 2, 90), draw(2, 6, 2, 120))
    prepared = prepare_queries(matrices, rank_limit=rank_limit)
    assert prepared.plan == "direct"
    torch.testing.assert_close(score(prepared, block), scores_by_hand(matrices, block), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rank", [1, 3, 300])
def test_many_queries_are_scored_as_one_by_one(rank):
    matrices, block = draw(0, 200, 6, 5), Factors(draw(1, 4, 2, 6), draw(2, 4, 2, 5))
    together = score(prepare_queries(matrices, query_rank=rank, plan="factored"), block)
    alone = [score(prepare_queries(one, query_rank=rank, plan="factored"), block) for one in matrices.split(1)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_dense_rows_score_by_their_inner_products():
    matrices, rows = draw(0, 2, 7, 5), draw(1, 3, 7, 5)
    wanted = torch.tensor([[(a * b).sum() for b in rows] for a in matrices], dtype=torch.float64)
    torch.testing.assert_close(score_dense_rows(matrices, rows), wanted)


@pytest.mark.parametrize(
    ("d_in", "d_out", "query_rank", "expected"),
    [(100, 100, 1, "factored"), (100, 100, 100, "direct"), (1, 100, 1, "direct"), (100, 100, 49, "factored")],
)
def test_the_plan_with_fewer_multiplications_is_chosen(d_in, d_out, query_rank, expected):
    assert choose_plan(d_in, d_out, query_rank) == expected


def top_by_full_sort(scores, k):
    """(row, score) sorted by score descending, then by row."""
    return sorted(enumerate(scores), key=lambda pair: (-pair[1], pair[0]))[:k]


few_values = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0])  # few, so that ties are common


@given(
    scores=st.lists(st.lists(few_values, min_size=23, max_size=23), min_size=1, max_size=3),
    k=st.integers(0, 30),
    cuts=st.lists(st.integers(1, 22), unique=True).map(sorted),
)
def test_streaming_top_k_equals_a_full_sort_with_ties_by_row(scores, k, cuts):
    top = TopK(len(scores), k)
    table = torch.tensor(scores)
    for start, stop in zip([0, *cuts], [*cuts, 23], strict=True):
        top.add(table[:, start:stop], start)
    assert 1 <= len(scores) <= 3
    for query, row_scores in enumerate(scores):
        rows, values = top.of_query(query)
        assert list(zip(rows.tolist(), values.tolist(), strict=True)) == top_by_full_sort(row_scores, k)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40), st.integers(1, 45), st.integers(1, 40))
def test_top_k_of_any_scores_equals_a_full_sort(scores, k, chunk):
    top = TopK(1, k)
    for start in range(0, len(scores), chunk):
        top.add(torch.tensor([scores[start : start + chunk]]), start)
    rows, values = top.of_query(0)
    assert list(zip(rows.tolist(), values.tolist(), strict=True)) == top_by_full_sort(scores, k)


def test_top_k_before_any_score_is_empty():
    rows, values = TopK(2, 5).of_query(1)
    assert len(rows) == len(values) == 0


def test_finite_scores_pass():
    check_finite_scores(torch.tensor([[1.0, -1e30]]), shard=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_counted_and_placed(bad):
    with pytest.raises(NumericalError, match=r"1 of 4 scores are not finite, first in shard 7: raise the damping"):
        check_finite_scores(torch.tensor([[1.0, 2.0], [bad, 3.0]]), shard=7)
