import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.errors import ConfigError, DataError, NumericalError
from lorif_core.metrics.correlation import (
    _resampled_spearman,
    bootstrap_interval,
    lds_difference,
    lds_intervals,
    mean_ranks,
    partial_lds_intervals,
    spearman,
    topk_overlap,
)


def slow_spearman(a, b):
    """Ranks by sorting and averaging, then Pearson by the textbook."""

    def ranks(values):
        ordered = sorted(values)
        first = {}
        for place, value in enumerate(ordered, start=1):
            first.setdefault(value, []).append(place)
        return [sum(first[value]) / len(first[value]) for value in values]

    left, right = ranks(a), ranks(b)
    mean_left, mean_right = sum(left) / len(left), sum(right) / len(right)
    spread_left = math.sqrt(sum((one - mean_left) ** 2 for one in left))
    spread_right = math.sqrt(sum((one - mean_right) ** 2 for one in right))
    if not spread_left or not spread_right:
        return 0.0
    return sum((x - mean_left) * (y - mean_right) for x, y in zip(left, right, strict=True)) / (
        spread_left * spread_right
    )


def random_problem(rng, *, queries=5, train=12, subsets=20):
    scores = torch.randn(queries, train, generator=rng, dtype=torch.float64)
    masks = torch.rand(subsets, train, generator=rng) < 0.5
    losses = torch.randn(subsets, queries, generator=rng, dtype=torch.float64)
    return scores, masks, losses


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [5, 4, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),  # 1 - 6 Σd² / (n (n² - 1)) = 1 - 6·2/60
        ([1, 1, 2], [1, 2, 3], math.sqrt(3) / 2),  # ranks 1.5 1.5 3 against 1 2 3: 1.5 / √(1.5·2)
        ([7, 7, 7], [1, 2, 3], 0.0),
    ],
)
def test_spearman_of_hand_worked_lists(a, b, expected):
    got = spearman(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    assert float(got) == pytest.approx(expected, abs=1e-15)


values = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=12)


