"""The strongest texts of each query and the spread of all scores, from one pass, or by parts from several processes.

What a part adds is a few numbers, however many texts it has. Parts are put together in store order, so that sums are
added up and ties are broken as in one pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.linalg.scores import TopK
from lorif_core.metrics.spread import SpreadPart, SpreadSums, part_of_spread
from lorif_core.passes.scoring import ScoringPlan, iter_influences

OnScores = Callable[[Tensor, Tensor], None]
"""Receives scores, and what they are without any normalisation."""


class Lengths(NamedTuple):
    """How long the lists of a ranking are."""

    k: int
    num_opposing: int


class RankedPart(NamedTuple):
    """What one part of an index adds to a ranking."""

    num_texts: int
    supports: TopK
    opposes: TopK
    """Of the negated scores."""

    positive_total: Tensor
    """(Q,) float64."""

    spreads: list[SpreadPart]
    """Per query."""


@dataclass
class Ranking:
    """Strongest examples of each query, both ends, from one pass over the index."""

    supports: TopK
    opposes: TopK
    """Of the negated scores."""

    positive_total: Tensor
    """Sum of all positive scores, (Q,) float64."""

    spreads: list[SpreadSums]
    """How the scores of each query are spread."""

    @classmethod
    def empty(cls, num_queries: int, lengths: Lengths) -> "Ranking":
        """Of no examples yet."""
        return cls(
            TopK(num_queries, lengths.k),
            TopK(num_queries, lengths.num_opposing),
            torch.zeros(num_queries, dtype=torch.float64),
            [SpreadSums() for _ in range(num_queries)],
        )

    def add(self, start: int, scores: Tensor) -> None:
        """Take in the scores (Q, n) of texts that follow all earlier ones."""
        self.supports.add(scores, start)
        self.opposes.add(-scores, start)
        self.positive_total += _positive_total(scores)
        for spread, row in zip(self.spreads, scores, strict=True):
            spread.add(row)

    def merge(self, part: RankedPart) -> None:
        """Take in what is known of texts that follow all earlier ones."""
        self.supports.merge(part.supports)
        self.opposes.merge(part.opposes)
        self.positive_total += part.positive_total
        for spread, own in zip(self.spreads, part.spreads, strict=True):
            spread.merge(own)


def rank_examples(
    *plans: ScoringPlan,
    k: int,
    num_opposing: int,
    on_scores: OnScores = lambda scores, influences: None,
) -> Ranking:
    """The k largest positive and the most negative scores of each query, summed over the members' plans."""
    ranking = Ranking.empty(plans[0].num_queries, Lengths(k, num_opposing))
    for start, scores, influences in iter_influences(*plans):
        ranking.add(start, scores)
        on_scores(scores, influences)
    return ranking


def rank_part(start: int, scores: Tensor, lengths: Lengths, num_all: int) -> RankedPart:
    """What the texts from a store position on add to a ranking of all.

    Args:
        start: Store position of the first one.
        scores: (Q, n).
        lengths: Of the lists.
        num_all: Texts of the whole index, by which the sample of the spread is taken.
    """
    supports, opposes = TopK(len(scores), lengths.k), TopK(len(scores), lengths.num_opposing)
    supports.add(scores, start)
    opposes.add(-scores, start)
    spreads = [part_of_spread(row, start, num_all) for row in scores]
    return RankedPart(scores.shape[1], supports, opposes, _positive_total(scores), spreads)


def _positive_total(scores: Tensor) -> Tensor:
    return scores.clamp_min(0).sum(1, dtype=torch.float64)
