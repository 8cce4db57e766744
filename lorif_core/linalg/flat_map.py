"""A flat picture in which near neighbours are near: t-SNE on a graph of nearest neighbours.

With y_i the points and w_ij = 1 / (1 + |y_i - y_j|²) the gradient on y_i is

    4 ( Σ_j P_ij w_ij (y_i - y_j)  -  Σ_j w_ij² (y_i - y_j) / Z ),      Z = Σ_{k≠l} w_kl

P_ij is 1 for each of i's and of j's nearest neighbours, over the sum of all: with 15 of them it looks like the usual
entropy-calibrated one of perplexity 30 (Kobak, Linderman and others) and needs a sixth of the edges. The second sum
runs over all pairs. It is a convolution, and is taken on a grid: a point is spread over the 3 x 3 nodes around it
with quadratic weights, the grid is convolved by FFT, and the points read it with the same weights (Linderman,
Rachh, Hoskins, Steinerberger and Kluger, Nature Methods 2019). So a step costs as much as there are points and
nodes, not pairs, and nothing in it is drawn at random.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.shapes import Float, Int

NUM_NEIGHBOURS = 15
EARLY_STEPS, LATE_STEPS = 250, 350
EXAGGERATION = 12.0
"""How much stronger neighbours pull in the early steps (Belkina and others, Nature Communications 2019)."""

NODES = 3
"""Nodes per side of a box of the grid."""

FEWEST_BOXES, MOST_BOXES = 50, 200
"""Boxes per side; a box is 1 wide, so a picture wider than ``MOST_BOXES`` has wider ones and errs more."""


class Pulls(NamedTuple):
    """The graph: pairs (i, j) with P_ij, each of both directions."""

    rows: Int[Tensor, " E"]
    columns: Int[Tensor, " E"]
    weights: Float[Tensor, " E"]
    """P_ij; they add up to 1."""


def pulls_of(neighbours: Int[Tensor, "n k"]) -> Pulls:
    """The symmetric graph of nearest neighbours."""
    num_rows, k = neighbours.shape
    rows = torch.arange(num_rows).repeat_interleave(k)
    there, back = rows * num_rows + neighbours.flatten(), neighbours.flatten() * num_rows + rows
    keys, counts = _counted(torch.cat([there, back]))
    weights = counts.float()
    return Pulls(keys // num_rows, keys % num_rows, weights / weights.sum())


def flat_map(
    pulls: Pulls, start: Float[Tensor, "n 2"], on_step: Callable[[int, int], None] = lambda done, total: None
) -> Float[Tensor, "n 2"]:
    """Points of the picture, float32, centred.

    Args:
        pulls: The graph of as many rows.
        start: Where the points are at first; its first column is scaled to a deviation of 1e-4.
        on_step: Told the steps done, and all.
    """
    points = (start - start.mean(0)).double()
    points = points / points[:, 0].std().clamp_min(1e-30) * 1e-4
    speed, gains = torch.zeros_like(points), torch.ones_like(points)
    total = EARLY_STEPS + LATE_STEPS
    for step in range(total):
        is_early = step < EARLY_STEPS
        exaggeration, momentum = (EXAGGERATION, 0.5) if is_early else (1.0, 0.8)
        rate = len(points) / exaggeration
        gradient = 4 * (exaggeration * attraction(pulls, points) - repulsion(points))
        gains = torch.where(gradient.sign() != speed.sign(), gains + 0.2, (gains * 0.8)).clamp_min(0.01)
        speed = momentum * speed - max(rate, 50.0) / 4 * gains * gradient
        # A step may not be longer than the grid is fine: the few points that would fly off come back sooner.
        speed = speed * (5.0 / speed.square().sum(1, keepdim=True).sqrt().clamp_min(5.0))
        points = points + speed
        points = points - points.mean(0)
        on_step(step + 1, total)
    return points.float()


def attraction(pulls: Pulls, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Σ_j P_ij w_ij (y_i - y_j) of every point."""
    apart = points[pulls.rows] - points[pulls.columns]
    strength = pulls.weights / (1 + apart.square().sum(1))
    return _summed(pulls.rows, apart * strength.unsqueeze(1), len(points))


