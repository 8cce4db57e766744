import math

import pytest
import torch

from lorif_core.metrics.spread import SAMPLE_SCORES, SpreadSums


def spread(scores, chunk=7, **options):
    sums = SpreadSums()
    for start in range(0, len(scores), chunk):
        sums.add(torch.tensor(scores[start : start + chunk]))
    return sums.spread(**options)


def normal(count, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)).tolist()


def test_z_counts_standard_deviations_from_the_mean():
    scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    deviation = math.sqrt(sum((one - 5) ** 2 for one in scores) / 9)
    assert spread(scores).z(9.0) == pytest.approx(4 / deviation)
    assert spread(scores).z(1.0) == pytest.approx(-4 / deviation)


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, 5.0], [3.0] * 20])
def test_nothing_stands_out_of_too_few_or_equal_scores(scores):
    assert spread(scores).z(3.0) is None
    assert not spread(scores).is_noise(3.0)


def test_scores_that_mean_nothing_are_noise_from_the_first_places_on():
    scores = normal(2_000)
    found = spread(scores)
    assert sum(not found.is_noise(one) for one in scores if one > 0) <= 3


def test_strong_texts_stand_out_and_do_not_hide_one_another():
    scores = [*normal(300), *(20.0 + one for one in normal(60, 1))]
    found = spread(scores)
    assert all(not found.is_noise(one) for one in scores[300:])
    assert sum(not found.is_noise(one) for one in scores[:300] if one > 0) < 60


def test_beside_a_few_strong_texts_what_hardly_leaves_the_mean_is_noise():
    scores = [5.0, 4.0, 3.0, 0.2, 0.1, *(0.01 * one for one in normal(295))]
    found = spread(scores)
    assert found.noise_high < 0.1  # the bulk is that narrow
    assert [found.is_noise(one) for one in scores[:5]] == [False, False, False, True, True]


def test_a_place_is_noise_once_half_as_many_texts_lie_as_far_on_the_other_side():
    # median 0; above: 10, 9, 8, then 1, 1; below: -7, then four at -1
    scores = [10.0, 9.0, 8.0, 1.0, 1.0, 0.0, 0.0, 0.0, -7.0, -1.0, -1.0, -1.0]
    found = spread(scores)
    assert [found.is_noise(one) for one in (10.0, 9.0, 8.0, 1.0)] == [False, False, False, True]


def test_both_sides_of_a_contrast_stand_out():
    scores = [*normal(500), 30.0, 31.0, 32.0, -30.0, -31.0, -32.0]
    found = spread(scores, has_two_sides=True)
    assert [one for one in scores if not found.is_noise(one) and abs(one) > 5] == scores[-6:]
    assert spread(scores).is_noise(30.0)  # as a list with one side it would be drowned by the other


def test_strong_opposing_texts_are_no_noise():
    scores = [*normal(500), -30.0, -31.0]
    assert [spread(scores).is_noise(one) for one in (-30.0, -1.0)] == [False, True]


def test_the_sample_does_not_grow_with_the_scores_and_the_moments_are_of_all():
    scores = normal(3 * SAMPLE_SCORES + 5)
    sums = SpreadSums()
    for part in torch.tensor(scores).split(10_007):
        sums.add(part)
    assert len(sums._sample) <= SAMPLE_SCORES
    wanted = torch.tensor(scores[:: sums._step])
    assert torch.equal(sums._sample, wanted)
    assert sums.spread().mean == pytest.approx(sum(scores) / len(scores), abs=1e-9)
