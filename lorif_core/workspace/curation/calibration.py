"""How far predictions were off where they were checked, and the range that this gives to the next one.

A verification trains with and without some texts and so measures the change y of a question's support that was
predicted to be x. The *ratio* r = y / x is what a prediction has to be multiplied by; a sum of influences
exaggerates, so it usually lies far below 1. Let r_(1) ≤ … ≤ r_(n) be the ratios measured for one index. If the next
ratio comes from where these came from, it lies between r_(k) and r_(n+1-k) with probability 1 - 2k / (n + 1),
whatever the distribution (Wilks 1941, doi:10.1214/aoms/1177731788). k is the largest that leaves at least
``COVERAGE``, so that ``FEWEST`` ratios are needed. The one assumption is that: questions of one removal are alike,
and a removal of another kind or size may be off by more.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

COVERAGE = 0.8
"""Least share of ranges that hold the actual value."""

FEWEST = 9
"""Ratios below which there is no range: 1 - 2 / (9 + 1) is the coverage."""

LEAST_NATS = 0.01
"""A prediction nearer to 0 has no ratio: what is measured of it is the noise of the training."""


@dataclass(frozen=True)
class Calibration:
    """What predictions have to be multiplied by, as it was measured."""

    low: float
    middle: float
    """The median."""

    high: float
    coverage: float
    """Share of ranges from ``low`` to ``high`` that hold the next ratio, from 0 to 1."""

    num_ratios: int


def calibrate(changes: Sequence[tuple[float, float]]) -> Calibration | None:
    """The range of ratios of measured to predicted changes; None where fewer than ``FEWEST`` were measured.

    Args:
        changes: Predicted and actual change of support in nats, one pair per question of a verification.
    """
    ratios = sorted(actual / predicted for predicted, actual in changes if abs(predicted) >= LEAST_NATS)
    count = len(ratios)
    if count < FEWEST:
        return None
    place = int((1 - COVERAGE) / 2 * (count + 1) + 1e-9)  # 0.1 · 10 is 1, also in floats
    return Calibration(
        low=ratios[place - 1],
        middle=statistics.median(ratios),
        high=ratios[count - place],
        coverage=1 - 2 * place / (count + 1),
        num_ratios=count,
    )
