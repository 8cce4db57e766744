"""The build that tools for attribution are timed by: GPT-2 of 4 layers × 256, 1,000 texts of 128 tokens, one thread.

Everything is a run of `lorif` as a person would start it: the default method with its statistics, then twenty
questions of 127 predicted tokens. Processor seconds are those of the whole process, start-up and loading apart, which
are measured by a build of the same index that is found finished.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from benchmarks.commands import Used, used_by

NUM_TEXTS, NUM_QUESTIONS, LENGTH = 1000, 20, 128
VOCABULARY = 4096

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), action="append", help="may be repeated")
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds in which the settings take turns; the median counts"
    )
    parser.add_argument("options", nargs="*", help="further options of `lorif index`, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorif-peers-") as folder:
        root = Path(folder)
        write_problem(root)
        found: dict[str, list[dict[str, Any]]] = {}
        for number in range(arguments.rounds):
            for precision in arguments.precision or ["float32", "bfloat16"]:
                row = measure(root, root / f"{precision}-{number}", precision, arguments.options)
                print(json.dumps({precision: row}), file=sys.stderr)
                found.setdefault(precision, []).append(row)
    print(json.dumps({name: _median(rows) for name, rows in found.items()}, indent=1))


def write_problem(root: Path) -> None:
    """A randomly initialised model, its tokenizer of whole words, texts and questions of random ones."""
    words = [f"w{number}" for number in range(VOCABULARY - 1)]
    vocabulary = {"<end>": 0} | {word: number + 1 for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>").save_pretrained(
        root / "model"
    )
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=256, n_layer=4, n_head=8)
    GPT2LMHeadModel(config).save_pretrained(root / "model")
    generator = random.Random(0)
    with (root / "texts.jsonl").open("w") as file:
        for number in range(NUM_TEXTS):
            file.write(json.dumps({"id": f"t{number}", "text": " ".join(generator.choices(words, k=LENGTH))}) + "\n")
    with (root / "questions.jsonl").open("w") as file:
        for number in range(NUM_QUESTIONS):
            chosen = generator.choices(words, k=LENGTH)
            row = {"id": f"q{number}", "prompt": chosen[0], "completion": " " + " ".join(chosen[1:])}
            file.write(json.dumps(row) + "\n")


def measure(root: Path, workspace: Path, precision: str, options: list[str]) -> dict[str, Any]:
    """Texts per processor second, peak memory and the processor seconds of twenty questions."""
    _used("import", str(workspace), str(root / "texts.jsonl"))
    index = ["index", str(workspace), "--model", str(root / "model"), "--precision", precision, *options]
    built, reopened = _used(*index), _used(*index)
    score = [
        "score",
        str(workspace),
        "--queries",
        str(root / "questions.jsonl"),
        "--out",
        str(workspace / "s.parquet"),
    ]
    asked = _used(*score)
    seconds = built.cpu_seconds - reopened.cpu_seconds
    return {
        "build_cpu_seconds": seconds,
        "start_cpu_seconds": reopened.cpu_seconds,
        "texts_per_cpu_second": NUM_TEXTS / seconds,
        "peak_bytes": built.peak_bytes,
        "twenty_questions_cpu_seconds": asked.cpu_seconds - reopened.cpu_seconds,
        "twenty_questions_peak_bytes": asked.peak_bytes,
    }


def _used(*command: str) -> Used:
    return used_by(*command, environment=ONE_THREAD)


def _median(rows: list[dict[str, Any]]) -> dict[str, Any]:
    ordered = sorted(rows, key=lambda row: row["build_cpu_seconds"])
    return ordered[len(ordered) // 2]


if __name__ == "__main__":
    main()