@given(values)
def test_spearman_equals_the_textbook_also_with_many_ties(pairs):
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    got = spearman(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    assert float(got) == pytest.approx(slow_spearman(a, b), abs=1e-12)


def test_spearman_works_along_the_last_axis_of_any_shape(rng):
    a, b = (torch.randn(2, 3, 7, generator=rng) for _ in range(2))
    got = spearman(a, b)
    assert got.shape == (2, 3)
    assert got.dtype == torch.float64
    for one, other, value in zip(a.flatten(0, 1), b.flatten(0, 1), got.flatten(), strict=True):
        assert float(value) == pytest.approx(slow_spearman(one.tolist(), other.tolist()), abs=1e-12)


def test_equal_values_share_their_mean_rank():
    assert mean_ranks(torch.tensor([3.0, 1.0, 3.0, 2.0, 3.0])).tolist() == [4, 1, 4, 2, 4]


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(NumericalError, match="1 of 3 are not"):
        spearman(torch.tensor([1.0, float("nan"), 2.0]), torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.usefixtures("unchecked_types")
def test_lists_of_different_length_are_refused():
    with pytest.raises(DataError, match="two equal shapes"):
        spearman(torch.zeros(3), torch.zeros(4))


def test_the_lds_of_a_linear_model_with_its_own_influence_is_exactly_one(rng):
    scores, masks, _ = random_problem(rng)
    losses = 3.0 - masks.double() @ scores.T
    assert lds_intervals(scores, masks, losses).per_query.tolist() == [1.0] * 5
    assert lds_intervals(-scores, masks, losses).per_query.tolist() == [-1.0] * 5
    result = lds_intervals(scores, masks, losses)
    assert (result.mean, result.queries_low, result.subsets_high) == (1.0, 1.0, 1.0)
    assert result.subsets_low == pytest.approx(1.0, abs=1e-12)


def test_lds_equals_the_double_loop(rng):
    scores, masks, losses = random_problem(rng)
    got = lds_intervals(scores, masks, losses).per_query
    for query in range(5):
        predicted = [
            -sum(float(scores[query, n]) for n in range(12) if masks[subset, n]) for subset in range(len(masks))
        ]
        assert float(got[query]) == pytest.approx(slow_spearman(predicted, losses[:, query].tolist()), abs=1e-12)


def test_the_interval_of_random_scores_contains_zero():
    rng = torch.Generator().manual_seed(1)
    result = lds_intervals(*random_problem(rng, queries=30, train=50, subsets=60))
    assert result.queries_low < 0 < result.queries_high
    assert result.subsets_low < 0 < result.subsets_high


def test_the_interval_over_subsets_is_that_of_resampling_them_one_draw_at_a_time(rng):
    """Same distribution, other random numbers: 2000 draws put an end of the interval within 0.03."""
    scores, masks, losses = random_problem(rng, queries=3, subsets=25)
    losses = losses.round(decimals=1)  # some ties
    draw = random.Random(0)
    means = []
    for _ in range(2000):
        rows = draw.choices(range(25), k=25)
        predicted = -(masks[rows].double() @ scores.T)
        means.append(sum(slow_spearman(predicted[:, q].tolist(), losses[rows, q].tolist()) for q in range(3)) / 3)
    means.sort()
    result = lds_intervals(scores, masks, losses, num_draws=4000)
    assert result.subsets_low == pytest.approx(means[50], abs=0.03)
    assert result.subsets_high == pytest.approx(means[1949], abs=0.03)


def test_counting_copies_equals_repeating_them():
    a, b = torch.tensor([3.0, 1.0, 3.0, 2.0, 5.0]), torch.tensor([1.0, 2.0, 4.0, 4.0, 3.0])
    counts = torch.tensor([[1, 0, 3], [1, 2, 0], [1, 2, 0], [1, 1, 0], [1, 0, 2]])
    got = _resampled_spearman(a, b, counts.double())
    assert got.shape == (3,)
    for draw, copies in enumerate(counts.T):
        expected = slow_spearman(a.repeat_interleave(copies).tolist(), b.repeat_interleave(copies).tolist())
        assert float(got[draw]) == pytest.approx(expected, abs=1e-12)


def test_intervals_repeat_with_the_seed_and_move_with_it(rng):
    problem = random_problem(rng)
    one, again, other = (lds_intervals(*problem, seed=seed) for seed in (1, 1, 2))
    assert (one.queries_low, one.subsets_low) == (again.queries_low, again.subsets_low)
    assert one.subsets_low != other.subsets_low


def slow_partial(predicted, known, measured):
    """Correlation of what least squares on the baseline's ranks leaves of the two other rankings."""
    ranks = [np.array([sum(b < a for b in one) + sum(b == a for b in one) / 2 for a in one]) for one in
             (predicted, known, measured)]  # fmt: skip
    design = np.stack([np.ones(len(known)), ranks[1]], 1)
    left = [one - design @ np.linalg.lstsq(design, one, rcond=None)[0] for one in (ranks[0], ranks[2])]
    norms = [np.linalg.norm(one) for one in left]
    return 0.0 if min(norms) < 1e-6 else float(left[0] @ left[1] / (norms[0] * norms[1]))


def test_partial_lds_is_the_correlation_of_what_the_baseline_leaves(rng):
    scores, masks, losses = random_problem(rng, queries=4, subsets=25)
    baseline = scores + torch.randn(scores.shape, generator=rng, dtype=torch.float64)
    losses = (losses - masks.double() @ (baseline + scores).T / 3).round(decimals=1)  # some ties
    got = partial_lds_intervals(scores, baseline, masks, losses)
    expected = [
        slow_partial(*(-(masks.double() @ one[q]).numpy() for one in (scores, baseline)), losses[:, q].numpy())
        for q in range(4)
    ]
    assert got.per_query.tolist() == pytest.approx(expected, abs=1e-12)
    assert got.mean == pytest.approx(sum(expected) / 4, abs=1e-12)
    assert max(abs(one) for one in expected) > 0.1


def test_the_interval_of_partial_lds_is_that_of_resampling_subsets_one_draw_at_a_time(rng):
    """Same distribution, other random numbers: 1000 draws put an end of the interval within 0.06."""
    scores, masks, losses = random_problem(rng, queries=2, subsets=25)
    baseline = scores + torch.randn(scores.shape, generator=rng, dtype=torch.float64)
    losses = losses - masks.double() @ (baseline + scores).T / 3
    draw = random.Random(0)
    means = []
    for _ in range(1000):
        rows = draw.choices(range(25), k=25)
        sides = [-(masks[rows].double() @ one.T) for one in (scores, baseline)]
        means.append(sum(slow_partial(sides[0][:, q], sides[1][:, q], losses[rows, q].numpy()) for q in range(2)) / 2)
    means.sort()
    result = partial_lds_intervals(scores, baseline, masks, losses, num_draws=2000)
    assert result.subsets_low == pytest.approx(means[25], abs=0.06)
    assert result.subsets_high == pytest.approx(means[974], abs=0.06)
    assert result.queries_low == pytest.approx(result.per_query.min().item(), abs=1e-12)


def test_nothing_is_left_where_the_baseline_says_it_all(rng):
    scores, masks, losses = random_problem(rng)
    for known in (scores, -2 * scores):
        assert partial_lds_intervals(scores, known, masks, losses).per_query.tolist() == [0.0] * 5
    baseline = torch.randn(5, 12, generator=rng, dtype=torch.float64)
    explained = -(masks.double() @ baseline.T)
    assert partial_lds_intervals(scores, baseline, masks, explained).per_query.tolist() == [0.0] * 5


def test_a_baseline_that_says_nothing_leaves_the_lds(rng):
    scores, masks, losses = random_problem(rng)
    plain, partial = lds_intervals(scores, masks, losses), partial_lds_intervals(scores, 0 * scores, masks, losses)
    torch.testing.assert_close(partial.per_query, plain.per_query, rtol=0, atol=1e-12)
    torch.testing.assert_close(partial.draws, plain.draws, rtol=0, atol=1e-12)


def test_a_difference_is_paired_over_subsets(rng):
    """Two scores with nearly one ranking differ by far less than either varies."""
    scores, masks, losses = random_problem(rng, subsets=40)
    near = scores + 0.01 * torch.randn(scores.shape, generator=rng, dtype=torch.float64)
    one, other = lds_intervals(scores, masks, losses), lds_intervals(near, masks, losses)
    found = lds_difference(one, other)
    assert found.value == one.mean - other.mean
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 0.2 * (one.subsets_high - one.subsets_low)
    assert lds_difference(one, one) == (0, 0, 0)


def test_a_difference_of_other_numbers_of_resamples_is_refused(rng):
    problem = random_problem(rng)
    with pytest.raises(DataError, match="got 1000 and 10"):
        lds_difference(lds_intervals(*problem), lds_intervals(*problem, num_draws=10))


@pytest.mark.usefixtures("unchecked_types")
def test_masks_of_other_train_examples_are_refused(rng):
    scores, masks, losses = random_problem(rng)
    with pytest.raises(DataError, match=r"got \(5, 11\), \(20, 12\) and \(20, 5\)"):
        lds_intervals(scores[:, 1:], masks, losses)


def test_the_interval_of_a_mean_is_close_to_that_of_the_normal_distribution(rng):
    sample = torch.randn(400, generator=rng, dtype=torch.float64) + 5
    low, high = bootstrap_interval(sample, 0, num_draws=4000)
    half = 1.96 * float(sample.std()) / 20
    assert low == pytest.approx(float(sample.mean()) - half, abs=0.015)
    assert high == pytest.approx(float(sample.mean()) + half, abs=0.015)


@pytest.mark.parametrize(("num_draws", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_a_bad_interval_is_refused(num_draws, level):
    with pytest.raises(ConfigError, match="must be"):
        bootstrap_interval(torch.ones(3), 0, num_draws=num_draws, level=level)


def test_overlap_is_the_shared_part_of_two_top_lists():
    a = torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]])
    b = torch.tensor([[4.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    assert topk_overlap(a, b, 2) == 0.25  # one of two, none of two
    assert topk_overlap(a, b, 4) == 1


def test_equal_scores_rank_in_order_of_position():
    assert topk_overlap(torch.zeros(1, 5), torch.tensor([[2.0, 1.0, 0.0, 0.0, 0.0]]), 2) == 1


@pytest.mark.parametrize("k", [0, 5])
def test_k_beyond_the_train_examples_is_refused(k):
    with pytest.raises(ConfigError, match="between 1 and the 4 train examples"):
        topk_overlap(torch.zeros(1, 4), torch.zeros(1, 4), k)


def test_sums_that_are_equal_but_for_their_rounding_are_ties_on_every_processor():
    """Thirds in another order: 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in their last bit."""
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.3, 0.2, 0.1]], dtype=torch.float64)
    masks = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()
    sums = (0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.1, 2 * 0.6)
    assert sums[0] != sums[1]
    losses = -torch.tensor(sums, dtype=torch.float64)[:, None]
    swapped = losses[[1, 0, 2, 3]]
    for measured in (losses, swapped):
        assert lds_intervals(scores, masks, measured).mean == pytest.approx(1, abs=1e-12)
