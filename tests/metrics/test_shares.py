import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.metrics import shares
from lorif_core.metrics.shares import shares_of_total

SLACK = 1e-12


def amounts(num_queries, num_holders, *, seed=0):
    """Skewed, with zeros, as the positive parts of scores are."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((num_queries, num_holders)) ** 3).clamp_min(0)


def slow_interval(values, num_resamples=4000):
    """Percentiles of the shares when whole queries are drawn again, one resample at a time."""
    generator = np.random.default_rng(7)
    drawn = []
    for _ in range(num_resamples):
        rows = [values[generator.integers(len(values))] for _ in values]
        total = sum(float(row.sum()) for row in rows)
        drawn.append([sum(float(row[holder]) for row in rows) / total for holder in range(values.shape[1])])
    return np.percentile(drawn, [2.5, 97.5], axis=0)


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), min_size=1, max_size=6))
def test_shares_are_parts_of_the_whole_sum(table):
    found = shares_of_total(torch.tensor(table, dtype=torch.float64))
    total = sum(map(sum, table))
    columns = [sum(column) for column in zip(*table, strict=True)]
    assert found.share.tolist() == pytest.approx([one / total if total else 0 for one in columns], abs=1e-9)
    assert float(found.share.sum()) == pytest.approx(1 if total else 0)
    assert bool((found.low >= 0).all() and (found.low <= found.high).all() and (found.high <= 1 + SLACK).all())


def test_nothing_to_share_gives_shares_of_zero():
    assert [part.tolist() for part in shares_of_total(torch.zeros(4, 3))] == [[0, 0, 0]] * 3


def test_a_query_without_any_amount_has_no_say():
    """Resamples that hold only such a query divide nothing."""
    found = shares_of_total(torch.tensor([[0.0, 0.0], [1.0, 3.0]]))
    assert found.share.tolist() == [0.25, 0.75]
    assert found.low.tolist() == [0, 0]
    assert found.high.tolist() == [0.25, 0.75]


def test_the_interval_is_that_of_a_bootstrap_over_queries():
    values = amounts(15, 3)
    found = shares_of_total(values)
    low, high = slow_interval(values.numpy())
    # The Monte Carlo error of a 2.5 % quantile of 1000 draws is about 2.5 times the spread over the root of 1000.
    spread = float((found.high - found.low).max()) / 4
    assert np.abs(found.low.numpy() - low).max() < 0.25 * spread
    assert np.abs(found.high.numpy() - high).max() < 0.25 * spread


def test_the_interval_contains_the_share():
    for seed in range(20):
        found = shares_of_total(amounts(12, 4, seed=seed))
        assert bool((found.low <= found.share + SLACK).all() and (found.share <= found.high + SLACK).all()), seed


def test_about_19_of_20_intervals_contain_the_share_of_all_possible_queries():
    covered = []
    for seed in range(100):
        found = shares_of_total(amounts(80, 4, seed=seed))  # four holders alike: a quarter each
        covered.append(((found.low <= 0.25) & (found.high >= 0.25)).double().mean())
    assert 0.88 < float(torch.stack(covered).mean()) < 0.99


def test_the_interval_shrinks_with_the_root_of_the_number_of_queries():
    few, many = (shares_of_total(amounts(count, 4)) for count in (50, 5000))
    ratio = float((few.high - few.low).mean() / (many.high - many.low).mean())
    assert 6 < ratio < 16  # ten times, but for chance


@pytest.mark.parametrize("num_queries", [1, 9])
def test_queries_that_agree_leave_no_doubt(num_queries):
    found = shares_of_total(torch.tensor([[1.0, 2.0, 5.0]]).expand(num_queries, 3))
    assert [part.tolist() for part in found] == [pytest.approx([0.125, 0.25, 0.625])] * 3


def test_shares_repeat_with_the_seed_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, other, moved = (shares_of_total(amounts(9, 3), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.low, other.low)
    assert not torch.equal(one.low, moved.low)
    assert torch.equal(one.share, moved.share)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_share_depends_neither_on_the_unit_nor_on_the_order_of_the_holders(monkeypatch):
    """More holders than are resampled at a time."""
    values = amounts(6, 21)
    monkeypatch.setattr(shares, "HOLDERS_PER_BLOCK", 8)
    order = torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(0))
    plain, shuffled = shares_of_total(values), shares_of_total(1000 * values[:, order])
    assert plain.share.shape == (21,)
    for one, other in zip(plain, shuffled, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one[order], other, rtol=1e-9, atol=1e-15)


def test_amounts_of_half_precision_are_added_in_float64():
    values = amounts(8, 3)
    found = shares_of_total(values.float())
    assert found.share.dtype == torch.float64
    torch.testing.assert_close(
        found.share, values.float().double().sum(0) / values.float().double().sum(), rtol=1e-14, atol=0
    )
