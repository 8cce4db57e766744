"""One process of ``build_truth``: ``python -m lorif_core.evaluation.retrain_process FOLDER WORKER WORKERS``."""

import sys
from pathlib import Path

from lorif_core.errors import LorifError
from lorif_core.evaluation.truth import EXPECTED_FAILURE, work


def main(arguments: list[str]) -> int:
    """Exit code: 0 when the share of this worker is done, 2 after a failure that one sentence explains."""
    folder, worker, workers = arguments
    try:
        work(Path(folder), int(worker), int(workers))
    except LorifError as error:
        sys.stderr.write(f"{error}\n")
        return EXPECTED_FAILURE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
