"""Rankings by parts: the same lists, sums and ties as a plain sort of all scores."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.metrics.spread import SAMPLE_SCORES
from lorif_core.passes.ranking import Lengths, Ranking, rank_part

MANY_TIES = st.lists(st.lists(st.integers(-2, 2), min_size=1, max_size=9), min_size=1, max_size=6)
"""Scores of each part; few values, so that lists end among equal ones."""


def ranked(parts, lengths):
    """Both ways: all scores in one process, and parts that others ranked."""
    num_all = sum(part.shape[1] for part in parts)
    whole, merged = (Ranking.empty(len(parts[0]), lengths) for _ in range(2))
    start = 0
    for scores in parts:
        whole.add(start, scores)
        merged.merge(rank_part(start, scores, lengths, num_all))
        start += scores.shape[1]
    return whole, merged


@given(parts=MANY_TIES, k=st.integers(1, 12), num_opposing=st.integers(0, 12))
def test_both_ends_are_those_of_a_sort_by_score_and_then_by_row(parts, k, num_opposing):
    tensors = [torch.tensor([part, part[::-1]]).float() for part in parts]
    scores = torch.cat(tensors, 1).tolist()
    assert len(scores) == 2
    for ranking in ranked(tensors, Lengths(k, num_opposing)):
        for query, row in enumerate(scores):
            for found, sign, count in ((ranking.supports, 1, k), (ranking.opposes, -1, num_opposing)):
                wanted = sorted(range(len(row)), key=lambda place: (-sign * row[place], place))[:count]
                rows, values = found.of_query(query)
                assert rows.tolist() == wanted
                assert values.tolist() == [sign * row[place] for place in wanted]
            assert ranking.positive_total[query] == sum(score for score in row if score > 0)


@pytest.mark.parametrize("num_texts", [50, SAMPLE_SCORES + 1, 2 * SAMPLE_SCORES + 77])
def test_the_spread_is_that_of_one_pass_also_where_a_sample_stands_for_the_scores(num_texts):
    scores = torch.randn(1, num_texts, generator=torch.Generator().manual_seed(num_texts))
    whole, merged = ranked(scores.split(num_texts // 7, 1), Lengths(5, 5))
    assert merged.spreads[0].spread() == whole.spreads[0].spread()
