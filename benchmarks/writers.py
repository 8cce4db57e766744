"""Three processes decide, a fourth reads, a fifth indexes: is everything there, and how long did a write take?

    python -m benchmarks.writers [--decisions 300]

The writers are the command line (one process that runs `lorif flag` again and again), the Python interface, and
the journal by itself. A write is timed from the call to its return.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NUM_EXAMPLES = 400


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=300)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="lorif-writers-") as folder:
        print(json.dumps(measure_writers(Path(folder) / "ws", arguments.decisions), indent=1))


def measure_writers(workspace: Path, num_decisions: int) -> dict[str, Any]:
    """Run the five processes; events in the journal, failed processes, and the writes' times in seconds."""
    from lorif_core.workspace.quality.demo import sample_data_folder
    from lorif_core.workspace.workspace import create_workspace

    lines = (sample_data_folder() / "facts.jsonl").read_text(encoding="utf-8").splitlines()[:NUM_EXAMPLES]
    texts = workspace.parent / "texts.jsonl"
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    created = create_workspace(workspace)
    record = created.data.import_files(texts).dataset
    context = multiprocessing.get_context("spawn")
    times, stop = context.Queue(), context.Event()
    writers = [context.Process(target=_write, args=(name, workspace, num_decisions, times)) for name in WRITERS]
    others = [
        context.Process(target=_read, args=(workspace, stop)),
        context.Process(target=_index, args=(workspace,)),
    ]
    for process in [*writers, *others]:
        process.start()
    measured: list[float] = sorted(times.get(timeout=600) for _ in range(num_decisions * len(writers)))
    for process in writers:
        process.join(600)
    stop.set()
    for process in others:
        process.join(600)
    batches = created.journal.snapshot(record.corpus_id).batches
    return {
        "writers": len(writers),
        "decisions_each": num_decisions,
        "events": sum(batch.num_events for batch in batches),
        "failed_processes": sum(process.exitcode != 0 for process in [*writers, *others]),
        "indexes": [index.status for index in created.indexes.records()],
        "median_write_s": measured[len(measured) // 2],
        "worst_write_s": measured[-1],
    }


def _command_line(workspace: Path) -> Callable[[str], None]:
    from lorif_core.cli import main as lorif

    def flag(train_id: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            assert lorif(["flag", str(workspace), train_id, "--text", "by hand"]) == 0

    with contextlib.redirect_stdout(io.StringIO()):
        lorif(["history", str(workspace)])  # imports what a command imports; not part of a write
    return flag


def _python(workspace: Path) -> Callable[[str], None]:
    from lorif_core.workspace.curation.decisions import Decisions
    from lorif_core.workspace.datasets.datasets import Datasets
    from lorif_core.workspace.folder.workspace_files import open_files

    decisions = Decisions(Datasets(open_files(workspace), None))

    def exclude(train_id: str) -> None:
        decisions.exclude([train_id], reason="spam", actor="python")

    return exclude


def _journal(workspace: Path) -> Callable[[str], None]:
    from lorif_core.journal.entries import Decision, Scope
    from lorif_core.workspace.folder.workspace_files import open_files

    files = open_files(workspace)
    record = files.choose_dataset(None)
    scope = Scope(actor="third", corpus_id=record.corpus_id, dataset_id=record.dataset_id)

    def note(train_id: str) -> None:
        files.journal.decide(scope, Decision(kind="note", train_ids=[train_id], text="seen"))

    return note


WRITERS: dict[str, Callable[[Path], Callable[[str], None]]] = {
    "command line": _command_line,
    "python": _python,
    "journal": _journal,
}


def _write(name: str, workspace: Path, num_decisions: int, times: Any) -> None:
    decide = WRITERS[name](workspace)
    for number in range(num_decisions):
        started = time.perf_counter()
        decide(f"f-{number % NUM_EXAMPLES:05d}")
        times.put(time.perf_counter() - started)


def _read(workspace: Path, stop: Any) -> None:
    from lorif_core.workspace.curation.decisions import Decisions
    from lorif_core.workspace.datasets.datasets import Datasets
    from lorif_core.workspace.datasets.view import View
    from lorif_core.workspace.folder.workspace_files import open_files

    decisions = Decisions(Datasets(open_files(workspace), None))
    while not stop.is_set():
        assert decisions.data.browse(View(statuses=("flagged", "excluded"))).total >= 0
        decisions.states()


def _index(workspace: Path) -> None:
    from lorif_core.config import BatchConfig, ModelConfig
    from lorif_core.methods.method_settings import IndexConfig
    from lorif_core.workspace.quality.demo import sample_data_folder
    from lorif_core.workspace.workspace import open_workspace

    model = ModelConfig(model=str(sample_data_folder() / "model"))
    settings = IndexConfig(model=model, batches=BatchConfig(max_length=64, shard_examples=64))
    open_workspace(workspace).indexes.build(settings)


if __name__ == "__main__":
    main()
