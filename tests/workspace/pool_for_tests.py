"""An object for a pool's processes that tells which process it is in, and waits to be let go."""

import os
import time
from pathlib import Path


class Waiting:
    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads

    def pid(self) -> tuple[int, int]:
        return os.getpid(), self.num_threads

    def wait_for(self, begun: Path, file: Path) -> int:
        """Say that it has begun, by its process, and end when a file is there."""
        (begun / str(os.getpid())).touch()
        while not file.exists():
            time.sleep(0.02)
        return os.getpid()

    def fail(self) -> None:
        raise KeyError("a defect")
