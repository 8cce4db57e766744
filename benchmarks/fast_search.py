"""Fast search beside exact search over a large synthetic index, and questions of a paragraph.

The index is a real one resampled (``benchmarks.synthetic_index``) and the questions are captured by its model::

    lorif demo DEMO && lorif index DEMO --model sample_data/model --budget 2000B --max-length 64
    python -m benchmarks.fast_search DEMO --texts 1000000 --questions 50
    python -m benchmarks.fast_search DEMO --texts 200000 --questions 8 --tokens 60 -k 10

A question is the end of a random text: its last words are explained, or with ``--tokens`` as many tokens of texts
that follow one another; the demo's model reads 64 at most. Times are of a process that has checked the files already,
from the preconditioned question to the ranked list. Recall of hits counts every text above z = 6 of the exact scores
that fast search scored in full, and recall@k the exact list's texts that are in the fast one.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.synthetic_index import resample
from lorif_core.cli.process import keep_freed_memory
from lorif_core.config import ScoreConfig
from lorif_core.passes.cascade import Found, search_by_cascade
from lorif_core.passes.cascade_plan import Forced, Summand
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.ranking import rank_examples
from lorif_core.passes.scoring import FittedIndex, ScoringPlan, plan_scoring, scores_per_product
from lorif_core.store.manifest import MANIFEST
from lorif_core.store.reader import StoreReader
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.workspace import open_workspace

SHORT_WORDS = 2
"""Words of a short question's completion."""


