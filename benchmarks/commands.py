"""What a run of `lorif` takes, as a person would start it: a process of its own, measured from outside."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

_MEASURED = """
import json, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * 1024}))
"""


class Used(NamedTuple):
    """What a command took."""

    cpu_seconds: float
    peak_bytes: int


def used_by(*command: str, environment: Mapping[str, str] | None = None) -> Used:
    """Run a command of `lorif` that must succeed, with some environment variables beside the usual ones."""
    run = [sys.executable, "-c", _MEASURED, sys.executable, "-m", "lorif_core.cli", *command]
    done = subprocess.run(run, capture_output=True, text=True, env=os.environ | dict(environment or {}))
    if done.returncode:
        raise SystemExit(done.stderr)
    return Used(**json.loads(done.stdout))
