"""Who holds how much of a total, and how sure that is when the queries are only a sample."""

from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.shapes import Float

NUM_RESAMPLES = 1000
HOLDERS_PER_BLOCK = 1024
"""So that a million holders take no more memory in resampling than these."""


class Shares(NamedTuple):
    """Shares of S holders with 95 % intervals; each (S,) float64, the shares add up to 1."""

    share: Tensor
    low: Tensor
    high: Tensor


def shares_of_total(amounts: Float[Tensor, "Q S"], *, seed: int = 0) -> Shares:
    """Each holder's share of the total over all queries; the interval resamples queries.

    Args:
        amounts: What each holder has in each query, ≥ 0. A total of 0 gives shares of 0.
        seed: Of the resampling.
    """
    amounts = amounts.double()
    generator = torch.Generator().manual_seed(seed)
    num_queries = len(amounts)
    drawn = torch.randint(num_queries, (NUM_RESAMPLES, num_queries), generator=generator)
    counts = torch.zeros(NUM_RESAMPLES, num_queries, dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    totals = counts @ amounts.sum(1)
    levels = torch.tensor([0.025, 0.975], dtype=torch.float64)
    blocks = torch.split(amounts, HOLDERS_PER_BLOCK, 1)
    ends = [torch.quantile(_over(counts @ block, totals), levels, dim=0) for block in blocks]
    low, high = torch.cat(ends, 1)
    return Shares(_over(amounts.sum(0, keepdim=True), amounts.sum()[None])[0], low, high)


def _over(amounts: Float[Tensor, "B S"], totals: Float[Tensor, " B"]) -> Float[Tensor, "B S"]:
    total = totals.unsqueeze(1)
    return amounts / torch.where(total > 0, total, 1.0)
