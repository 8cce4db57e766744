"""What a removal does to a completion, as probabilities: now, predicted, and the range that was measured.

The support s of a completion is its objective with the sign that makes more of it likelier. A change Δ of it, in
nats, moves the probability

    loss       s = log p              p' = min(exp(s + Δ), 1)
    margin     s = log p/(1-p)        p' = 1 / (1 + exp(-(s + Δ)))
    contrast   s = log p(A)/p(B)      the share of A of both, by the same formula

With a calibration (``calibration``) Δ is the predicted change times the measured ratios: their median for the value,
their low and high one for the range. Without one Δ is the prediction itself, which exaggerates, and there is no
range.

A Δ is *beyond belief* where it says that a probability exceeds 1, or that a completion gets less likely than if each
of its T tokens were drawn at random from V, log p' < -T·log V: then no value is given at all. So it is with a margin
or a contrast where what stands against the completion gets less likely than that, s > T'·log V, with T' = T for a
margin and the tokens of the second completion for a contrast. What lies beyond a bound already may lie beyond it by
as much again.
"""

import math
from dataclasses import dataclass

from lorif_core.workspace.curation.calibration import Calibration

LONG_TOKENS = 8
"""Completions of more tokens are told by their probability per token: that of the whole would be too small to see."""

SLACK_NATS = 1e-6
"""Above a probability of 1 by rounding."""

MOST_TOKENS = 1 << 18
"""More than any vocabulary has, where a completion's tokens are not known: they are no more than its bytes then."""

ABOVE = "above 100 %"
BELOW = "less likely than tokens drawn at random"


@dataclass(frozen=True)
class CompletionSize:
    """How much a completion says."""

    num_tokens: int | None
    """T; None: not known, as the tokenizer is not at hand."""

    least_support: float
    """-T·log V: the log-probability of tokens drawn at random, in nats."""

    most_support: float
    """T'·log V of what a margin or a contrast holds against it: the second completion of a contrast, else as many
    tokens."""


@dataclass(frozen=True)
class Effect:
    """What a removal is predicted to do to the probability of one completion."""

    now: float
    """From 0 to 1, of the index's model. Of a contrast, the first completion's share of both."""

    predicted: float | None
    """After the removal; None: ``beyond`` says why there is no value."""

    low: float | None
    high: float | None
    """The range; None: too little was verified to give one, or there is no value."""

    is_per_token: bool
    """Whether all four are the geometric mean over the completion's tokens, not of the whole."""

    num_tokens: int | None
    """Of the completion; None where that is not known."""

    beyond: str | None
    """What the prediction says that cannot be, where it is not to be believed."""


def effect_of(
    objective: str,
    value: float,
    change: float,
    size: CompletionSize,
    calibration: Calibration | None,
    *,
    holds: bool = False,
) -> Effect:
    """The probability of a completion now and after a predicted change of its support.

    Args:
        objective: Of the question: loss, margin or contrast.
        value: Its objective, in nats: a loss, a margin or a contrast.
        change: Predicted change of the support in nats, as the sum of influences has it.
        size: Of the completion.
        calibration: What predictions are multiplied by; None: by nothing, and there is no range.
        holds: Whether a value beyond belief is held at the nearest one that is none, instead of left out.
    """
    support = -value if objective == "loss" else value
    length = _length_shown(objective, size)
    factor = 1.0 if calibration is None else calibration.middle
    beyond = _why_beyond(objective, support, support + factor * change, size)

    def shown(moved: float) -> float:
        return probability_of(objective, moved, length)

    low = high = None
    if calibration is not None and beyond is None:
        low, high = sorted(shown(support + ratio * change) for ratio in (calibration.low, calibration.high))
    return Effect(
        now=shown(support),
        predicted=None if beyond and not holds else shown(support + factor * change),
        low=low,
        high=high,
        is_per_token=length > 1,
        num_tokens=size.num_tokens,
        beyond=beyond,
    )


def probability_of(objective: str, support: float, length: int = 1) -> float:
    """The probability that a support means, held at 1; of ``length`` tokens, their geometric mean."""
    if objective == "loss":
        return math.exp(min(support, 0.0) / length)
    if support >= 0:
        return 1 / (1 + math.exp(-support))
    grown = math.exp(support)
    return grown / (1 + grown)


def _length_shown(objective: str, size: CompletionSize) -> int:
    if objective != "loss" or size.num_tokens is None or size.num_tokens <= LONG_TOKENS:
        return 1
    return size.num_tokens


def _why_beyond(objective: str, support: float, moved: float, size: CompletionSize) -> str | None:
    least, most = size.least_support, 0.0 if objective == "loss" else size.most_support
    if moved > max(most, support + most * (support > most)) + SLACK_NATS:
        return ABOVE
    if moved < min(least, support + least * (support < least)):
        return BELOW
    return None
