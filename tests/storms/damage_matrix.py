"""`python -m storms.damage_matrix`: every kind of file, damaged in every way, and who names it.

    PYTHONPATH=.:tests:tests/workspace OMP_NUM_THREADS=1 python -m storms.damage_matrix --flips 3

Prints a table in Markdown. A cell says what readers and the doctor said; `SILENT` is an answer that changed without a
word, and makes the program end with 1.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from storms.forked_command import forked
from storms.storm_scenarios import change_file, same_rows
from storms.storm_workspace import Base, make_base
from storms.workspace_readers import Said, is_plain_refusal, read_all

import lorif_core.cli  # noqa: F401 – imported here, so that no forked command has to
from lorif_core.workspace.health.inventory import kind_of

WAYS = ("flip", "cut", "emptied", "deleted", "foreign")


class Seen(NamedTuple):
    """What was said about one damaged file."""

    by_reader: bool
    by_doctor: bool
    silent: tuple[str, ...]
    """Readers whose answer changed without a word."""

    @property
    def words(self) -> str:
        who = [name for name, is_said in (("reader", self.by_reader), ("doctor", self.by_doctor)) if is_said]
        if self.silent:
            return f"SILENT ({', '.join(self.silent)})"
        return " + ".join(who) or "no effect"


def examine(base: Base, expected: dict[str, Said], relative: Path, way: str, rng: random.Random) -> Seen | None:
    """Damage one file of a copy and ask everybody; None where this way changes nothing in it."""
    workspace = base.copy(base.root / "damaged")
    path = workspace / relative
    files = [one for one in sorted(workspace.rglob("*")) if one.is_file() and not one.name.endswith(".lock")]
    if not change_file(path, way, files, rng) or same_rows(path, base.workspace / relative):
        return None
    said = read_all(workspace)
    silent = [
        name
        for name, one in said.items()
        if one.code == 0 and one.answer != expected[name].answer and relative.name not in one.err
    ]
    wrong = [name for name, one in said.items() if one.code != 0 and not is_plain_refusal(one)]
    doctor = forked(["doctor", workspace], watched=workspace)
    named = doctor.code == 2 or relative.name in doctor.out + doctor.err
    return Seen(any(map(is_plain_refusal, said.values())), named, (*silent, *(f"defect of {name}" for name in wrong)))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="storms.damage_matrix", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--flips", type=int, default=3, help="bits tried in a file of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", metavar="KIND", help="only these rows; unset: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    root = Path(tempfile.mkdtemp(prefix="lorif-matrix-"))
    base = make_base(root)
    expected = read_all(base.copy(root / "untouched"))
    rng = random.Random(options.seed)
    first: dict[str, Path] = {}
    for path in sorted(base.workspace.rglob("*")):
        if path.is_file() and not path.name.endswith((".lock", "-shm")):
            relative = path.relative_to(base.workspace)
            kind = kind_of(relative.as_posix())
            first.setdefault(relative.name if kind is None else kind.name, relative)
    print(f"| file | {' | '.join(WAYS)} |\n|{'---|' * (len(WAYS) + 1)}", flush=True)
    total: Counter[str] = Counter()
    for kind, relative in first.items():
        if options.kinds and kind not in options.kinds:
            continue
        cells = []
        for way in WAYS:
            tries = options.flips if way == "flip" else 1
            seen = [examine(base, expected, relative, way, rng) for _ in range(tries)]
            words = Counter(one.words for one in seen if one is not None)
            total += words
            cells.append("; ".join(f"{number} × {said}" if tries > 1 else said for said, number in words.items()))
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)
    print("\n" + "\n".join(f"{number:>5} {words}" for words, number in total.most_common()))
    shutil.rmtree(root, ignore_errors=True)
    return int(any("SILENT" in words for words in total))


if __name__ == "__main__":
    sys.exit(main())
