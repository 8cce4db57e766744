"""What a process that computes is told once, before torch is imported. Importing lorif_core changes none of it."""

import ctypes
import os

MMAP_THRESHOLD = 8 << 20
"""Smaller blocks come from the heap. Larger ones leave holes there, which made the peak grow with the data."""

TRIM_THRESHOLD = 128 << 20
"""Freed bytes at the end of the heap that are kept."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def prepare_process() -> None:
    """Let waiting threads sleep and keep freed memory, here and in child processes.

    Waiting threads that spin make a machine whose cores are busy 5 to 50 times slower (docs/decisions/0006).
    OpenMP reads the variable when torch is first imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Stop the C library from giving freed blocks back to the system between one tensor and the next.

    Every block that was given back is mapped and zeroed again page by page when the next tensor needs it: up to
    half of the time of a pass over an index (docs/decisions/0016). A person's own settings are left alone, and
    so is a C library other than glibc.
    """
    settings = {
        "MALLOC_MMAP_THRESHOLD_": (_M_MMAP_THRESHOLD, MMAP_THRESHOLD),
        "MALLOC_TRIM_THRESHOLD_": (_M_TRIM_THRESHOLD, TRIM_THRESHOLD),
    }
    if any(name in os.environ for name in settings):  # read by this process when it started
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return
    for name, (option, value) in settings.items():
        mallopt(option, value)
        os.environ[name] = str(value)
