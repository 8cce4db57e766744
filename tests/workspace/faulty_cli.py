"""`lorif` whose object stores fail as networks do: SEED and the words of a command."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from faulty_objects import FaultyObjects

from lorif_core.cli import main
from lorif_core.store.obstore_objects import ObstoreObjects
from lorif_core.store.open_place import CLIENTS


def fail_by(seed: int) -> list[FaultyObjects]:
    """From now on stores fail: 5 % errors, 2 % cut reads, and some answers are slow."""
    clients: list[FaultyObjects] = []

    def client(storage: str) -> FaultyObjects:
        clients.append(FaultyObjects(ObstoreObjects(storage), seed, slow_s=0.02))
        return clients[-1]

    CLIENTS["s3"] = client
    return clients


if __name__ == "__main__":
    clients = fail_by(int(sys.argv[1]))
    code = main(sys.argv[2:])
    print(
        "happened", dict(sum((one.happened for one in clients), start=type(clients[0].happened)())), file=sys.stderr
    )
    sys.exit(code)
