"""`lorif` whose object stores fail as networks do: SEED and the words of a command.

SEED:NUMBER ends the process as kill -9 does when so many requests were done.
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from faulty_objects import FaultyObjects

from lorif_core.cli import main
from lorif_core.store.obstore_objects import ObstoreObjects
from lorif_core.store.open_place import CLIENTS


def fail_by(seed: int, dies_at: int | None) -> list[FaultyObjects]:
    """From now on stores fail: 5 % errors, 2 % cut reads, and some answers are slow."""
    clients: list[FaultyObjects] = []

    def client(storage: str) -> FaultyObjects:
        clients.append(FaultyObjects(ObstoreObjects(storage), seed, slow_s=0.02, dies_at=dies_at))
        return clients[-1]

    CLIENTS["s3"] = client
    return clients


if __name__ == "__main__":
    seed, _, dies_at = sys.argv[1].partition(":")
    clients = fail_by(int(seed), int(dies_at) if dies_at else None)
    code = main(sys.argv[2:])
    happened = sum((one.happened for one in clients), start=Counter())
    print("faults", sum(number for what, number in happened.items() if what != "asked"), file=sys.stderr)
    sys.exit(code)
