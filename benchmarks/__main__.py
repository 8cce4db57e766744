"""``python -m benchmarks``: print one JSON object and a table; ``--only`` chooses parts."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import default_method, indexing, memory, querying
from lorif_core.cli.process import keep_freed_memory
from lorif_core.workspace.health.environment_report import describe_environment

PARTS = ("indexing", "default", "querying", "memory")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this part; may be repeated")
    parser.add_argument("--num-examples", type=int, default=200_000, help="examples of the synthetic store")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="for indexing")
    arguments = parser.parse_args()
    keep_freed_memory()
    parts = arguments.only or list(PARTS)
    results: dict[str, Any] = {"environment": _environment(arguments.device)}
    for part in parts:
        print(f"measuring {part} …", file=sys.stderr)
        if part == "indexing":
            results[part] = indexing.measure(arguments.device)
        elif part == "default":
            results[part] = default_method.measure_models()
        elif part == "querying":
            results[part] = querying.measure(arguments.num_examples)
        else:
            results[part] = memory.measure()
    print(json.dumps(results, indent=1))
    for name, value in _flatten(results):
        print(f"{name:<60} {value}", file=sys.stderr)


def _environment(device: str) -> dict[str, Any]:

    found = describe_environment(Path())
    return {"device": device, "num_cores": found.num_cores, "torch": found.packages["torch"]}


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, number as text) of every number."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield prefix, f"{value:,.3f}" if isinstance(value, float) else str(value)
        return
    for key, inner in items:
        yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))


if __name__ == "__main__":
    main()
