"""Many queries as plans for passes over an index: captured a few at a time, cut, and put together up to a limit."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from lorif_core.config import ScoreConfig
from lorif_core.linalg.scores import RANK_TOLERANCE
from lorif_core.passes.plan_batches import PlanBatch, has_few_directions, largest_left_out
from lorif_core.passes.queries import Query
from lorif_core.passes.refined_queries import ModelRefinement, worst_of
from lorif_core.passes.scoring import ScoringPlan
from lorif_core.views.search_report import MissingParts
from lorif_core.workspace.asking.choose_search import refuse_refinement_with_workers
from lorif_core.workspace.asking.member_plans import plan_few
from lorif_core.workspace.asking.query_limits import MEGABYTE, PassReport, QueryLimits
from lorif_core.workspace.asking.scanner import Scanner, TakeScores
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.indexes.open_index import OpenIndex

CAPTURED_NUMBERS = 1 << 24
"""Numbers of whole gradients that are captured at a time (64 MB); a few copies of them are alive meanwhile."""

DIRECTIONS_AT_ONCE = 32
"""Queries that are captured at a time where no whole gradients are formed."""

REFINED_NUMBERS = 1 << 26
"""The same where queries are refined: each time takes passes of its own over the index."""

ON_DEVICE_NUMBERS = 1 << 26
"""Numbers of query matrices and scores of a pass on a GPU."""


class QueryPass(NamedTuple):
    """Queries of one pass over the index."""

    rows: slice
    """Which of all queries."""

    plans: list[ScoringPlan]
    """Per member of the index's scores."""

    report: PassReport
    """Of this pass alone."""

    refinement: ModelRefinement | None
    """By the model; None: there was none."""


def iter_passes(
    index: OpenIndex,
    queries: Sequence[Query],
    settings: ScoreConfig,
    limits: QueryLimits,
    *,
    most_queries: int | None,
    on_progress: ProgressSink,
) -> Iterator[QueryPass]:
    """The passes that some queries take.

    Args:
        index: What is asked.
        queries: What is explained.
        settings: Objective and damping.
        limits: Of their memory.
        most_queries: Of one pass at most, whatever they take; None: no limit.
        on_progress: Receives ("queries", captured, all).

    Raises:
        ConfigError: The method or the index cannot take what is asked.
    """
    group, first = _captured_at_once(index, queries, settings), 0
    most = min(most_queries or len(queries), _most_on_device(index) or len(queries))
    while first < len(queries):
        batches = [PlanBatch(limits.query_tolerance or RANK_TOLERANCE) for _ in range(_num_members(index))]
        stop = first
        while stop < len(queries) and stop - first < most:
            some = queries[stop : min(stop + group, first + most)]
            for batch, plan in zip(batches, plan_few(index, some, settings), strict=True):
                batch.add(plan)
            stop += len(some)
            on_progress("queries", stop, len(queries))
            taken = sum(batch.nbytes for batch in batches)
            # Twice: parts and what they are joined to are alive together. The next ones will take as much each.
            if 2 * taken * (1 + group / (stop - first)) > limits.query_memory_mb * MEGABYTE:
                break
        report = PassReport(
            1, sum(batch.nbytes for batch in batches), largest_left_out(batches), limits.query_tolerance
        )
        yield QueryPass(slice(first, stop), [batch.joined() for batch in batches], report, batches[0].refinement)
        first = stop


class PassesDone(NamedTuple):
    """What is said of all passes together."""

    report: PassReport
    num_scores: int
    missing: MissingParts | None
    """None: every text was scored in every pass."""


def score_in_passes(
    index: OpenIndex,
    queries: Sequence[Query],
    settings: ScoreConfig,
    limits: QueryLimits,
    *,
    scanner: Scanner,
    begin_pass: Callable[[slice], TakeScores],
    on_progress: ProgressSink,
) -> PassesDone:
    """Score all texts on some queries, in as few passes over the index as the limits allow.

    Args:
        index: What is asked.
        queries: What is explained.
        settings: Objective and damping.
        limits: Of the queries' memory.
        scanner: Who scans the index.
        begin_pass: Receives which queries come next, and gives what receives their scores.
        on_progress: Receives ("queries", captured, all) and ("scores", scores done, all), pass by pass.

    Raises:
        ArtefactError: Something of the index cannot be read.
        ConfigError: The method or the index cannot take what is asked.
    """
    if scanner.has_workers:
        refuse_refinement_with_workers(settings)
    num_scores, total = 0, len(queries) * index.reader.manifest.num_examples
    missing, reports, refined = None, list[PassReport](), list[ModelRefinement | None]()
    most = scanner.most_queries(index.reader)
    for one in iter_passes(index, queries, settings, limits, most_queries=most, on_progress=on_progress):
        take = begin_pass(one.rows)

        def take_and_count(start: int, scores: Tensor, take: TakeScores = take) -> None:
            nonlocal num_scores
            take(start, scores)
            num_scores += scores.numel()
            on_progress("scores", num_scores, total)

        lacking = scanner.each(one.plans, take_and_count)
        missing = missing if lacking is None else lacking.joined(missing)
        reports.append(one.report)
        refined.append(one.refinement)
    worst = worst_of(refined)
    report = PassReport(
        len(reports),
        max((one.query_bytes for one in reports), default=0),
        max((one.left_out for one in reports), default=0.0),
        limits.query_tolerance,
        None if worst is None else worst.sentence,
    )
    return PassesDone(report, num_scores, missing)


def _captured_at_once(index: OpenIndex, queries: Sequence[Query], settings: ScoreConfig) -> int:
    if has_few_directions(index.fitted, queries, settings):
        return DIRECTIONS_AT_ONCE
    numbers = REFINED_NUMBERS if settings.refine else CAPTURED_NUMBERS
    return max(1, numbers // (_num_members(index) * _numbers_per_query(index)))


def _most_on_device(index: OpenIndex) -> int | None:
    """Queries of a pass on a GPU; None: the processor makes it."""
    if index.fitted.scored_on is None:
        return None
    per_query = _num_members(index) * _numbers_per_query(index) + index.reader.manifest.num_examples
    return max(1, ON_DEVICE_NUMBERS // per_query)


def _num_members(index: OpenIndex) -> int:
    return 1 if index.members is None else index.members.count


def _numbers_per_query(index: OpenIndex) -> int:
    return sum(module.dim for module in index.reader.modules)
