"""Looking for an answer word for word in every training text: seconds by the length of the answer, and peak memory.

One text in four ends with the same sentence, so that an answer can have a span which very many texts hold. The index
of the texts is built before, as any search for words needs it::

    python -m benchmarks.verbatim_search_speed --rows 200000
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

import lorif_core as lf
from benchmarks.browsing import VOCABULARY, write_data
from lorif_core.workspace.datasets.view import build_search

BOILERPLATE = "this text was written by volunteers and may be copied under the terms of the common licence"
LENGTHS = (20, 60, 200, 1000)


def write_texts(path: Path, num_rows: int) -> list[str]:
    """A JSONL file of texts of about 120 words each; the texts."""
    scratch = path.with_name("words.jsonl")
    write_data(scratch, 4 * num_rows)
    texts, parts = list[str](), list[str]()
    with scratch.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as file:
        for line in lines:
            parts.append(json.loads(line)["text"])
            if len(parts) == 4:
                end = f" {BOILERPLATE}." if len(texts) % 4 == 0 else ""
                texts.append(" ".join(parts) + end)
                file.write(json.dumps({"id": f"t{len(texts):07d}", "text": texts[-1]}) + "\n")
                parts.clear()
    scratch.unlink()
    return texts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.verbatim_search_speed", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=200_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as name:
        folder, generator = Path(name), random.Random(1)
        texts = write_texts(folder / "texts.jsonl", given.rows)
        workspace = lf.create_workspace(folder / "ws")
        workspace.data.import_files(folder / "texts.jsonl")
        started = time.perf_counter()
        build_search(workspace.files, workspace.files.choose_dataset(None).dataset_id)
        print(f"{given.rows:,} texts, {VOCABULARY:,} words; index built in {time.perf_counter() - started:.1f} s")
        answers = {f"{length} words": _answer(texts, length, generator) for length in LENGTHS}
        answers["boilerplate, 60 words"] = f"{_answer(texts, 43, generator)} {BOILERPLATE}"
        del texts
        for label, said in answers.items():
            began = time.process_time()
            found = workspace.data.verbatim(said)
            processor = time.process_time() - began
            first = found.texts[0].verbatim.longest if found.texts else 0
            print(
                f"{label:<24} {found.elapsed_s:7.2f} s, processor {processor:7.2f} s   "
                f"{found.num_holding:>7,} texts, longest {first} words",
                flush=True,
            )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10:,} MiB")


def _answer(texts: list[str], length: int, generator: random.Random) -> str:
    """Pieces of 12 words, every second one of a text of the data, the others of words in no order."""
    found: list[str] = []
    while len(found) < length:
        words = generator.choice(texts).split()
        start = generator.randrange(len(words) - 12)
        piece = words[start : start + 12]
        found += piece if len(found) % 24 == 0 else generator.sample(piece, 12)
    return " ".join(found[:length])


if __name__ == "__main__":
    main()
