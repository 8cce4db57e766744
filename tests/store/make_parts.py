"""Make parts of an index as one of several processes: FOLDER HARDWARE. The two begin together."""

import sys
import time
from pathlib import Path

from disk_calls import make_part

from lorif_core.store.parts import missing_parts
from lorif_core.store.plan import read_plan

folder, hardware = Path(sys.argv[1]), int(sys.argv[2])
plan = read_plan(folder)
numbers = missing_parts(plan, folder)


def wait_for_both(name: str) -> None:
    (folder / f"{name}{hardware}").touch()
    end = time.monotonic() + 120
    while len(list(folder.glob(f"{name}[12]"))) < 2:
        assert time.monotonic() < end, "the other process has gone"
        time.sleep(0.0005)


def make(number: int) -> str:
    return make_part(folder, plan, number, f"worker {hardware}", hardware).shard.checksum


wait_for_both("ready")
first = make(numbers[0] if hardware == 1 else numbers[-1])  # one that the other cannot be ahead with
wait_for_both("begun")
print("\n".join([first, *map(make, numbers)]))
