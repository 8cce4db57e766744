"""Start a worker in the background."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from lorif_core.files import write_json
from lorif_core.journal.jobs import ANY_DEVICE, worker_name
from lorif_core.private_logs import open_log
from lorif_core.workspace.folder.workspace_files import open_files
from lorif_core.workspace.jobs.places import (
    is_starting,
    logs_folder,
    place_of_worker,
    plain_device,
    resolve_device,
    starting_file,
)


def ensure_worker(workspace_path: Path | str, *, device: str = ANY_DEVICE) -> bool:
    """Start a worker in the background, unless the workspace has one for the device. Does not wait for it.

    It outlives this process, writes into ``logs/`` of the workspace and leaves when there is nothing to do.

    Returns:
        Whether one was started.

    Raises:
        LorifError: The workspace or the device cannot be used.
    """
    files, device = open_files(Path(workspace_path)), resolve_device(device)
    with place_of_worker(files, device, 0) as is_free:
        if not is_free or is_starting(files, device):
            return False
    command = [sys.executable, "-m", "lorif_core.cli", "worker", str(files.root.resolve()), "--device", device]
    with os.fdopen(open_log(logs_folder(files) / f"worker-{plain_device(device)}.log"), "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    write_json(starting_file(files, device), {"worker": worker_name(process.pid)})
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay as a zombie once it has left
    return True
