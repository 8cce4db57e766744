"""Make parts of an index as one of several processes: FOLDER HARDWARE. All begin at FOLDER/go."""

import sys
import time
from pathlib import Path

from disk_calls import make_part

from lorif_core.store.parts import missing_parts
from lorif_core.store.plan import read_plan

folder, hardware = Path(sys.argv[1]), int(sys.argv[2])
plan = read_plan(folder)
(folder / f"ready{hardware}").touch()
while not (folder / "go").exists():
    time.sleep(0.0005)
won = [
    make_part(folder, plan, number, f"worker {hardware}", hardware).shard.checksum
    for number in missing_parts(plan, folder)
]
print("\n".join(won))
