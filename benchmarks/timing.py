"""Fair timing: the things compared take turns, so a machine that changes speed changes it for all."""

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 5


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each task over rounds in which all take turns, after one warm-up of each."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}
