"""What commands take that show a table or decide, as a person would start them: CPU seconds and peak memory.

CPU seconds of all threads, the least of a few rounds: other work on the machine disturbs them less than the clock.
``tests/test_imports_of_commands.py`` says what each of them may import::

    python -m benchmarks.startup demo_workspace
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import lorif_core as lf
from benchmarks.commands import Used, used_by

ROUNDS = 3


def measure(workspace: Path) -> dict[str, dict[str, float]]:
    """Command → CPU seconds and peak megabytes.

    Args:
        workspace: With a kept question; what is measured writes to it.
    """
    opened = lf.open_workspace(workspace)
    kept = opened.questions.records()[-1]
    found, folder = opened.reopen(kept.query_id), str(workspace)
    asked = ["--prompt", kept.prompt, "--completion", kept.completion, "--index", kept.index_id, "--k", str(kept.k)]
    commands = {
        "--help": ["--help"],
        "status": ["status", folder],
        "queries": ["queries", folder],
        "indexes": ["indexes", folder],
        "history": ["history", folder],
        "browse": ["browse", folder],
        "flag": ["flag", folder, found.ids[0]],
        "reopen": ["reopen", folder, kept.query_id],
        "ask, kept": ["ask", folder, *asked],
        "what-if": ["what-if", folder, found.ids[0], "--queries", kept.query_id],
    }
    return {name: _least([used_by(*words) for _ in range(ROUNDS)]) for name, words in commands.items()}


def _least(rounds: list[Used]) -> dict[str, float]:
    return {
        "CPU, s": round(min(one.cpu_seconds for one in rounds), 2),
        "peak, MB": round(min(one.peak_bytes for one in rounds) / 1e6),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description=__doc__)
    parser.add_argument("workspace", type=Path, help="with a kept question; it is copied, not changed")
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        copied = shutil.copytree(parser.parse_args().workspace, Path(folder) / "workspace")
        print(json.dumps(measure(copied), indent=1))


if __name__ == "__main__":
    main()
