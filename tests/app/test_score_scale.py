"""Where a score stands, how long its bar is, where a list turns into noise."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.metrics.spread import SpreadSums
from lorif_core.views.hits import Hit
from lorif_core.views.score_scale import BarScale, bar_scale, noise_line, share_text, standing

numbers = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40)


def hit(score, z=None):
    return Hit(1, "t", score, "text", {}, z=z)


@given(scores=numbers)
def test_a_score_stands_where_counting_says_from_its_own_end(scores):
    ordered = np.sort(np.array(scores, dtype=np.float32))
    every = ordered.tolist()

    def counted(score):
        share = sum(one >= score if score >= 0 else one <= score for one in every) / len(every)
        return f"{'top' if score >= 0 else 'bottom'} {share_text(share)}"

    assert [standing(ordered, score) for score in every] == [counted(score) for score in every]


def test_the_first_text_of_either_list_has_the_smallest_share():
    scores = np.linspace(-1, 1, 5000, dtype=np.float32)
    assert standing(scores, float(scores[-1])) == "top 0.02 %"
    assert standing(scores, float(scores[0])) == "bottom 0.02 %"
    assert standing(np.array([], dtype=np.float32), 1.0) is None


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100 %"), (0.5, "50 %"), (0.0123, "1.2 %"), (0.02, "2 %"), (1 / 5613, "0.018 %"), (1e-9, "0.0000001 %")],
)
def test_a_share_has_two_digits_that_count_and_no_power_of_ten(share, text):
    assert share_text(share) == text


def test_the_third_bar_shows_beside_a_giant():
    hits = [hit(1.0, 62.0), hit(0.6, 36.0), hit(0.2, 12.8), hit(-0.1, -9.6)]
    scale = bar_scale(hits)
    shares = [scale.share(one) for one in hits]
    assert shares[0] == 1.0
    assert shares[2] == pytest.approx(math.log(13.8) / math.log(63.0))
    assert shares[2] > 0.6
    assert shares[3] < 0


@given(scores=numbers)
def test_bars_keep_sign_and_order(scores):
    hits = [hit(score) for score in sorted(scores)]
    shares = [bar_scale(hits).share(one) for one in hits]
    assert all(-1 <= share <= 1 for share in shares)
    assert shares == sorted(shares)
    assert all(share * one.score >= 0 for share, one in zip(shares, hits, strict=True))


def test_nothing_to_draw_is_no_bar():
    assert BarScale(0.0, has_z=False).share(hit(0.0)) == 0.0


def test_the_line_states_its_criterion_with_the_numbers_of_this_question():
    sums = SpreadSums()
    sums.add(torch.cat([torch.randn(5000, generator=torch.Generator().manual_seed(0)), torch.full((3,), 40.0)]))
    spread = sums.spread()
    for side, limit in (("supports", spread.noise_high), ("opposes", spread.noise_low)):
        said, why = noise_line(spread, side)
        assert said == "Below this line: noise"
        assert f"{limit:+.3g}".replace("-", "−") in why
        assert "5,003 scores" in why
    assert noise_line(None, "supports") is None
    assert "median" not in noise_line(spread, "supports", has_two_sides=True)[1]  # a contrast has no side of chance
