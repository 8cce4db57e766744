"""Where a score stands among all scores, and how long its bar is.

A bar is as long as the logarithm of how far its score stands out. With z the distance from the mean of all scores in
standard deviations and Z the largest |z| on the page, its length is log(1 + |z|) / log(1 + Z): scores are
heavy-tailed, and beside a first text of z = 60 a third one of z = 12, which is nothing that chance would bring, would
hardly show on a linear scale. Without the spread of all scores the unit is a hundredth of the largest score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lorif_core.metrics.score_spread import ScoreSpread
from lorif_core.views.hits import Hit

Side = Literal["supports", "opposes"]

HUNDREDTH = 100.0
"""The largest score in the unit that is taken where the spread of all scores is not known."""

SCALE_NOTE = "Bars are on a log scale: their length is the logarithm of 1 + |z|."
"""What is said of the bars."""


@dataclass(frozen=True)
class BarScale:
    """Lengths of the bars of one page."""

    largest: float
    """The largest |z| that is drawn, or the largest |score|; it fills its half of the bar."""

    has_z: bool
    """Whether distances are in standard deviations."""

    def share(self, hit: Hit) -> float:
        """Length of a hit's bar between -1 and 1, with the sign of its score."""
        if not self.largest:
            return 0.0
        size = abs(hit.z or 0.0) if self.has_z else abs(hit.score) / self.largest * HUNDREDTH
        fills = self.largest if self.has_z else HUNDREDTH
        return math.copysign(min(1.0, math.log1p(size) / math.log1p(fills)), hit.score)


def bar_scale(hits: Sequence[Hit]) -> BarScale:
    """The scale of the bars of some hits, such as those of both lists."""
    has_z = all(hit.z is not None for hit in hits)
    sizes = [abs(hit.z or 0.0) if has_z else abs(hit.score) for hit in hits]
    return BarScale(max(sizes, default=0.0), has_z)


def standing(scores: NDArray[np.float32], score: float) -> str | None:
    """Where a score stands, counted from its own end: ``top 0.018 %`` or ``bottom 0.018 %``.

    The share of all texts that score at least as high, for a score of 0 or more, and of those that score at least as
    low for a negative one, so that the first text of either list has the smallest share there is, 1 of N.

    Args:
        scores: Of all texts, smallest first, (N,).
        score: One of them.
    """
    if not len(scores):
        return None
    value, total = np.float32(score), len(scores)
    if score >= 0:
        return f"top {share_text((total - int(np.searchsorted(scores, value, side='left'))) / total)}"
    return f"bottom {share_text(int(np.searchsorted(scores, value, side='right')) / total)}"


def share_text(share: float) -> str:
    """A share in percent with two digits that count, never as a power of ten."""
    percent = 100.0 * share
    if percent >= 10:
        return f"{percent:.0f} %"
    digits = 1 if percent <= 0 else 1 - math.floor(math.log10(percent))
    shown = f"{percent:.{digits}f}"
    return f"{shown.rstrip('0').rstrip('.') or '0'} %"


def noise_line(spread: ScoreSpread | None, side: Side, *, has_two_sides: bool = False) -> tuple[str, str] | None:
    """What stands where a list turns into noise, and the criterion in full; None where there is none to state.

    Args:
        spread: Of all scores of the question.
        side: Which list.
        has_two_sides: Negative scores mean as much as positive ones, as in a contrast.
    """
    if spread is None or spread.z(0.0) is None:
        return None
    limit = spread.noise_high if side == "supports" else spread.noise_low
    z = spread.z(limit) or 0.0
    where = f"score {limit:+.3g}, z {z:+.1f}".replace("-", "−")
    if side == "supports" and not has_two_sides:
        rule = (
            "half as many texts lie as far out on the other side of the median, where they can only be chance, as "
            f"above the line; or a score is no more than the largest of {spread.num_scores:,} meaningless ones with "
            "the same quartiles would be"
        )
    else:
        rule = f"they reach no farther than the most extreme of {spread.num_scores:,} meaningless scores would"
    return (
        "Below this line: noise",
        f"The texts below stand out no more than chance puts there ({where}). The criterion, from the spread of all "
        f"{spread.num_scores:,} scores: {rule}. A score within one standard deviation of the mean is always noise.",
    )
