"""Where the workers of a workspace are: one per device, held by a lock that dies with its process."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from lorif_core.errors import ArtefactError, JobError
from lorif_core.files import read_json
from lorif_core.journal.jobs import is_running
from lorif_core.system_failures import what_failed
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.jobs.job_process import gpu_id


def resolve_device(device: str) -> str:
    """`cpu` or `cuda:N`.

    Raises:
        ModelError: The device is unknown or not there.
    """
    from lorif_core.models.load import choose_device

    return normal_device(str(choose_device(device)))


def log_of_job(files: WorkspaceFiles, job_id: str) -> Path:
    """Where a job's process prints."""
    return files.root / "logs" / f"{job_id}.log"


def starting_file(files: WorkspaceFiles, device: str) -> Path:
    """Names a worker that was started and has not taken its place yet."""
    return files.root / f"worker-{plain_device(device)}.starting"


@contextmanager
def place_of_worker(files: WorkspaceFiles, device: str, timeout_s: float) -> Iterator[bool]:
    """Hold the place of a workspace's worker for a device; yields whether it was free."""
    with _held(files.root / f"worker-{plain_device(device)}.lock", timeout_s) as is_free:
        yield is_free


@contextmanager
def device_lock(device: str, timeout_s: float) -> Iterator[bool]:
    """Hold a GPU against all other workers of this machine; yields whether it was free. The CPU is shared."""
    gpu = gpu_id(device)
    path = Path(tempfile.gettempdir()) / f"lorif-gpu-{gpu}.lock"
    with nullcontext(True) if gpu is None else _held(path, timeout_s, mode=0o666) as is_free:
        yield is_free


@contextmanager
def _held(path: Path, timeout_s: float, *, mode: int = 0o644) -> Iterator[bool]:
    lock = FileLock(path, timeout=timeout_s, mode=mode, poll_interval=0.02, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise JobError(f"a worker needs to lock {str(path)!r}, which cannot be done {what_failed(error)}.") from error
    try:
        yield True
    finally:
        lock.release()


def is_starting(files: WorkspaceFiles, device: str) -> bool:
    """Whether a worker was started and has not taken its place yet."""
    try:
        return is_running(read_json(starting_file(files, device), "worker")["worker"])
    except ArtefactError:  # there is no such file, or no more
        return False


def logs_folder(files: WorkspaceFiles) -> Path:
    """Where workers and jobs print."""
    folder = files.root / "logs"
    folder.mkdir(exist_ok=True)
    return folder


def normal_device(device: str) -> str:
    """The name that a device has among workers."""
    return "cuda:0" if device == "cuda" else device


def plain_device(device: str) -> str:
    """The name of a device in names of files."""
    return device.replace(":", "-")