def questions_of(index: OpenIndex, count: int, num_tokens: int | None, seed: int) -> list[Query]:
    """Random texts as questions: their last words, or a stretch of so many tokens."""
    generator = random.Random(seed)
    texts = [example.plain_text for example in index.examples.iter_examples()]
    loaded, found = index.engine.loaded, list[Query]()
    for number in range(count):
        at = generator.randrange(len(texts))
        if num_tokens is None:
            words = texts[at].split(" ")
            prompt, completion = " ".join(words[:-SHORT_WORDS]), " " + " ".join(words[-SHORT_WORDS:])
            found.append(encode_question(Question(prompt=prompt, completion=completion), loaded, str(number)).query)
            continue
        whole = "\n".join(texts[(at + step) % len(texts)] for step in range(num_tokens // 4))
        ids = loaded.tokenizer(whole)["input_ids"][: num_tokens + 1]
        first, rest = str(loaded.tokenizer.decode(ids[:1])), str(loaded.tokenizer.decode(ids[1:]))
        asked = Question(prompt=first, completion=rest)
        found.append(encode_question(asked, loaded, str(number)).query)
    return found


def measure(
    index: OpenIndex, reader: StoreReader, queries: Sequence[Query], k: int, forced: Forced
) -> dict[str, Any]:
    """Seconds, CPU seconds and recall of fast search over all questions, and the same times of exact search."""
    fitted = FittedIndex(reader, index.engine.method, index.fitted.curvature)
    settings = ScoreConfig(normalisation="unit")
    rows: list[dict[str, Any]] = []
    for query in queries:
        with index.engine.gradients() as source:
            gradients = capture_queries(source, [query], settings)
        started = time.perf_counter(), time.process_time()
        plan = plan_scoring(fitted, gradients, settings)
        planned = time.perf_counter() - started[0], time.process_time() - started[1]
        found, fast = _timed(lambda plan=plan: _fast(plan, k, forced))
        exact, slow = _timed(lambda plan=plan: _exact(plan, k))
        rows.append(_compare(found, exact, k) | {"fast": fast, "exact": slow, "planning": planned})
    return _summary(rows)


def _fast(plan: ScoringPlan, k: int, forced: Forced) -> Found:
    return search_by_cascade([Summand(plan.reader, plan.queries, scores_per_product(plan))], k, forced=forced)


def _exact(plan: ScoringPlan, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    kept: list[torch.Tensor] = []
    ranking = rank_examples(plan, k=k, num_opposing=0, on_scores=lambda scores, _: kept.append(scores[0].clone()))
    return ranking.supports.of_query(0)[0], torch.cat(kept)


def _timed(work: Any) -> tuple[Any, tuple[float, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, (time.perf_counter() - wall, time.process_time() - cpu)


def _compare(found: Found, exact: tuple[torch.Tensor, torch.Tensor], k: int) -> dict[str, Any]:
    best, scores = exact
    far = torch.nonzero(scores > scores.mean() + 6 * scores.std())[:, 0].tolist()
    scored = set(found.scored.tolist())
    return {
        "recall": len(set(best.tolist()) & set(found.positions.tolist())) / k,
        "num_hits": len(far),
        "hits_found": sum(one in scored for one in far),
        "report": found.report,
    }


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    reports = [row["report"] for row in rows]
    hits = sum(row["num_hits"] for row in rows)

    def median(name: str, place: int) -> float:
        return statistics.median(row[name][place] for row in rows)

    expected = [one.expected_hit_recall for one in reports if one.expected_hit_recall is not None]
    return {
        "questions": len(rows),
        "recall_at_k": statistics.mean(row["recall"] for row in rows),
        "worst_recall_at_k": min(row["recall"] for row in rows),
        "expected_recall_at_k": statistics.mean(one.expected_recall for one in reports),
        "hits_above_6": hits,
        "recall_of_hits": sum(row["hits_found"] for row in rows) / hits if hits else None,
        "expected_recall_of_hits": statistics.mean(expected) if expected else None,
        "fast_s": median("fast", 0),
        "fast_s_most": max(row["fast"][0] for row in rows),
        "fast_cpu_s": median("fast", 1),
        "exact_s": median("exact", 0),
        "exact_cpu_s": median("exact", 1),
        "planning_s": median("planning", 0),
        "planning_cpu_s": median("planning", 1),
        "share_read": statistics.mean(one.share_read for one in reports),
        "terms_read": statistics.mean(one.num_terms for one in reports),
        "all_terms": reports[0].num_all_terms,
        "candidates": statistics.median(one.num_candidates for one in reports),
        "query_ranks": sorted({str(one.query_rank) for one in reports}),
        "proved": sum(one.is_proved for one in reports),
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.fast_search", description=__doc__)
    parser.add_argument("workspace", type=Path, help="a workspace with an index of sign codes and its model")
    parser.add_argument("--index", default=None, help="id of the index; unset: the newest")
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=None, help="tokens of a question; unset: its last two words")
    parser.add_argument("--seed", type=int, default=1, help="of the questions that are drawn")
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument(
        "--folder", type=Path, default=None, help="keep the synthetic index here, and use what is there"
    )
    parser.add_argument("--query-rank", type=int, default=None, help="force how many directions are read")
    parser.add_argument("--terms", type=int, default=None, help="force how many terms are read")
    arguments = parser.parse_args()
    keep_freed_memory()
    index = open_workspace(arguments.workspace).indexes.open(arguments.index)
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        reader = (
            StoreReader(folder) if (folder / MANIFEST).exists() else resample(index.reader, folder, arguments.texts)
        )
        queries = questions_of(index, arguments.questions, arguments.tokens, arguments.seed)
        for shard in reader.iter_shards():  # checks every file
            shard.norms()
        before = os.getloadavg()
        forced = Forced(num_terms=arguments.terms, query_rank=arguments.query_rank)
        found = measure(index, reader, queries, arguments.k, forced)
    facts = {
        "texts": reader.manifest.num_examples,
        "bytes_per_text": reader.manifest.shard_bytes / reader.manifest.num_examples,
    }
    load = {"load_before": before, "load_after": os.getloadavg(), "threads": torch.get_num_threads()}
    print(json.dumps(facts | load | found, indent=1))


if __name__ == "__main__":
    main()
