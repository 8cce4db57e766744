"""Groups of rows that are alike: k-means on rows of norm 1.

Centres are drawn one by one, each with a probability that grows with the squared distance from those before
(k-means++: Arthur and Vassilvitskii, SODA 2007); then rows go to the nearest centre and centres to the mean of their
rows, until no row changes or ``MAX_ROUNDS`` are over. The same generator gives the same groups.
"""

import torch
from torch import Tensor

from lorif_core.shapes import Float, Int

MAX_ROUNDS = 50
BLOCK_ROWS = 65_536


def fit_centres(rows: Float[Tensor, "n d"], num_centres: int, generator: torch.Generator) -> Float[Tensor, "_ d"]:
    """Centres of at most ``num_centres`` groups, the largest group first; fewer where rows are equal.

    Args:
        rows: At least one.
        num_centres: At least 1.
        generator: Draws the first centres.
    """
    centres = _first_centres(rows, num_centres, generator)
    owners = nearest_centre(rows, centres)
    for _ in range(MAX_ROUNDS):
        sums = torch.zeros_like(centres, dtype=torch.float64).index_add_(0, owners, rows.double())
        counts = torch.bincount(owners, minlength=len(centres)).unsqueeze(1)
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres.double()).float()
        now = nearest_centre(rows, centres)
        if torch.equal(now, owners):
            break
        owners = now
    counts = torch.bincount(owners, minlength=len(centres))
    order = counts.argsort(descending=True, stable=True)
    return centres[order[counts[order] > 0]]


def nearest_centre(rows: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> Int[Tensor, " n"]:
    """Place of the nearest centre of every row; of equally near ones the first."""
    half_norms = centres.square().sum(1) / 2
    parts = [
        (rows[start : start + BLOCK_ROWS] @ centres.T - half_norms).argmax(1)
        for start in range(0, len(rows), BLOCK_ROWS)
    ]
    return torch.cat(parts)


def _first_centres(rows: Tensor, num_centres: int, generator: torch.Generator) -> Tensor:
    chosen = [int(torch.randint(len(rows), (1,), generator=generator))]
    distances = (rows - rows[chosen[0]]).square().sum(1).double()
    while len(chosen) < num_centres:
        running = distances.cumsum(0)
        if float(running[-1]) <= 1e-9 * len(rows):  # every row is a centre, or equal to one
            break
        drawn = torch.rand(1, generator=generator, dtype=torch.float64) * running[-1]
        place = min(int(torch.searchsorted(running, drawn, right=True)), len(rows) - 1)
        chosen.append(place)
        distances = distances.minimum((rows - rows[place]).square().sum(1).double())
    return rows[chosen]
