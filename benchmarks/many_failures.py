"""What reading a file of failures back takes: ``python -m benchmarks.many_failures --texts 1000000 --failures 100``.

Writes made-up scores as ``lorif failures`` keeps them, then adds them up by text and by group in a process of its
own, and says its CPU seconds and the most memory that it held.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lorif_core.metrics.group_sums import sum_intervals, top_rows, weights_by_group
from lorif_core.workspace.failures.failure_folder import AskedFailure, FailureFolder, KeptPasses

PER_FILE = 32
STRETCH = 1 << 16
NUM_GROUPS = 50


def write(folder: FailureFolder, num_texts: int, num_failures: int) -> None:
    """Made-up scores of all texts on every failure."""
    asked = [AskedFailure(f"r{n}", n, "p", " c", None, "", None, (), None) for n in range(num_failures)]
    folder.begin({"index_id": "ix", "dataset_id": "ds"}, asked)
    generator = np.random.default_rng(0)
    for first in range(0, num_failures, PER_FILE):
        with KeptPasses(folder, first, num_texts) as kept:
            count = min(PER_FILE, num_failures - first)
            writer = kept.begin(slice(0, count))
            for start in range(0, num_texts, STRETCH):
                shape = (count, min(STRETCH, num_texts - start))
                writer.take(start, generator.standard_normal(shape, dtype=np.float32))


def read(folder: FailureFolder, num_texts: int, num_failures: int) -> dict[str, float]:
    """Add the scores up by text, then by group; what each took."""
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.process_time()
    folder.texts()
    by_text = time.process_time() - began
    codes = np.random.default_rng(1).integers(0, NUM_GROUPS, num_texts).astype(np.int32)
    values = np.zeros((num_failures, NUM_GROUPS))
    for number, scores in enumerate(folder.iter_scores()):
        values[number] = weights_by_group(scores.astype(np.float64), codes, NUM_GROUPS)
        top_rows(scores, 20)
    sum_intervals(values)
    return {
        "texts_cpu_s": round(by_text, 1),
        "groups_cpu_s": round(time.process_time() - began - by_text, 1),
        "imported_mb": round(imported),
        "most_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "disk_mb": round(sum(path.stat().st_size for path in folder.path.iterdir()) / 1e6),
    }


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--failures", type=int, default=20)
    parser.add_argument("--read", type=Path, help="A folder that was written; used by the process that reads.")
    given = parser.parse_args()
    if given.read is not None:
        print(json.dumps(read(FailureFolder(given.read), given.texts, given.failures)))
        return
    with tempfile.TemporaryDirectory(prefix="lorif-failures-") as place:
        folder = FailureFolder(Path(place) / "run")
        write(folder, given.texts, given.failures)
        sizes = ["--texts", str(given.texts), "--failures", str(given.failures)]
        subprocess.run(
            [sys.executable, "-m", "benchmarks.many_failures", *sizes, "--read", str(folder.path)],
            check=True,
            text=True,
        )


if __name__ == "__main__":
    main()
