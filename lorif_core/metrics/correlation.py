"""Does a ranking agree with what retraining measured: rank correlation, its intervals, overlap of rankings.

The linear datamodeling score (LDS) of a query q over S random subsets is

    spearman over subsets of ( -Σ_{n in subset} score(q, n),  loss of q after training on the subset )

because a positive score supports the completion, that is, lowers its loss. The *partial* LDS given
a baseline b is the rank correlation that is left between predicted p and measured m once the
baseline's prediction is taken out of both:

    r_pm.b = (r_pm − r_pb r_mb) / √((1 − r_pb²)(1 − r_mb²)),    each r a rank correlation over subsets,

0 where the baseline explains one side wholly. Intervals are percentile bootstraps. Queries are
resampled as they are. When subsets are resampled the ranks change with the multiplicities: with c_j
copies of subset j the mean rank of subset i is Σ_j c_j ([v_j < v_i] + ½ [v_j = v_i]) up to a
constant, one matrix product for all draws, and the correlation is the Pearson correlation of these
ranks weighted by c.
Source: LDS from TRAK (arXiv:2303.14186).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.errors import ConfigError, DataError, NumericalError
from lorif_core.shapes import Bool, Float

NUM_DRAWS = 1000
LEVEL = 0.95

EXPLAINED = 1e-12
"""1 − r² below which one ranking is the other: two neighbours exchanged among 1,000 subsets are 2e-8 from it."""

ROUNDING = 2.0**-45
"""Part of the sum of absolute terms below which two float64 sums differ by their rounding only."""


class Interval(NamedTuple):
    """A bootstrap interval, in the unit of the values."""

    low: float
    high: float


@dataclass(frozen=True)
class LdsResult:
    """LDS of one method, with what it owes to the choice of queries and of subsets."""

    mean: float
    """Mean over queries, in [-1, 1]."""

    queries_low: float
    """Lower end of the interval when queries are resampled."""

    queries_high: float

    subsets_low: float
    """Lower end of the interval when subsets are resampled."""

    subsets_high: float

    per_query: Tensor
    """(Q,) float64: the LDS of each query."""

    draws: Tensor
    """(draws,) float64: the mean in every resample of the subsets; results of one seed and size resample alike."""


class Difference(NamedTuple):
    """By how much one LDS is above another on the same truth; the interval is over subsets, the same for both."""

    value: float
    low: float
    high: float


def spearman(a: Float[Tensor, "*rest S"], b: Float[Tensor, "*rest S"]) -> Float[Tensor, "*rest"]:
    """Rank correlation along the last axis in float64; ties get their mean rank, constant input gives 0.

    Raises:
        DataError: The shapes differ or hold fewer than two values.
        NumericalError: A value is not finite.
    """
    if a.shape != b.shape or a.ndim == 0 or a.shape[-1] < 2:
        raise DataError(
            "a rank correlation needs two equal shapes with at least 2 values along the last axis, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}."
        )
    return _weighted_pearson(mean_ranks(a), mean_ranks(b), torch.ones((), dtype=torch.float64, device=a.device), -1)


def mean_ranks(values: Float[Tensor, "*rest S"]) -> Float[Tensor, "*rest S"]:
    """Ranks along the last axis, 1 for the smallest, in float64; equal values share their mean rank.

    Raises:
        NumericalError: A value is not finite.
    """
    _require_finite(values, "a value to rank")
    ordered, order = values.sort(dim=-1)
    size = values.shape[-1]
    place = torch.arange(size, device=values.device).expand(values.shape)
    starts = torch.ones(values.shape, dtype=torch.bool, device=values.device)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    ends = torch.ones_like(starts)
    ends[..., :-1] = starts[..., 1:]
    first = torch.where(starts, place, 0).cummax(-1).values
    last = torch.where(ends, place, size).flip(-1).cummin(-1).values.flip(-1)
    shared = (first + last).double() / 2 + 1
    return torch.empty_like(shared).scatter_(-1, order, shared)


def lds_intervals(
    scores: Float[Tensor, "Q N"],
    masks: Bool[Tensor, "S N"],
    losses: Float[Tensor, "S Q"],
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
    level: float = LEVEL,
) -> LdsResult:
    """Mean LDS over queries, with an interval over queries and one over subsets.

    Raises:
        ConfigError: ``num_draws`` or ``level`` is out of range.
        DataError: The shapes do not belong together, or there are fewer than two subsets.
        NumericalError: A score or a loss is not finite.
    """
    predicted, measured = _predicted_losses(scores, masks, losses), _measured_losses(losses)
    counts = _draw_counts(len(masks), num_draws, seed).to(predicted.device)
    draws = torch.stack([_resampled_spearman(a, b, counts) for a, b in zip(predicted, measured, strict=True)])
    return _with_intervals(spearman(predicted, measured), draws.mean(0), seed, level)


def partial_lds_intervals(
    scores: Float[Tensor, "Q N"],
    baseline: Float[Tensor, "Q N"],
    masks: Bool[Tensor, "S N"],
    losses: Float[Tensor, "S Q"],
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
    level: float = LEVEL,
) -> LdsResult:
    """Mean over queries of the partial LDS given the scores of a baseline, with both intervals.

    Raises:
        ConfigError: ``num_draws`` or ``level`` is out of range.
        DataError: The shapes do not belong together, or there are fewer than two subsets.
        NumericalError: A score or a loss is not finite.
    """
    predicted, known = (_predicted_losses(one, masks, losses) for one in (scores, baseline))
    measured = _measured_losses(losses)
    counts = _draw_counts(len(masks), num_draws, seed).to(predicted.device)
    per_query = _partial(spearman(predicted, measured), spearman(predicted, known), spearman(measured, known))
    draws = torch.zeros(num_draws, dtype=torch.float64, device=predicted.device)
    for p, b, m in zip(predicted, known, measured, strict=True):
        draws += _partial(*(_resampled_spearman(*pair, counts) for pair in ((p, m), (p, b), (m, b))))
    return _with_intervals(per_query, draws / len(predicted), seed, level)


def lds_difference(one: LdsResult, other: LdsResult, *, level: float = LEVEL) -> Difference:
    """How far the first is above the second, paired over subsets: both were resampled with the same seed.

    Raises:
        ConfigError: ``level`` is out of range.
        DataError: They have not the same number of resamples.
    """
    if one.draws.shape != other.draws.shape:
        raise DataError(
            f"a paired interval needs equally many resamples on both sides, got {len(one.draws)} and "
            f"{len(other.draws)}: measure both with one `num_draws`."
        )
    return Difference(one.mean - other.mean, *_percentiles(one.draws - other.draws, level))


def _with_intervals(per_query: Tensor, draws: Tensor, seed: int, level: float) -> LdsResult:
    over_queries = bootstrap_interval(per_query, seed, num_draws=len(draws), level=level)
    return LdsResult(float(per_query.mean()), *over_queries, *_percentiles(draws, level), per_query, draws)


def _partial(r_pm: Tensor, r_pb: Tensor, r_mb: Tensor) -> Tensor:
    """Correlation of p and m given b; 0 where b is either of them, whichever way round."""
    left_over = (1 - r_pb**2) * (1 - r_mb**2)
    is_explained = torch.minimum(1 - r_pb**2, 1 - r_mb**2) < EXPLAINED
    return torch.where(is_explained, 0.0, (r_pm - r_pb * r_mb) / left_over.masked_fill(is_explained, 1.0).sqrt())


def bootstrap_interval(
    values: Float[Tensor, " Q"], seed: int, *, num_draws: int = NUM_DRAWS, level: float = LEVEL
) -> Interval:
    """Percentile interval of the mean when the values are resampled with replacement.

    Raises:
        ConfigError: ``num_draws`` is below 1, or ``level`` not between 0 and 1.
        DataError: There is no value.
        NumericalError: A value is not finite.
    """
    if values.ndim != 1 or len(values) == 0:
        raise DataError(f"an interval needs a list of at least one value, got shape {tuple(values.shape)}.")
    _require_finite(values, "a value to resample")
    counts = _draw_counts(len(values), num_draws, seed).to(values.device)
    return _percentiles(values.double() @ counts / len(values), level)


def topk_overlap(a: Float[Tensor, "Q N"], b: Float[Tensor, "Q N"], k: int) -> float:
    """Mean over queries of |top-k of a ∩ top-k of b| ÷ k, in [0, 1]; equal scores rank in order of position.

    Raises:
        ConfigError: k is not between 1 and N.
        DataError: The shapes differ.
        NumericalError: A score is not finite.
    """
    if a.shape != b.shape or a.ndim != 2 or len(a) == 0:
        raise DataError(
            f"overlap compares two score matrices of one shape (Q, N), got {tuple(a.shape)} and {tuple(b.shape)}."
        )
    return float((_is_among_top(a, k) & _is_among_top(b, k)).sum(1).double().mean() / k)


def top_positions(scores: Float[Tensor, "*rest N"], k: int) -> Tensor:
    """Positions of the k highest scores along the last axis, highest first; equal scores in order of position.

    Raises:
        ConfigError: k is not between 1 and N.
        NumericalError: A score is not finite.
    """
    if not 1 <= k <= scores.shape[-1]:
        raise ConfigError(f"k must be between 1 and the {scores.shape[-1]} train examples, got {k}.")
    _require_finite(scores, "a score")
    return scores.sort(dim=-1, descending=True, stable=True).indices[..., :k]


def _is_among_top(scores: Tensor, k: int) -> Tensor:
    return torch.zeros(scores.shape, dtype=torch.bool, device=scores.device).scatter_(
        1, top_positions(scores, k), True
    )


def _predicted_losses(scores: Tensor, masks: Tensor, losses: Tensor) -> Tensor:
    """(Q, S) float64: minus the summed score of each subset."""
    fits = scores.ndim == masks.ndim == losses.ndim == 2
    if not fits or masks.shape[1] != scores.shape[1] or losses.shape != (len(masks), len(scores)):
        raise DataError(
            "LDS needs scores (Q, N), masks (S, N) and losses (S, Q), got "
            f"{tuple(scores.shape)}, {tuple(masks.shape)} and {tuple(losses.shape)}: use the same queries and train "
            "examples, in the same order, for the scores and the retraining."
        )
    if len(scores) == 0 or len(masks) < 2:
        raise DataError(f"LDS needs a query and at least 2 subsets, got {len(scores)} and {len(masks)}.")
    if masks.dtype != torch.bool:
        raise DataError(f"masks must be true or false, got {masks.dtype}.")
    _require_finite(scores, "a score")
    _require_finite(losses, "a loss")
    return _tied(-(scores.double() @ masks.double().T), scores.double().abs().sum(-1, keepdim=True))


def _measured_losses(losses: Tensor) -> Tensor:
    """(Q, S) float64."""
    measured = losses.double().T
    return _tied(measured, measured.abs().amax(-1, keepdim=True))


def _tied(values: Tensor, scale: Tensor) -> Tensor:
    """Values along the last axis of which neighbours within the rounding of a sum of that scale are made equal.

    Sums that are equal in exact arithmetic differ in their last bits, in an order that depends on the processor.
    """
    ordered, order = values.sort(dim=-1)
    is_first = torch.ones(values.shape, dtype=torch.bool, device=values.device)
    is_first[..., 1:] = ordered.diff(dim=-1) > ROUNDING * scale
    place = torch.arange(values.shape[-1], device=values.device).expand(values.shape)
    first = torch.where(is_first, place, 0).cummax(-1).values
    return torch.empty_like(values).scatter_(-1, order, ordered.gather(-1, first))


def _require_finite(values: Tensor, what: str) -> None:
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise NumericalError(
            f"{what} must be finite, {bad} of {values.numel()} are not: look at where they came from."
        )


def _draw_counts(size: int, num_draws: int, seed: int) -> Tensor:
    """(size, num_draws) float64: how often each item is in each resample of ``size`` items."""
    if num_draws < 1:
        raise ConfigError(f"num_draws must be at least 1, got {num_draws}.")
    drawn = torch.randint(size, (size, num_draws), generator=torch.Generator().manual_seed(seed))
    return torch.zeros(size, num_draws, dtype=torch.float64).scatter_add_(
        0, drawn, torch.ones(size, num_draws, dtype=torch.float64)
    )


def _percentiles(draws: Tensor, level: float) -> Interval:
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}; 0.95 is usual.")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=draws.dtype, device=draws.device)
    low, high = draws.quantile(ends)
    return Interval(float(low), float(high))


def _resampled_spearman(a: Tensor, b: Tensor, counts: Tensor) -> Tensor:
    """Spearman of two (S,) lists in every resample, (draws,)."""
    return _weighted_pearson(_share_below(a) @ counts, _share_below(b) @ counts, counts, 0)


def _share_below(values: Tensor) -> Tensor:
    """(S, S): entry (i, j) is 1 where value j is below value i, ½ where they are equal."""
    row, column = values[None, :], values[:, None]
    return (row < column).double() + (row == column).double() / 2


def _weighted_pearson(a: Tensor, b: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Pearson correlation along an axis, 0 where either side is constant."""
    weights = weights.expand(a.shape)
    total = weights.sum(axis, keepdim=True)
    a = a - (weights * a).sum(axis, keepdim=True) / total
    b = b - (weights * b).sum(axis, keepdim=True) / total
    variances = (weights * a * a).sum(axis) * (weights * b * b).sum(axis)
    covariance = (weights * a * b).sum(axis)
    # Ranks are multiples of ½, so a constant side is exactly constant and any other one far from it.
    is_constant = variances < 1e-6
    return torch.where(is_constant, 0.0, covariance / variances.masked_fill(is_constant, 1.0).sqrt())
