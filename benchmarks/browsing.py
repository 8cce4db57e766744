"""Import, full-text index and page operations on a large synthetic data set: seconds and peak memory.

Each step runs in a process of its own, so that its peak memory is its own. Beside the seconds on the clock
stand those of all threads on the processor, which other programs on the machine do not change much::

    python -m benchmarks.browsing --rows 1000000
"""

import argparse
import itertools
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lorif_core.corpus import (
    Corpus,
    ExamplesFile,
    Filter,
    FullText,
    Range,
    SideTables,
    SortKey,
    TextSearch,
    build_fulltext,
)
from lorif_core.data.examples import ExampleTable

VOCABULARY = 50_000
ROUNDS = 5
STEPS = ("import", "fulltext", "browse")


def measure(num_rows: int, folder: Path) -> dict[str, Any]:
    """Seconds and peak bytes of each step."""
    data = folder / "examples.jsonl"
    write_data(data, num_rows)
    results: dict[str, Any] = {"rows": num_rows, "data_bytes": data.stat().st_size}
    for step in STEPS:
        print(f"measuring {step} …", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.browsing", "--step", step, "--folder", str(folder)]
        results[step] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return results


def write_data(path: Path, num_rows: int) -> None:
    """Texts of about 30 words, whose frequencies fall as 1 / rank, and five columns of metadata."""
    generator = random.Random(0)
    words = [
        f"{_syllable(number % 80)}{_syllable(number // 80 % 80)}{number // 6400 or ''}"
        for number in range(VOCABULARY)
    ]
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(VOCABULARY)))
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            row = {
                "id": f"t{number:07d}",
                "text": " ".join(generator.choices(words, cum_weights=weights, k=generator.randint(20, 40))),
                "source": f"source{generator.randrange(8)}",
                "year": generator.randint(1990, 2025),
                "score": round(generator.gauss(0, 1), 6),
                "lang": f"lang{min(int(generator.expovariate(0.2)), 39)}",
                "author": f"author{generator.randrange(100_000)}",
            }
            file.write(json.dumps(row) + "\n")


def _syllable(number: int) -> str:
    return f"{'bcdfghklmnprstvz'[number % 16]}{'aeiou'[number // 16]}"


class Seconds(NamedTuple):
    clock: float
    processor: float


def run_step(step: str, folder: Path) -> dict[str, Any]:
    """What one child process measures."""
    found = {"import": _import, "fulltext": _index, "browse": lambda folder: dict(_browse(folder))}[step](folder)
    return {**found, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _import(folder: Path) -> dict[str, Any]:
    from lorif_core.workspace.workspace import create_workspace  # loads torch: not for the other steps

    workspace = create_workspace(folder / "workspace")
    return {"import and index": _timed(lambda: workspace.data.import_files(folder / "examples.jsonl"))}


def _index(folder: Path) -> dict[str, Any]:
    file, path = _examples(folder), folder / "search.sqlite"
    return {"index alone": _timed(lambda: build_fulltext(file, path)), "size_bytes": path.stat().st_size}


def _examples(folder: Path) -> ExamplesFile:
    (path,) = folder.glob("workspace/datasets/*/examples.parquet")
    table = ExampleTable(path)
    return ExamplesFile(
        path,
        table.shown_columns,
        tuple(table.metadata_columns),
        tuple(table.json_columns),
        table.fingerprint,
    )


def _browse(folder: Path) -> Iterator[tuple[str, Seconds]]:
    """Median seconds of each operation; of a search the first time, as its rows are remembered then."""
    file = _examples(folder)
    index = FullText(folder / "search.sqlite", file)
    yield "open and first page", _timed(lambda: Corpus(file, index).page())
    corpus = Corpus(file, index)
    two = Filter({"source": ("source1", "source2"), "year": Range(2000, 2010)})
    operations: dict[str, Callable[[], object]] = {
        "first page": corpus.page,
        "two facets": lambda: corpus.page(two),
        "sort by a number": lambda: corpus.page(sort=[SortKey("score", descending=True)]),
        "sort by a text": lambda: corpus.page(sort=[SortKey("author")]),
        "last page": corpus.last_page,
        "last page, sorted by a text": lambda: corpus.last_page(sort=[SortKey("author")]),
        "middle page, sorted by a text": lambda: corpus.page(
            sort=[SortKey("author")], offset=corpus.num_examples // 2
        ),
        "two facets, sorted, last page": lambda: corpus.last_page(two, sort=[SortKey("author")]),
        "count": lambda: corpus.count(two),
        "sample": lambda: corpus.sample(two, 20, seed=1),
        "all facets": corpus.facets,
        "all facets under two choices": lambda: corpus.facets(two),
    }
    for name, operation in operations.items():
        yield name, _median(_timed(operation) for _ in range(ROUNDS))
    decisions = SideTables(
        corpus.sample(n=corpus.num_examples // 10, columns=["train_id"]).with_columns(status=pl.lit("flagged"))
    )
    flagged = Filter(statuses=frozenset({"flagged"}))
    yield "status, a tenth flagged", _timed(lambda: corpus.page(flagged, beside=decisions))
    corpus.close()
    searches = {
        "contains": TextSearch("contains", "Bacad"),
        "regex": TextSearch("regex", r"\bb.c\w+ \w+ k"),
        "words, rare": TextSearch("words", "fine"),
        "words, two": TextSearch("words", "keca paba"),
        "words, in a fifth": TextSearch("words", "paba"),
        "words, in nine tenths": TextSearch("words", "baba"),
    }
    for name, search in searches.items():
        yield name, _median(_timed_search(file, index, search) for _ in range(ROUNDS))


def _timed(operation: Callable[[], object]) -> Seconds:
    clock, processor = time.perf_counter(), time.process_time()
    operation()
    return Seconds(time.perf_counter() - clock, time.process_time() - processor)


def _median(times: Iterable[Seconds]) -> Seconds:
    clocks, processors = zip(*times, strict=True)
    return Seconds(statistics.median(clocks), statistics.median(processors))


def _timed_search(file: ExamplesFile, index: FullText, search: TextSearch) -> Seconds:
    sort = [SortKey(of="relevance", descending=True)] if search.mode == "words" else []
    with Corpus(file, index, time_limit_s=None) as corpus:
        return _timed(lambda: corpus.page(Filter(search=search), sort=sort))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.browsing", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="examples of the synthetic data set")
    parser.add_argument("--step", choices=STEPS, help="run one step in a folder that has the ones before")
    parser.add_argument("--folder", type=Path, help="of --step")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(run_step(arguments.step, arguments.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        results = measure(arguments.rows, Path(folder))
    print(json.dumps(results, indent=1))
    for step in STEPS:
        for name, value in results[step].items():
            is_size = name.endswith("bytes")
            shown = f"{value / 2**20:,.0f} MiB" if is_size else f"{value[0]:.3f} s, processor {value[1]:.3f} s"
            print(f"{step:<10} {name:<32} {shown}", file=sys.stderr)


if __name__ == "__main__":
    main()