def repulsion(points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Σ_j w_ij² (y_i - y_j) / Z of every point, by interpolation on a grid."""
    low = points.min()
    boxes, width = _grid_for(float(points.max() - low))
    squared = points.square().sum(1, keepdim=True)
    charges = torch.cat([torch.ones_like(squared), points, squared], 1)  # (n, 4)
    places, weights = _on_grid((points - low) / width, boxes)
    side = boxes * NODES
    grid = torch.stack(
        [
            torch.bincount(places.flatten(), (weights * charge.unsqueeze(1)).flatten(), minlength=side * side)
            for charge in charges.unbind(1)
        ]
    ).view(4, side, side)
    spread = _convolved(grid, width / NODES).flatten(1)  # (4, side²)
    ones, across, along, squares = (spread[:, places] * weights).sum(2)
    x, y = points.unbind(1)
    normaliser = ((1 + squared.squeeze(1)) * ones - 2 * (x * across + y * along) + squares).sum() - len(points)
    pushed = torch.stack([x * ones - across, y * ones - along], 1)
    return pushed / normaliser.clamp_min(1e-30)


def _grid_for(span: float) -> tuple[int, float]:
    """Boxes per side and their width: few different ones over all steps, so that the kernel is made a few times."""
    if span > FEWEST_BOXES:
        boxes = min(MOST_BOXES, 10 * math.ceil((span + 1) / 10))
        return boxes, max(1.0, 2 ** (math.ceil(8 * math.log2(max(span, 1) / boxes)) / 8))
    return FEWEST_BOXES, 2 ** (math.ceil(4 * math.log2(max(span, 1e-9) / FEWEST_BOXES)) / 4)


def _on_grid(scaled: Tensor, boxes: int) -> tuple[Tensor, Tensor]:
    """Nodes around every point and their weights, (n, 9) each; ``scaled`` is measured in boxes."""
    box = scaled.floor().clamp(0, boxes - 1)
    inside = (scaled - box) * NODES - 0.5  # nodes of a box lie at 0, 1, 2
    weights = torch.stack(
        [(inside - 1) * (inside - 2) / 2, inside * (2 - inside), inside * (inside - 1) / 2], 2
    )  # (n, 2, 3)
    nodes = box.long().unsqueeze(2) * NODES + torch.arange(NODES)  # (n, 2, 3)
    places = nodes[:, 0, :, None] * (boxes * NODES) + nodes[:, 1, None, :]
    return places.flatten(1), (weights[:, 0, :, None] * weights[:, 1, None, :]).flatten(1)


def _convolved(grid: Tensor, step: float) -> Tensor:
    """Every node's sum over all nodes of charge × w², by FFT of twice the side so that nothing wraps around."""
    side = grid.shape[1]
    size = (2 * side, 2 * side)
    # In float32, three times as fast; interpolation errs a thousand times more.
    spectrum = _transformed(grid.float(), size) * _kernel(side, step)
    return _back(spectrum, size)[:, :side, :side].double()


@lru_cache(maxsize=4)
def _kernel(side: int, step: float) -> Tensor:
    offsets = torch.cat([torch.arange(side), torch.arange(-side, 0)]).double() * step
    squared = offsets.square()
    return _transformed((1 + squared[:, None] + squared[None, :]).pow(-2).float(), (2 * side, 2 * side))


def _transformed(grid: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.fft.rfft2(grid, s=size)  # pyright: ignore - torch gives its transforms no types


def _back(spectrum: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.fft.irfft2(spectrum, s=size)  # pyright: ignore - torch gives its transforms no types


def _counted(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The different values in order, and how often each occurs."""
    ordered = keys.sort().values
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    places = first.nonzero().squeeze(1)
    return ordered[places], torch.diff(places, append=torch.tensor([len(ordered)]))


def _summed(rows: Tensor, values: Tensor, num_rows: int) -> Tensor:
    return torch.stack([torch.bincount(rows, column, minlength=num_rows) for column in values.unbind(1)], 1)
