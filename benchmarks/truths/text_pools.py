"""Where the texts of a truth come from: data files by path, or Python's standard library."""

import itertools
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.truths.docstring_texts import read_docstrings
from lorif_core.data.example import Example
from lorif_core.errors import ConfigError, DataError

Source = Literal["capitals", "docstrings", "gsm8k", "t0"]

SHARE_HELD_OUT = 0.1
"""Of pools that come in one piece."""

NUM_SMALL = 1280
"""Texts in small letters, from which those for fine-tuning are drawn."""

MIXTURES = 2
"""How often the base model reads each of its texts, in cases drawn anew."""

T0_SOURCES = ("ag_news", "common_gen", "gigaword", "quartz", "rotten_tomatoes", "samsum", "sciq", "trec")
"""What t0-gpt2 was fine-tuned on; its base model has seen none of them."""


class Pools(NamedTuple):
    """Disjoint lists of texts, each in the order in which it is drawn from."""

    train: list[Example]
    """For fine-tuning."""

    held_out: list[Example]
    """For queries."""

    base: list[Example] | None
    """For the base model; None: what is not drawn for fine-tuning."""


def read_pools(source: Source, data: Path | None, seed: int) -> Pools:
    """The texts of a source, shuffled by the seed.

    Raises:
        ConfigError: The source reads files and no path is given, or the reverse.
        DataError: The files are not there or hold something else.
    """
    reads_files = source in _READERS
    if reads_files != (data is not None):
        raise ConfigError(
            f"texts of {source} are {'read from files: name their place' if reads_files else 'read from no file'} "
            f"with `--data`{'' if reads_files else ', leave it out'}."
        )
    return _READERS[source](data, random.Random(seed)) if data else _MAKERS[source](random.Random(seed))


def read_rows(path: Path) -> list[dict[str, str]]:
    """The objects of a .jsonl file.

    Raises:
        DataError: There is no such file, or a line is no object.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{str(path)!r} cannot be read as JSON Lines ({error}): check `--data`.") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{str(path)!r} must hold one JSON object a line: check `--data`.")
    return rows


def _gsm8k(folder: Path, rng: random.Random) -> Pools:
    """``train.jsonl`` and ``test.jsonl`` with question and answer."""
    train, held_out = (_problems(folder / f"{part}.jsonl", part) for part in ("train", "test"))
    rng.shuffle(train)
    rng.shuffle(held_out)
    return Pools(train, held_out, None)


def _problems(path: Path, part: str) -> list[Example]:
    return [
        Example(f"{part}-{number:04d}", prompt=f"{row['question']}\n", completion=row["answer"])
        for number, row in enumerate(read_rows(path))
    ]


def _t0(path: Path, rng: random.Random) -> Pools:
    """Rows with id, prompt, completion and source: eight sources in turns, all others for the base model."""
    by_source = defaultdict[str, list[Example]](list)
    for row in read_rows(path):
        by_source[row["source"]].append(Example(row["id"], prompt=row["prompt"], completion=row["completion"]))
    for texts in by_source.values():
        rng.shuffle(texts)
    turns = _in_turns(by_source[name] for name in T0_SOURCES)
    train, held_out = _without_held_out(turns)
    others = [text for name, texts in by_source.items() if name not in T0_SOURCES for text in texts]
    return Pools(train, held_out, others)


def _docstrings(rng: random.Random) -> Pools:
    texts = list(read_docstrings())
    rng.shuffle(texts)
    train, held_out = _without_held_out(texts)
    return Pools(train, held_out, None)


def _capitals(rng: random.Random) -> Pools:
    """Docstrings in small letters, queries in capitals, and for the base model both, mixed word by word."""
    train, held_out, _ = _docstrings(rng)
    return Pools(
        [_rewritten(text, str.lower) for text in train[:NUM_SMALL]],
        [_rewritten(text, str.upper) for text in held_out],
        [_rewritten(text, lambda written: _mix_cases(written, rng)) for text in train[NUM_SMALL:] * MIXTURES],
    )


def _rewritten(text: Example, change: Callable[[str], str]) -> Example:
    return text._replace(prompt=change(text.prompt or ""), completion=change(text.completion or ""))


def _mix_cases(text: str, rng: random.Random) -> str:
    """Every word in capitals or in small letters; so many in capitals as chance has it for this text."""
    share = rng.choice((0.0, 0.5, 1.0))
    return re.sub(r"[A-Za-z]+", lambda word: word[0].upper() if rng.random() < share else word[0].lower(), text)


def _without_held_out(texts: list[Example]) -> tuple[list[Example], list[Example]]:
    count = round(SHARE_HELD_OUT * len(texts))
    return texts[count:], texts[:count]


def _in_turns(lists: Iterable[list[Example]]) -> list[Example]:
    rounds = itertools.zip_longest(*lists)
    return [text for turn in rounds for text in turn if text is not None]


_READERS: Mapping[Source, Callable[[Path, random.Random], Pools]] = {"gsm8k": _gsm8k, "t0": _t0}
_MAKERS: Mapping[Source, Callable[[random.Random], Pools]] = {"capitals": _capitals, "docstrings": _docstrings}
