"""Which stored terms a search has to read, and how many texts must then be scored in full: from a sample.

A score is a sum over terms, s = p + r with p over the terms that are read and r over the others. Of a sample of m of
N texts every term's contribution is known. Terms are ordered by the variance of their contribution per cost of
reading them: what does not vary between texts does not rank them.

A text that exceeds a score t may have a partial score below that of texts which do not. Where the limit of partial
scores has to lie, from which on texts are scored in full, is asked of the sample in two ways, and the lower limit is
taken:

* **Residuals.** If r were drawn from the sample's residuals whatever p is, a text would exceed t with the probability
  F(t - p), the share of residuals that are larger; below the limit Σ F(t - p) is what is expected to be missed. For
  the bulk that is on the safe side, since residuals grow with scores.
* **Shares.** If the share (p - p̄) ÷ (s - s̄) that was read of a text with the score t were drawn from those of the
  sample's strongest hundredth, the limit is p̄ plus a low quantile of them times t - s̄.

Both are assumptions, which is why a recall is *expected* and not guaranteed.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.shapes import Float, Int

BINS = 4096
"""Values of partial scores that are told apart where all texts are counted."""

LEAST_STEP = 1.1
"""What is read of every text is looked at in steps of this factor."""

STRONGEST, FEWEST_STRONGEST = 0.01, 25
"""Of the sample, whose read shares are looked at."""


class Target(NamedTuple):
    """Texts that a search is to find."""

    sign: int
    """1: their scores lie above the threshold; -1: their negated scores do."""

    threshold: float
    num_texts: float
    """How many there are of all texts, about."""

    may_miss: float
    """Share of them that may be expected to be missed."""


class Unread:
    """What the sample says of scores at one end that lie farther out than what was read of them."""

    def __init__(self, scores: Float[Tensor, " m"], partials: Float[Tensor, " m"], sign: int = 1) -> None:
        """Compare scores with what was read of them.

        Args:
            scores: Of the sample, in full.
            partials: The same without what is not read.
            sign: -1 for the end of the smallest scores; all that is asked then is of negated scores.
        """
        scores, partials = sign * scores.double(), sign * partials.double()
        self._residuals = (scores - partials).sort().values
        self._middle, self._partial_middle = float(scores.mean()), float(partials.mean())
        most = min(len(scores), max(FEWEST_STRONGEST, int(STRONGEST * len(scores))))
        far, which = scores.topk(most)
        rises = far - self._middle
        # Equal scores have no share; what is not read of them is in the residuals.
        shares = (partials[which] - self._partial_middle)[rises > 0] / rises[rises > 0]
        self._shares = shares.sort().values if len(shares) else torch.ones(1, dtype=torch.float64)

    def exceeds(self, gaps: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Share of residuals above each gap."""
        above = len(self._residuals) - torch.searchsorted(self._residuals, gaps.double(), right=True)
        return above.double() / len(self._residuals)

    def limit(self, partials: Float[Tensor, " n"], target: Target) -> float:
        """From which partial score on texts have to be scored in full.

        Args:
            partials: Of all texts, or of the sample.
            target: With a number of texts that goes with them.
        """
        low, width, counts = _binned(partials)
        if not width > 0:
            return low
        upper = low + width * (torch.arange(BINS, dtype=torch.float64) + 1)
        missed = (counts * self.exceeds(target.threshold - upper)).cumsum(0)
        by_residuals = low + width * int((missed <= target.may_miss * target.num_texts).sum())
        place = int(target.may_miss * len(self._shares))
        return min(by_residuals, self._at_share(float(self._shares[place]), target.threshold))

    def expected_recall(self, found: int, unknown: Float[Tensor, " n"], threshold: float, limit: float) -> float:
        """Share of the texts above a score that were found, by the less favourable of the two ways.

        Args:
            found: How many texts above it are known.
            unknown: Partial scores of the texts that were not scored in full.
            threshold: The score.
            limit: Partial score from which on all texts were scored in full.
        """
        missed = 0.0
        if len(unknown):
            low, width, counts = _binned(unknown)
            upper = low + width * (torch.arange(BINS, dtype=torch.float64) + 1)
            missed = float(counts @ self.exceeds(threshold - upper))
        by_shares = self._partial_middle + self._shares * (threshold - self._middle) >= limit
        return min(found / (found + missed) if found else 0.0, float(by_shares.double().mean()))

    def _at_share(self, share: float, threshold: float) -> float:
        """Partial score of a text at the threshold of which that share was read."""
        return self._partial_middle + share * (threshold - self._middle)


def _binned(partials: Float[Tensor, " n"]) -> tuple[float, float, Float[Tensor, " bins"]]:
    """Lowest partial score, width of a bin, and texts per bin."""
    low, high = float(partials.min()), float(partials.max())
    if not high > low:
        return low, 0.0, torch.zeros(BINS, dtype=torch.float64).index_fill_(0, torch.tensor([0]), len(partials))
    return low, (high - low) / BINS, torch.histc(partials.float(), BINS, low, high).double()


def order_terms(
    contributions: Float[Tensor, "P m"], costs: Float[Tensor, " P"], first: Sequence[bool]
) -> Int[Tensor, " P"]:
    """Positions of the terms, those with most variance of their contribution per cost first.

    Args:
        contributions: Of each term on the sample.
        costs: Of each term.
        first: Terms that go before all others, whatever the sample says of them.
    """
    worth = contributions.double().var(1, correction=0) / costs.double()
    worth[torch.tensor(first)] += 1.0 + worth.max()
    return worth.argsort(descending=True, stable=True)


class Choice(NamedTuple):
    """Terms that are read of every text."""

    num_terms: int
    """How many, in their order."""

    candidates: float
    """Share of the texts that have to be scored in full then."""

    cost: float
    """Expected, in the unit of the terms' costs per text."""


def choose_terms(
    contributions: Float[Tensor, "P m"],
    scores: Float[Tensor, " m"],
    costs: Sequence[float],
    *,
    targets: Sequence[Target],
    fewest: int,
    full_cost: float,
) -> Choice:
    """How many terms make a search cheapest that is expected to miss no more than allowed.

    Args:
        contributions: Of terms as a search reads them, in their order, on the sample.
        scores: Of the sample, in full.
        costs: Of each term, per text.
        targets: What is to be found, with counts of the sample.
        fewest: Terms that are read in any case.
        full_cost: Of scoring one candidate in full.
    """
    partials = contributions.double().cumsum(0)
    best: Choice | None = None
    before = 0.0
    for number in range(max(fewest, 1), len(costs) + 1):
        spent = math.fsum(costs[:number])
        if best is not None and spent >= best.cost:
            break
        if spent < LEAST_STEP * before and number < len(costs):
            continue
        before = spent
        share = min(_candidates(partials[number - 1], scores, targets), 1.0)
        found = Choice(number, share, spent + share * full_cost)
        best = found if best is None or found.cost < best.cost else best
    assert best is not None
    return best


def _candidates(partials: Tensor, scores: Tensor, targets: Sequence[Target]) -> float:
    """Share of the sample that must be scored in full: at each end what the most demanding target there takes."""
    total = 0.0
    for sign in sorted({target.sign for target in targets}):
        unread, signed = Unread(scores, partials, sign), sign * partials
        limit = min(unread.limit(signed, target) for target in targets if target.sign == sign)
        total += float((signed >= limit).double().mean())
    return total
