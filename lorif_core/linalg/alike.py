"""Rows that are alike: standardised, reduced, compared with all others.

A row is standardised column by column, (x - mean) / standard deviation, over all rows, then divided by its norm: a
few columns of a model's hidden states are far larger than all others in every text alike and would decide every
cosine. A row of zeros stands for nothing, has no part in mean and deviation and is like nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.linalg.typed_torch import eigh
from lorif_core.shapes import Bool, Float, Int

BLOCK_ROWS = 512
"""Rows compared with all others at once; bounds memory, changes nothing else."""


@dataclass(frozen=True)
class Standard:
    """What rows are standardised with."""

    mean: Float[Tensor, " d"]
    deviation: Float[Tensor, " d"]
    """Positive; 1 where a column never changes."""

    def of(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Standardised rows of norm 1, float32; zeros for a row of zeros and for one that is exactly the mean."""
        found = (rows.float() - self.mean) / self.deviation
        found = torch.where(is_told(rows).unsqueeze(1), found, 0.0)
        return of_norm_one(found)


def is_told(rows: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
    """Which rows are not zeros."""
    return (rows != 0).any(1)


def standard_of(parts: Iterable[Float[Tensor, "_ d"]]) -> Standard:
    """Mean and deviation of every column over all rows that are told, in two sums of float64.

    Args:
        parts: Rows, part by part.

    Raises:
        ValueError: There is no part.
    """
    count, sums, squares = 0, None, None
    for part in parts:
        rows = part[is_told(part)].double()
        count += len(rows)
        added, squared = rows.sum(0), rows.square().sum(0)
        sums = added if sums is None else sums + added
        squares = squared if squares is None else squares + squared
    if sums is None or squares is None:
        raise ValueError("there is no part to take a mean of")
    mean = sums / max(1, count)
    deviation = (squares / max(1, count) - mean.square()).clamp_min(0).sqrt()
    # A column that never changes comes out as rounding of its square, not as zero.
    floor = 1e-6 * (squares / max(1, count)).sqrt()
    return Standard(mean.float(), torch.where(deviation > floor, deviation, 1.0).float())


def leading_directions(rows: Float[Tensor, "n d"], num_directions: int) -> Float[Tensor, "d _"]:
    """Orthonormal directions along which rows are longest, the longest first; all d where fewer are there.

    The sign of a direction is that of its largest entry, so that it is the same on every machine.
    """
    directions = eigh(rows.double().T @ rows.double()).vectors.flip(1)[:, :num_directions]
    signs = directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    return (directions * torch.where(signs == 0, 1.0, signs)).float()


def of_norm_one(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Every row divided by its norm; zeros stay."""
    norms = rows.square().sum(1, keepdim=True).sqrt()
    return torch.where(norms > 0, rows / norms.clamp_min(torch.finfo(rows.dtype).tiny), 0.0)


def nearest_rows(rows: Float[Tensor, "n d"], k: int) -> Int[Tensor, "n k"]:
    """For every row the k others with the largest inner product, nearest first; every pair is compared."""
    found = torch.empty(len(rows), k, dtype=torch.long)
    for start in range(0, len(rows), BLOCK_ROWS):
        alike = rows[start : start + BLOCK_ROWS] @ rows.T
        own = torch.arange(start, start + len(alike))
        alike[torch.arange(len(alike)), own] = -torch.inf
        found[start : start + len(alike)] = alike.topk(k, dim=1).indices
    return found
