"""The demo's texts again and again, each with a number of its own: data for a large workspace of the studio.

From nothing to seconds, with an index that takes a quarter of an hour to build::

    python -m benchmarks.many_texts 200000 /tmp/many.jsonl
    lorif import /tmp/big /tmp/many.jsonl
    lorif index /tmp/big --model sample_data/model
    python -m benchmarks.studio /tmp/big --only asking
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

FACTS = Path(__file__).parent.parent / "sample_data" / "facts.jsonl"


def many_texts(num_texts: int) -> Iterator[str]:
    """So many lines of JSON; the number stands in the prompt, so that no two texts are the same."""
    facts = [json.loads(line) for line in FACTS.read_text("utf-8").splitlines()]
    for number, fact in enumerate(itertools.islice(itertools.cycle(facts), num_texts)):
        yield json.dumps(fact | {"id": f"t{number:07d}", "prompt": f"{number}. {fact['prompt']}"}, ensure_ascii=False)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.many_texts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("num_texts", type=int)
    parser.add_argument("path", type=Path)
    given = parser.parse_args()
    given.path.write_text("".join(f"{line}\n" for line in many_texts(given.num_texts)), "utf-8")


if __name__ == "__main__":
    _main()
