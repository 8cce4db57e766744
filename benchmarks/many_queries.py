"""A file of questions in one pass over a synthetic index, beside one question.

The index is a real one resampled (``benchmarks.synthetic_index``), and the questions are ends of its texts::

    lorif demo DEMO && lorif index DEMO --model sample_data/model --budget 2000B --max-length 64
    python -m benchmarks.many_queries DEMO --texts 60000 --questions 1000 --tolerance 0.1

Times are of the pass, from the preconditioned questions to the scores of all texts, which are not written; files were
checked before. ``capture_s`` is what stands before it. One question is the median of ``--singles`` of them, planned
as `lorif ask` does. ``recall_at_10`` is that of the lists, and ``largest_error`` the largest difference of a score,
in standard deviations of the question's scores, both against each question by itself, of the first ``--singles``.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.fast_search import questions_of
from benchmarks.synthetic_index import resample
from lorif_core.cli.process import keep_freed_memory
from lorif_core.config import ScoreConfig
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import FittedIndex, ScoringPlan, iter_scores, plan_scoring
from lorif_core.store.reader import StoreReader
from lorif_core.workspace.asking.query_limits import QueryLimits
from lorif_core.workspace.asking.query_passes import QueryPass, iter_passes
from lorif_core.workspace.folder.progress import no_progress
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.workspace import open_workspace

K = 10


def measure(
    index: OpenIndex, reader: StoreReader, queries: Sequence[Query], limits: QueryLimits, singles: int
) -> dict[str, Any]:
    """Times of all questions together and of some by themselves, and what the cut costs."""
    fitted = FittedIndex(reader, index.engine.method, index.fitted.curvature)
    alone = [_alone(index, fitted, query) for query in queries[:singles]]
    for _ in iter_scores(alone[0]):  # files are checked, memory is there
        pass
    one = [_timed(lambda plan=plan: _first_rows(plan, 1)) for plan in alone]
    started = time.perf_counter()
    synthetic = OpenIndex(**(vars(index) | {"fitted": fitted}))
    passes = list(iter_passes(synthetic, queries, ScoreConfig(), limits, most_queries=None, on_progress=no_progress))
    captured = time.perf_counter() - started
    before = _peak_mb()
    many = [_timed(lambda one=one: _first_rows(one.plans[0], singles)) for one in passes]
    of_one = statistics.median(wall for _, wall, _ in one), statistics.median(cpu for _, _, cpu in one)
    of_all = sum(wall for _, wall, _ in many), sum(cpu for _, _, cpu in many)
    return {
        "questions": len(queries),
        "texts": reader.manifest.num_examples,
        "tolerance": limits.query_tolerance,
        "passes": len(passes),
        "query_mb": max(one.report.query_bytes for one in passes) / 1e6,
        "left_out": max(one.report.left_out for one in passes),
        "directions": _directions(passes),
        "capture_s": captured,
        "one_s": of_one[0],
        "all_s": of_all[0],
        "ratio": of_all[0] / of_one[0],
        "one_cpu_s": of_one[1],
        "all_cpu_s": of_all[1],
        "cpu_ratio": of_all[1] / of_one[1],
        "peak_mb": _peak_mb(),
        "peak_before_pass_mb": before,
        **_compare([found[0] for found, _, _ in one], many[0][0]),
    }


def _alone(index: OpenIndex, fitted: FittedIndex, query: Query) -> ScoringPlan:
    with index.engine.gradients() as source:
        return plan_scoring(fitted, capture_queries(source, [query], ScoreConfig()), ScoreConfig())


def _first_rows(plan: ScoringPlan, count: int) -> Tensor:
    """A pass; the scores of the first questions, the others are let go."""
    return torch.cat([scores[:count].clone() for _, scores in iter_scores(plan)], 1)


def _timed(work: Callable[[], Tensor]) -> tuple[Tensor, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def _directions(passes: Sequence[QueryPass]) -> float:
    """Mean directions of a question in a module."""
    modules = [one for some in passes for one in some.plans[0].prepared.values()]
    ranks = [rank for one in modules for rank in getattr(one, "ranks", ())]
    return statistics.mean(ranks) if ranks else float("nan")


def _compare(exact: Sequence[Tensor], found: Tensor) -> dict[str, Any]:
    recalls, errors = list[float](), list[float]()
    for wanted, got in zip(exact, found, strict=False):
        best, ours = (set(scores.topk(K).indices.tolist()) for scores in (wanted, got))
        recalls.append(len(best & ours) / K)
        errors.append(float((wanted - got).abs().max() / wanted.std()))
    return {"recall_at_10": statistics.mean(recalls), "largest_error": max(errors)}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    """Build the index, ask, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="of a small real index of sign codes")
    parser.add_argument("--texts", type=int, default=60_000)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=None)
    parser.add_argument("--memory-mb", type=float, default=QueryLimits().query_memory_mb)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    keep_freed_memory()
    workspace = open_workspace(given.workspace)
    index = workspace.indexes.open(workspace.indexes.records()[-1].index_id)
    queries = questions_of(index, given.questions, None, given.seed)
    limits = QueryLimits(query_memory_mb=given.memory_mb, query_tolerance=given.tolerance)
    with tempfile.TemporaryDirectory() as folder:
        reader = resample(index.reader, Path(folder), given.texts, given.seed)
        found = measure(index, reader, queries, limits, given.singles)
    print(json.dumps(found | {"load": os.getloadavg()[0], "threads": torch.get_num_threads()}, indent=1))


if __name__ == "__main__":
    main()
