"""A page and an export of a data set with many decisions: processor seconds and peak memory.

Each step runs in a process of its own, so that nothing is remembered from the step before::

    python -m benchmarks.many_decisions --texts 5613 --acts 100000
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorif_core.journal import Decision, Scope
from lorif_core.journal.acts import decide, take_back
from lorif_core.journal.database import writing
from lorif_core.workspace.curation.all_versions import Versions
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.datasets.view import View
from lorif_core.workspace.folder.workspace_files import create_files, open_files

ROUNDS = 9
STEPS = ("fill", "pages", "export")


def measure(num_texts: int, num_acts: int, folder: Path) -> dict[str, Any]:
    """What each step measured, in a process of its own."""
    results: dict[str, Any] = {"texts": num_texts, "acts": num_acts}
    for step in STEPS:
        print(f"measuring {step} …", file=sys.stderr)
        own = [sys.executable, "-m", "benchmarks.many_decisions", "--step", step, "--folder", str(folder)]
        command = [*own, "--texts", str(num_texts), "--acts", str(num_acts)]
        results[step] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return results


def run_step(step: str, num_texts: int, num_acts: int, folder: Path) -> dict[str, Any]:
    """What one child process measures."""
    if step == "fill":
        return _fill(num_texts, num_acts, folder)
    found = _pages(folder) if step == "pages" else _export(folder)
    return {**found, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _fill(num_texts: int, num_acts: int, folder: Path) -> dict[str, Any]:
    """A workspace whose people decided about one text at a time; one act in a hundred is taken back."""
    generator = random.Random(0)
    data = folder / "texts.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for number in range(num_texts):
            words = " ".join(f"word{generator.randrange(5000)}" for _ in range(40))
            file.write(json.dumps({"id": f"t{number:06d}", "text": words, "source": f"s{number % 7}"}) + "\n")
    files = create_files(folder / "workspace")
    record = Datasets(files, None).import_files(data).dataset
    started = time.process_time()
    with writing(files.journal.engine) as connection:
        for number in range(num_acts):
            scope = Scope(actor=f"person{number % 3}", corpus_id=record.corpus_id, dataset_id=record.dataset_id)
            if number % 100 == 99:
                take_back(connection, "undo", scope, None, None)
                continue
            kind = generator.choice(["flag", "exclude", "restore", "note", "label"])
            text = {"note": "looked at", "label": f"l{number % 9}"}.get(kind)
            decision = Decision(
                kind=kind,  # pyright: ignore[reportArgumentType] - one of the kinds
                train_ids=[f"t{generator.randrange(num_texts):06d}"],
                reason="spam" if kind == "exclude" else None,
                text=text,
            )
            decide(connection, scope, decision, None)
    return {"processor_s": time.process_time() - started}


def _pages(folder: Path) -> dict[str, Any]:
    """First and following pages, by the same process and after an act of somebody else."""
    data = Datasets(open_files(folder / "workspace"), None)
    data.corpus()
    flagged = View(where="status = flagged and reason is missing")
    found = {
        "first page": _seconds(data.browse),
        "page": _median(data.browse),
        "first page of flagged ones": _seconds(lambda: data.browse(flagged)),
        "page of flagged ones": _median(lambda: data.browse(flagged)),
        "first counts": _seconds(lambda: data.files.journal.counts(data.files.choose_dataset(None).corpus_id)),
    }
    others = Decisions(Datasets(open_files(folder / "workspace"), None))

    def after_an_act(view: View | None) -> float:
        others.flag([f"t{random.randrange(1000):06d}"], actor="somebody")
        return _seconds(lambda: data.browse(view))

    found["page after an act"] = statistics.median(after_an_act(None) for _ in range(ROUNDS))
    found["page of flagged ones after an act"] = statistics.median(after_an_act(flagged) for _ in range(ROUNDS))
    return found


def _export(folder: Path) -> dict[str, Any]:
    data = Datasets(open_files(folder / "workspace"), None)
    versions = Versions(Decisions(data))
    started, processor = time.perf_counter(), time.process_time()
    versions.export(folder / "out.jsonl", overwrites=True)
    return {"clock_s": time.perf_counter() - started, "processor_s": time.process_time() - processor}


def _seconds(operation: Callable[[], object]) -> float:
    """On the processor, of all threads."""
    started = time.process_time()
    operation()
    return time.process_time() - started


def _median(operation: Callable[[], object]) -> float:
    return statistics.median(_seconds(operation) for _ in range(ROUNDS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.many_decisions", description=__doc__)
    parser.add_argument("--texts", type=int, default=5613)
    parser.add_argument("--acts", type=int, default=100_000)
    parser.add_argument("--step", choices=STEPS, help="run one step in a folder that has the ones before")
    parser.add_argument("--folder", type=Path, help="of --step")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(run_step(arguments.step, arguments.texts, arguments.acts, arguments.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        print(json.dumps(measure(arguments.texts, arguments.acts, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
