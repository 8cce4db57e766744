"""Timing work on a device that does not answer at once."""

import time
import warnings
from collections.abc import Callable

import torch


def time_rounds(run: Callable[[], object], device: torch.device, most: int, deadline: float) -> list[float]:
    """Seconds of some runs, each waited for: as many as there is time for, at least one."""
    rounds: list[float] = []
    while not rounds or (len(rounds) < most and time.perf_counter() + rounds[-1] < deadline):
        synchronise(device)
        started = time.perf_counter()
        run()
        synchronise(device)
        rounds.append(time.perf_counter() - started)
    return rounds


def count_host_syncs(run: Callable[[], object]) -> int:
    """How often the host waits for the device, as far as torch notices."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(one.message) for one in caught)


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
