"""Lines of an LDS table: plain and partial scores with their intervals, and what they are above or below others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

from torch import Tensor

from lorif_core.config import ScoreConfig
from lorif_core.errors import DataError
from lorif_core.evaluation.truth import GroundTruth
from lorif_core.metrics.correlation import LdsResult, lds_difference, lds_intervals, partial_lds_intervals
from lorif_core.workspace.quality.scored import CandidateName, Scored


@dataclass(frozen=True, kw_only=True)
class LdsRow:
    """One candidate's line of the table."""

    candidate: str
    label: str
    normalisation: str
    lds: float
    queries_low: float
    """95 % interval over queries."""

    queries_high: float
    subsets_low: float
    """95 % interval over subsets."""

    subsets_high: float

    partial: float | None
    """Partial LDS given shared target tokens; None for that score itself."""

    partial_queries_low: float | None
    partial_queries_high: float | None
    partial_subsets_low: float | None
    partial_subsets_high: float | None

    difference: float | None = None
    """LDS minus that of the row with the best one, or of the one that was asked for; None: it is that row."""

    difference_low: float | None = None
    """95 % interval over subsets, paired: both rows are measured on the same ones."""

    difference_high: float | None = None

    partial_difference: float | None = None
    """Likewise of the partial LDS, to the row with the best one of these."""

    partial_difference_low: float | None = None
    partial_difference_high: float | None = None

    num_subsets: int
    """Retrained subsets that it rests on."""

    planned_subsets: int
    """How many the truth was to have; more than there are where retraining ended early."""

    codes_bytes: float | None
    """Shard bytes per example."""

    total_bytes: float | None
    """Everything on disk ÷ N."""

    build_seconds: float | None
    query_seconds: float
    damping_ratio: float | None = None
    """As it was asked for; None: the index's own."""

    subspace_rank: int | None = None
    """As it was asked for; None: all of the index's directions."""

    query_rank: int | None = None
    """As it was asked for; None: all."""


class _Measured(NamedTuple):
    row: LdsRow
    plain: LdsResult
    partial: LdsResult | None


def lds_rows(
    candidates: Iterable[Scored], truth: GroundTruth, words: Scored, against: CandidateName | None = None
) -> list[LdsRow]:
    """Best plain score first.

    Args:
        candidates: Measured one by one, so that no more than one's scores are in memory.
        truth: What really happened.
        words: The score that knows no model; partial scores are given it.
        against: Whose first line the others are compared with. None: the best plain, and the best partial one.

    Raises:
        DataError: Ground truth and scores do not fit together.
    """
    _check_truth(truth, words.scores)
    measured = [_measure(one, truth, words) for one in candidates]
    measured.sort(key=lambda one: -one.row.lds)
    others = [one for one in measured if one.partial is not None]
    plain, partial = measured[:1], sorted(others, key=lambda one: -(one.row.partial or 0.0))[:1]
    if against is not None:
        plain = sorted((one for one in measured if one.row.candidate == str(against)), key=_is_normalised)[:1]
        partial = [one for one in plain if one.partial is not None]
    for base in plain:
        measured = [_above(one, base.plain, "plain", "difference") for one in measured]
    for base in partial:
        measured = [_above(one, base.partial, "partial", "partial_difference") for one in measured]
    return [one.row for one in measured]


def _is_normalised(measured: _Measured) -> bool:
    return measured.row.normalisation != "none"


def _measure(scored: Scored, truth: GroundTruth, words: Scored) -> _Measured:
    _check_truth(truth, scored.scores)
    plain, partial = lds_intervals(scored.scores, truth.masks, truth.losses), None
    if scored.candidate != words.candidate:
        partial = partial_lds_intervals(scored.scores, words.scores, truth.masks, truth.losses)
    asked = scored.asked or ScoreConfig()
    row = LdsRow(
        candidate=str(scored.candidate),
        label=scored.label,
        normalisation=scored.normalisation,
        lds=plain.mean,
        queries_low=plain.queries_low,
        queries_high=plain.queries_high,
        subsets_low=plain.subsets_low,
        subsets_high=plain.subsets_high,
        partial=partial and partial.mean,
        partial_queries_low=partial and partial.queries_low,
        partial_queries_high=partial and partial.queries_high,
        partial_subsets_low=partial and partial.subsets_low,
        partial_subsets_high=partial and partial.subsets_high,
        num_subsets=len(truth.masks),
        planned_subsets=truth.planned_subsets,
        codes_bytes=scored.codes_bytes,
        total_bytes=scored.total_bytes,
        build_seconds=scored.build_seconds,
        query_seconds=scored.query_seconds,
        damping_ratio=asked.damping_ratio,
        subspace_rank=asked.subspace_rank,
        query_rank=asked.query_rank,
    )
    return _Measured(row, plain, partial)


def _above(measured: _Measured, base: LdsResult | None, side: str, field: str) -> _Measured:
    """The same with its difference to the base, unless it is the base."""
    own: LdsResult | None = attrgetter(side)(measured)
    if own is None or base is None or own is base:
        return measured
    found = lds_difference(own, base)
    fields = {field: found.value, f"{field}_low": found.low, f"{field}_high": found.high}
    return measured._replace(row=replace(measured.row, **fields))


def _check_truth(truth: GroundTruth, scores: Tensor) -> None:
    num_subsets, num_examples = truth.masks.shape
    if scores.shape != (truth.losses.shape[1], num_examples):
        raise DataError(
            f"the ground truth holds {truth.losses.shape[1]} questions over {num_examples} texts, in {num_subsets} "
            f"subsets; {scores.shape[0]} questions over {scores.shape[1]} texts were scored. Pass the files that "
            "it was made with (rows that were rejected at import count: `lorif import --keep-empty`)."
        )
