"""A worker that begins to scan and then waits until a file is there, so that a test can kill it in the middle."""

import os
import time
from pathlib import Path

from lorif_core.workspace.asking.scan_worker import ScanWorker


class HeldScanWorker(ScanWorker):
    def __init__(self, workspace: Path, begun: Path, go: Path, num_threads: int) -> None:
        super().__init__(workspace, num_threads)
        self._begun, self._go = begun, go

    def scan(self, scan_id, numbers):
        found = super().scan(scan_id, numbers)
        if not self._go.exists():
            (self._begun / str(os.getpid())).touch()
            while not self._go.exists():
                time.sleep(0.02)
        return found
