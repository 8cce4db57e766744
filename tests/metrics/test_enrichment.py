"""Groups among the top k against chance, and sums by group: by counting all draws in fractions, and by loops."""

from fractions import Fraction
from itertools import combinations
from math import comb, fsum, isnan, sqrt
from statistics import mean, stdev

import numpy as np
import pytest
from scipy.stats import hypergeom

from lorif_core.metrics.enrichment import enrichment
from lorif_core.metrics.group_sums import sum_intervals, sums_by_group, top_rows

CASES = [(7, 3, 4), (8, 8, 3), (9, 1, 5), (6, 0, 2), (10, 4, 10)]
"""Texts, of the group, top k."""


def tails_by_drawing(num_texts, size, k, observed):
    """P(X ≥ x) and P(X ≤ x) by looking at every possible top k; the group is the first texts."""
    counts = [sum(one < size for one in drawn) for drawn in combinations(range(num_texts), k)]
    return (
        Fraction(sum(one >= observed for one in counts), len(counts)),
        Fraction(sum(one <= observed for one in counts), len(counts)),
    )


@pytest.mark.parametrize(("num_texts", "size", "k"), CASES)
def test_tails_are_the_shares_of_all_draws(num_texts, size, k):
    observed = np.arange(max(0, k + size - num_texts), min(k, size) + 1)
    found = enrichment(np.full(len(observed), size), observed, num_texts, k)
    drawn = [tails_by_drawing(num_texts, size, k, one) for one in observed]
    assert found.p_more.tolist() == pytest.approx([float(more) for more, _ in drawn], rel=1e-12)
    assert found.p_fewer.tolist() == pytest.approx([float(fewer) for _, fewer in drawn], rel=1e-12)
    assert set(found.expected) == {k * size / num_texts}


def test_tails_of_a_large_corpus_are_exact():
    num_texts, size, k, observed = 20_000, 539, 200, 19
    found = enrichment(np.array([size]), np.array([observed]), num_texts, k)
    exact = sum(
        Fraction(comb(size, one) * comb(num_texts - size, k - one), comb(num_texts, k))
        for one in range(observed, k + 1)
    )
    assert found.p_more[0] == pytest.approx(float(exact), rel=1e-9)
    assert found.fold[0] == pytest.approx(observed / (k * size / num_texts))


def test_the_range_by_chance_is_the_central_95_percent():
    sizes = np.array([539, 20, 3, 1000, 1])
    found = enrichment(sizes, np.array([0, 0, 0, 10, 0]), 5000, 100)
    low, high = hypergeom.interval(0.95, 5000, sizes, 100)
    assert found.low.tolist() == low.astype(int).tolist()
    assert found.high.tolist() == high.astype(int).tolist()


def test_what_stands_out_counts_how_many_groups_were_looked_at():
    def of(num_groups):
        rest = [100] * (num_groups - 1)
        return enrichment(np.array([100, *rest]), np.array([5, *([1] * len(rest))]), 10_000, 100).stands_out[0]

    assert (of(1), of(400)) == (1, 0)
    rare = enrichment(np.array([5000, 5000]), np.array([95, 5]), 10_000, 100)
    assert rare.stands_out.tolist() == [1, -1]


def test_nothing_is_said_of_no_groups():
    found = enrichment(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 10, 2)
    assert [len(one) for one in found] == [0] * len(found)


def test_sums_means_and_intervals_by_group():
    generator = np.random.default_rng(0)
    scores = (generator.standard_t(3, 400) * 1000).astype(np.float32)
    codes = generator.integers(0, 5, 400).astype(np.int32)
    codes[codes == 4] = 3
    codes[7] = 4  # a group of one text; group 5 is empty
    found = sums_by_group(scores, codes, 6)
    for group in range(5):
        own = [float(score) for score, code in zip(scores, codes, strict=True) if code == group]
        assert found.sizes[group] == len(own)
        assert found.total[group] == pytest.approx(fsum(own), rel=1e-12)
        assert found.positive[group] == pytest.approx(fsum(one for one in own if one > 0), rel=1e-12)
        if len(own) > 1:
            reach = 1.959963984540054 * stdev(own) / sqrt(len(own))
            assert found.mean_low[group] == pytest.approx(mean(own) - reach, rel=1e-9)
            assert found.mean_high[group] == pytest.approx(mean(own) + reach, rel=1e-9)
    assert isnan(found.mean_low[4])
    assert (found.sizes[5], found.total[5], found.mean[5]) == (0, 0.0, 0.0)


def test_a_float32_sum_would_be_seen():
    scores = np.array([1e8, 1.0, -1e8, 1.0] * 50, dtype=np.float32)
    found = sums_by_group(scores, np.zeros(200, dtype=np.int32), 1)
    assert found.total[0] == 100.0


@pytest.mark.parametrize("k", [1, 3, 5, 8, 20])
def test_the_top_is_by_score_then_by_row(k):
    scores = np.array([2, 5, 5, -1, 5, 2, 0, 2, 9], dtype=np.float32)
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
    assert top_rows(scores, k).tolist() == expected


def test_the_interval_of_a_sum_draws_questions_anew():
    values = np.random.default_rng(1).standard_normal((9, 3)) * [1, 10, 100]
    low, high = sum_intervals(values, seed=4)
    generator = np.random.default_rng(4)
    drawn = generator.integers(9, size=(1000, 9))
    for group in range(3):
        sums = sorted(fsum(values[question, group] for question in row) for row in drawn)
        at = [0.025 * 999, 0.975 * 999]
        ends = [sums[int(one)] + (one % 1) * (sums[int(one) + 1] - sums[int(one)]) for one in at]
        assert [low[group], high[group]] == pytest.approx(ends, rel=1e-9)
        assert low[group] <= values[:, group].sum() <= high[group]
    assert np.isnan(sum_intervals(values[:1])).all()
