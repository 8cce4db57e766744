"""How far a score stands out of all scores, and from where on a list is noise.

A text's z is its score's distance from the mean of all N scores, in standard deviations. Where the supporting list
turns into noise is a false-discovery estimate: the texts that lie as far on the *other* side of the median are taken
for what chance puts there, and a place is noise from where they are half as many as the texts up to it (target and
decoy: Elias and Gygi, doi:10.1038/nmeth1019), or where the largest of N normally distributed scores with the same
quartiles may reach. A contrast has two sides that both mean something, and so has the list
of opposing texts; there the bulk is what is left when scores beyond the limit of the rest are set aside, again and
again, and noise is what the largest of N normally distributed scores reaches in all but one list of twenty,
Φ⁻¹(1 − 0.05/N) standard deviations of the bulk. Whatever the bulk, a score within one standard deviation of the
mean of all is noise: beside a few texts that were meant, the rest of a narrow bulk says nothing.
"""

from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.metrics.score_spread import ScoreSpread

WIDEST_BULK = 3.0
"""Standard deviations that are never clipped from the bulk: fewer scores than 1 in 740 lie beyond by chance."""

MAX_ROUNDS = 50

BY_CHANCE = 0.05
"""Share of lists of meaningless scores whose largest one lies beyond the limit."""

QUARTILES = 1.349
"""Distance of a normal distribution's quartiles, in standard deviations."""

FALSE_SHARE = 0.5
"""From this share of false discoveries on, a list is noise."""

SAMPLE_SCORES = 1 << 16
"""Evenly spaced scores from which the bulk is found."""


class SpreadPart(NamedTuple):
    """What some consecutive scores add to the spread of all."""

    num_scores: int
    total: float
    squares: float
    sample: Tensor
    """Of them, those that the sample of all takes."""


class SpreadSums:
    """The spread of scores that come in chunks; holds no more of them than a sample."""

    def __init__(self) -> None:
        self._sample = torch.zeros(0)
        self._step, self._num, self._total, self._squares = 1, 0, 0.0, 0.0

    def add(self, scores: Tensor) -> None:
        """The next scores, (n,)."""
        wide = scores.double()
        self._total += float(wide.sum())
        self._squares += float(wide.square().sum())
        self._sample = torch.cat([self._sample, scores[-self._num % self._step :: self._step].float().cpu()])
        self._num += len(scores)
        while len(self._sample) > SAMPLE_SCORES:
            self._sample, self._step = self._sample[::2], self._step * 2

    def merge(self, part: SpreadPart) -> None:
        """The next scores, of which somebody else took the sums."""
        self._total += part.total
        self._squares += part.squares
        self._sample = torch.cat([self._sample, part.sample])
        self._num += part.num_scores

    def spread(self, *, has_two_sides: bool = False) -> ScoreSpread:
        """Of all scores so far.

        Args:
            has_two_sides: Negative scores mean as much as positive ones, as in a contrast.
        """
        if not self._num:
            return ScoreSpread(0, 0.0, 0.0, 0.0, 0.0)
        mean = self._total / self._num
        deviation = max(self._squares / self._num - mean * mean, 0.0) ** 0.5
        return spread_of_sample(self._sample, self._num, mean, deviation, has_two_sides=has_two_sides)


def part_of_spread(scores: Tensor, start: int, num_all: int) -> SpreadPart:
    """What some consecutive scores (n,) add to the spread of all, as one pass over all would take it.

    Args:
        scores: Of the texts from a position on.
        start: That position.
        num_all: How many scores there are in all.
    """
    wide, step = scores.double(), 1
    while -(-num_all // step) > SAMPLE_SCORES:
        step *= 2
    sample = scores[-start % step :: step].float().cpu()
    return SpreadPart(len(scores), float(wide.sum()), float(wide.square().sum()), sample)


def spread_of_sample(
    sample: Tensor, num_scores: int, mean: float, deviation: float, *, has_two_sides: bool = False
) -> ScoreSpread:
    """The spread of scores of which a sample is there; the limits of noise are the sample's.

    Args:
        sample: Some of the scores, (m,), not chosen by what they are.
        num_scores: N, of all scores.
        mean: Of all scores.
        deviation: Standard deviation of all scores.
        has_two_sides: Negative scores mean as much as positive ones, as in a contrast.
    """
    limit, scores = NormalDist().inv_cdf(1 - BY_CHANCE / num_scores), sample.double()
    bulk = _bulk(scores, max(limit, WIDEST_BULK))
    center, reach = float(bulk.mean()), limit * float(bulk.std(correction=0))
    high = center + reach if has_two_sides else _limit_of_discoveries(scores, limit)
    return ScoreSpread(num_scores, mean, deviation, center - reach, high)


def _limit_of_discoveries(scores: Tensor, limit: float) -> float:
    """The score above which the texts are more than twice as many as those that lie as far on the other side.

    At least as far from the median as the largest of normal scores with the same quartiles is expected.
    """
    low, middle, high = torch.quantile(scores, torch.tensor([0.25, 0.5, 0.75], dtype=scores.dtype))
    largest = float(middle + limit * (high - low) / QUARTILES)
    distances = scores - middle
    targets = distances[distances > 0].sort(descending=True).values
    decoys = (-distances[distances < 0]).sort().values
    reached = len(decoys) - torch.searchsorted(decoys, targets)  # decoys at least as far out as each target
    places = torch.arange(1, len(targets) + 1)
    noisy = (reached >= places * FALSE_SHARE).nonzero()
    return max(largest, float(targets[int(noisy[0])] + middle)) if len(noisy) else largest


def _bulk(scores: Tensor, limit: float) -> Tensor:
    """What is left when scores beyond the limit of the rest are set aside until none is; never fewer than half."""
    middle = scores.median()
    nearest = (scores - middle).abs().sort().values[(len(scores) - 1) // 2]
    bulk = scores
    for _ in range(MAX_ROUNDS):
        center, deviation = bulk.mean(), bulk.std(correction=0)
        kept = scores[(scores - center).abs() <= torch.maximum(limit * deviation, nearest)]
        if len(kept) == len(bulk) or len(kept) < len(scores) / 2:
            break
        bulk = kept
    return bulk
