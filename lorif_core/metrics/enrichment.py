"""Whether a group of texts is among the top k more often than chance puts it there.

Chance draws the top k of N texts without looking: of a group of n, the number X among them is hypergeometric,

    P(X = j) = C(n, j) C(N − n, k − j) / C(N, k),    mean k n / N.

With G groups looked at, a group stands out where twice the smaller tail, times G, is below 0.05 (Bonferroni).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""Of the range by chance, and of what stands out."""


class Enrichment(NamedTuple):
    """Of G groups; each (G,)."""

    expected: NDArray[np.float64]
    """Mean number among the top k by chance."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    """Central 95 % of the numbers by chance, both included."""

    fold: NDArray[np.float64]
    """Observed over expected; 0 of an empty group."""

    p_more: NDArray[np.float64]
    """Probability of so many or more by chance."""

    p_fewer: NDArray[np.float64]
    """Probability of so many or fewer by chance."""

    stands_out: NDArray[np.int8]
    """1: more often than chance, −1: less often, 0: neither, with all groups taken into account."""


def enrichment(sizes: NDArray[np.int64], num_top: NDArray[np.int64], num_texts: int, k: int) -> Enrichment:
    """How the numbers of groups' texts among the top k compare with chance.

    Args:
        sizes: Texts of each group, (G,).
        num_top: Those of them among the top k, (G,).
        num_texts: N, all texts.
        k: How many are the top.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, num_texts + 1, dtype=np.longdouble)))])
    rows = [_of_group(logs, int(n), int(x), num_texts, k) for n, x in zip(sizes, num_top, strict=True)]
    low, high, p_more, p_fewer = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 4
    )
    expected = k * sizes.astype(np.float64) / max(num_texts, 1)
    fold = np.divide(num_top, expected, out=np.zeros_like(expected), where=expected > 0)
    threshold = LEVEL / (2 * max(len(sizes), 1))
    stands_out = (p_more < threshold).astype(np.int8) - (p_fewer < threshold).astype(np.int8)
    return Enrichment(expected, low.astype(np.int64), high.astype(np.int64), fold, p_more, p_fewer, stands_out)


def _of_group(logs: NDArray[np.longdouble], n: int, observed: int, num_texts: int, k: int) -> tuple[float, ...]:
    """Range by chance, and both tails."""
    first, last = max(0, k + n - num_texts), min(k, n)
    numbers = np.arange(first, last + 1)
    log_shares = _log_choose(logs, n, numbers) + _log_choose(logs, num_texts - n, k - numbers)
    shares = np.exp(log_shares - _log_choose(logs, num_texts, np.array([k]))).astype(np.float64)
    up_to, from_on = np.cumsum(shares), np.cumsum(shares[::-1])[::-1]
    low = numbers[np.searchsorted(up_to, LEVEL / 2, side="right").clip(max=len(numbers) - 1)]
    high = numbers[np.searchsorted(up_to, 1 - LEVEL / 2).clip(max=len(numbers) - 1)]
    place = observed - first
    return float(low), float(high), min(float(from_on[place]), 1.0), min(float(up_to[place]), 1.0)


def _log_choose(logs: NDArray[np.longdouble], n: int, taken: NDArray[np.int64]) -> NDArray[np.longdouble]:
    return logs[n] - logs[taken] - logs[n - taken]
