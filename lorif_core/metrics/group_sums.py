"""Scores of all texts, added up by group; in float64, whatever the scores are kept in."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lorif_core.errors import ConfigError

Z_95 = 1.959963984540054
"""Quantile of the normal distribution for a 95 % interval."""


NUM_RESAMPLES = 1000
GROUPS_PER_BLOCK = 1024
"""So that many groups take no more memory in resampling than these."""


class GroupSums(NamedTuple):
    """Of G groups; each (G,)."""

    sizes: NDArray[np.int64]
    total: NDArray[np.float64]
    """Sum of the scores of all of a group's texts."""

    positive: NDArray[np.float64]
    """Sum of its positive scores alone."""

    mean: NDArray[np.float64]
    mean_low: NDArray[np.float64]
    mean_high: NDArray[np.float64]
    """95 % interval of the mean: 1.96 standard errors, the texts taken as a sample of what the group would hold. NaN
    below two texts; too narrow for few texts whose scores are heavy-tailed."""


def sums_by_group(scores: NDArray[np.float32], code_of: NDArray[np.int32], num_groups: int) -> GroupSums:
    """Sums, means and their intervals.

    Args:
        scores: Of all texts, (N,).
        code_of: Group of each text, (N,), from 0.
        num_groups: G.
    """
    wide = scores.astype(np.float64)
    sizes = np.bincount(code_of, minlength=num_groups)
    total = weights_by_group(wide, code_of, num_groups)
    positive = weights_by_group(wide.clip(min=0), code_of, num_groups)
    mean = np.divide(total, sizes, out=np.zeros(num_groups), where=sizes > 0)
    squares = weights_by_group(np.square(wide - mean[code_of]), code_of, num_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = Z_95 * np.sqrt(squares / (sizes - 1.0) / sizes)
    reach[sizes < 2] = np.nan
    return GroupSums(sizes.astype(np.int64), total, positive, mean, mean - reach, mean + reach)


def weights_by_group(
    weights: NDArray[np.float64], code_of: NDArray[np.int32], num_groups: int
) -> NDArray[np.float64]:
    """What the texts' weights (N,) add up to in each group, (G,)."""
    return np.bincount(code_of, weights=weights, minlength=num_groups).astype(np.float64)


def sum_intervals(values: NDArray[np.float64], *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % interval of each group's sum over the questions, when the questions are drawn anew (bootstrap).

    Args:
        values: What each group is to each question, (Q, G).
        seed: Of the draws.

    Returns:
        Low and high ends, (G,) each; NaN below two questions, which say nothing of others.
    """
    num_questions, num_groups = values.shape
    if num_questions < 2:
        unknown = np.full(num_groups, np.nan, dtype=np.float64)
        return unknown, unknown.copy()
    drawn = np.random.default_rng(seed).integers(num_questions, size=(NUM_RESAMPLES, num_questions))
    counts = np.stack([np.bincount(row, minlength=num_questions) for row in drawn]).astype(np.float64)
    ends = np.zeros((2, num_groups))
    for start in range(0, num_groups, GROUPS_PER_BLOCK):
        block = slice(start, start + GROUPS_PER_BLOCK)
        ends[:, block] = np.quantile(counts @ values[:, block], [0.025, 0.975], axis=0)
    return ends[0], ends[1]


def top_rows(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Rows of the k largest scores, largest first; of equal ones the first rows, whatever k is.

    Args:
        scores: Of all texts, (N,).
        k: At most N are found.

    Raises:
        ConfigError: k is below 1.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}: say how many of the strongest texts count as the top.")
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > threshold)
    level = np.flatnonzero(scores == threshold)[: k - len(above)]
    rows = np.concatenate([above, level])
    return rows[np.lexsort((rows, -scores[rows]))]
