"""Searches in texts of eight scripts: seconds to the first page, with the count, and peak memory.

Each search is the first of its kind in a process that has the file open::

    python -m benchmarks.searching --rows 1000000
"""

import argparse
import random
import resource
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.browsing import Seconds, _timed
from lorif_core.corpus import Corpus, ExamplesFile, Filter, FullText, SortKey, TextSearch, build_fulltext
from lorif_core.corpus.browse import Page
from lorif_core.corpus.where import parse_where

ROW_GROUP = 20_000
LETTERS = {
    "English": "abcdefghijklmnoprstuvwy",
    "German": "abcdefghijklmnoprstuvwäöüß",
    "Russian": "абвгдежзийклмнопрстуфхцчшщыьэюяё",
    "Hindi": "कखगघचछजझटठडढतथदधनपफबभमयरलवशषसहािीुेो्",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
}
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]
THAI = [one + mark for one in "กขคงจชซญดตถทธนบปผฝพฟภมยรลวศษสหอ" for mark in ("", "า", "ี", "ุ", "้", "่")]
SEARCHES = {
    "words, common": TextSearch("words", "abend"),
    "words, Chinese": TextSearch("words", "一丁"),
    "words, Thai": TextSearch("words", "กรุงเทพ"),
    "words, prefix": TextSearch("words", "a*"),
    "contains, rare": TextSearch("contains", "straße"),
    "contains, Chinese": TextSearch("contains", "丁一七"),
    "contains, one letter": TextSearch("contains", "e"),
    "regex, rare": TextSearch("regex", r"\bb.c\w+ \w+ k"),
    "regex, Chinese": TextSearch("regex", "一.丁"),
}


def iter_texts(num_rows: int) -> Iterator[str]:
    """Texts of 30 words, or as long in Chinese and Thai, each script in turn."""
    generator = random.Random(0)
    words = {
        name: ["".join(generator.choices(letters, k=generator.randint(2, 9))) for _ in range(5000)]
        for name, letters in LETTERS.items()
    }
    words["German"][0] = "Abend"
    weights = [1 / (rank + 1) for rank in range(len(HAN))]
    for number in range(num_rows):
        kind = number % 8
        if kind == 5:
            yield "，".join("".join(generator.choices(HAN, weights, k=10)) for _ in range(5)) + "。"
        elif kind == 6:
            yield "".join(generator.choices(THAI, k=60))
        elif kind == 7:  # accents stored apart, as macOS does
            yield " ".join(
                f"{word}e\u0301" if word < "d" else word for word in generator.choices(words["English"], k=30)
            )
        else:
            yield " ".join(generator.choices(words[list(LETTERS)[kind]], k=30))


def write_examples(path: Path, num_rows: int) -> ExamplesFile:
    """An ``examples.parquet`` of such texts."""
    texts = iter_texts(num_rows)
    schema = pa.schema([("train_id", pa.string()), ("text", pa.string()), ("year", pa.int64())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, num_rows, ROW_GROUP):
            rows = range(start, min(num_rows, start + ROW_GROUP))
            columns = [[f"t{row:07d}" for row in rows], [next(texts) for _ in rows], [row % 30 for row in rows]]
            writer.write_table(pa.table(columns, schema=schema))
    return ExamplesFile(path, ("text",), ("year",), (), str(num_rows))


def measure(file: ExamplesFile, folder: Path) -> Iterator[tuple[str, Seconds, int]]:
    """Name, seconds and number of texts found."""
    index = folder / "search.sqlite"
    yield "build of the index", _timed(lambda: build_fulltext(file, index)), file.path.stat().st_size >> 20
    for name, search in SEARCHES.items():
        orders = {"": [], ", by a column": [SortKey("year")]}
        if search.mode == "words":
            orders[", by relevance"] = [SortKey(of="relevance", descending=True)]
        for order, sort in orders.items():
            with Corpus(file, FullText(index, file), time_limit_s=None) as corpus:
                yield name + order, *_first_page(corpus, Filter(search=search), sort)
    for typed in ('text contains "straße"', 'text matches "stra(ß|ss)e"'):
        with Corpus(file, time_limit_s=None) as corpus:
            yield typed, *_first_page(corpus, Filter(where=parse_where(typed)), [])


def _first_page(corpus: Corpus, chosen: Filter, sort: Sequence[SortKey]) -> tuple[Seconds, int]:
    """Seconds to the first page, and what it says was found; its hits are marked in its texts."""
    pages: list[Page] = []
    seconds = _timed(lambda: pages.append(corpus.page(chosen, sort=sort)))
    if chosen.search is not None:
        corpus.snippets(chosen.search, pages[0].rows)
    return seconds, pages[0].total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.searching", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as name:
        file = write_examples(Path(name) / "examples.parquet", given.rows)
        for label, seconds, found in measure(file, Path(name)):
            print(
                f"{label:<36} {seconds.clock:8.3f} s, processor {seconds.processor:8.3f} s   {found:>9,}", flush=True
            )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10:,} MiB")


if __name__ == "__main__":
    main()
