"""A pool of processes that each hold one object, by Ray: the only file that imports it.

Ray places and starts the processes, restarts one that dies, wherever there is room, and calls again what the dead one
was asked. A call must therefore do no harm when it is made twice. Nothing is written down here: whoever hands out the
work finds out from its results what is left, so a driver that dies loses nothing but the calls in flight.
"""

import math
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import cache
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from lorif_core import errors
from lorif_core.errors import ConfigError, LorifError, ResourceError
from lorif_core.workers_config import PoolConfig

RETRIES = 3
"""How often Ray makes a call again whose process died, before ``Ended`` says so."""

OBJECT_STORE_BYTES = 80 << 20
"""Of Ray on one machine; work and results are files and some numbers."""

LEAVES = 128 + signal.SIGTERM


class Ended(NamedTuple):
    """A call that has ended."""

    worker: int
    method: str
    arguments: tuple[Any, ...]
    result: Any
    lost: str | None
    """Why there is no result, where its process died and so did those that took its place."""


class Refusal(NamedTuple):
    """An error that a person can fix, as one process tells it to another."""

    name: str
    """Of its class."""

    message: str

    @classmethod
    def of(cls, error: LorifError) -> "Refusal":
        """What is told of an error."""
        return cls(type(error).__name__, str(error))

    def raise_here(self) -> NoReturn:
        """Raise the error in this process."""
        raise getattr(errors, self.name, LorifError)(self.message)


Make = Callable[[int], Any]
"""Makes the object that a process holds, in that process, when it is first called; is given the number of threads
that the object should compute with."""


class RayPool:
    """Processes with one object each; each does one call at a time."""

    def __init__(self, actors: list[Any]) -> None:
        self._ray, self._actors = _ray(), actors
        self._calls: dict[Any, tuple[int, str, tuple[Any, ...]]] = {}

    @property
    def num_workers(self) -> int:
        """How many processes there are, or will be when there is room for them."""
        return len(self._actors)

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        """Ask a worker that does nothing for something; ``wait`` tells when it is done."""
        self._calls[self._actors[worker].call.remote(method, *arguments)] = (worker, method, arguments)

    def wait(self, timeout_s: float) -> list[Ended]:
        """Calls that have ended, as soon as there is one or the time is over.

        Raises:
            Exception: What a call raised, which is a defect: results say what is expected to fail.
        """
        if not self._calls:
            return []
        done, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=timeout_s)
        return [self._ended(one) for one in done]

    def share(self, value: Any) -> Any:
        """Put a value where every machine fetches it once; what this returns stands for it in calls."""
        return self._ray.put(value)

    def close(self) -> None:
        """End all processes at once, whatever they do."""
        for actor in self._actors:
            self._ray.kill(actor)

    def _ended(self, reference: Any) -> Ended:
        worker, method, arguments = self._calls.pop(reference)
        try:
            result, is_leaving = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            return Ended(worker, method, arguments, None, str(error).strip().splitlines()[0])
        if is_leaving:  # a fresh process takes its place, elsewhere if the machine goes away
            self._ray.kill(self._actors[worker], no_restart=False)
        return Ended(worker, method, arguments, result, None)


@contextmanager
def ray_pool(
    workers: PoolConfig, make: Make, *, num_cores: int, uses_gpus: bool, retries: int = RETRIES
) -> Iterator[RayPool]:
    """Processes that hold what ``make`` makes, while the block runs.

    On this machine its cores are divided among them; in a cluster its processors are.

    Args:
        workers: How many, and where; one on every machine where it does not say how many.
        make: Makes the object that a process holds; must be known by name on every machine.
        num_cores: Of this machine, as many as may be used.
        uses_gpus: Whether a worker has a GPU where there are any and the settings do not say.
        retries: How often a call is made again whose process died; 0 where others can do it at once.

    Raises:
        ConfigError: Ray is not installed, or the cluster is not there.
        ResourceError: There are fewer GPUs than the workers need together.
    """
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))  # where Ray says that a process died
        if workers.address is None:
            stack.enter_context(_private_environment())
        ray = _ray()
        if not ray.is_initialized():
            with _same_signals():
                _connect(ray, workers.address, max(workers.workers or 1, num_cores))
            stack.callback(ray.shutdown)
        found = ray.cluster_resources()
        count = workers.workers or sum(node["Alive"] for node in ray.nodes())
        gpus = workers.gpus_per_worker
        if gpus is None:
            gpus = 1.0 if uses_gpus and found.get("GPU", 0) >= 1 else 0.0
        if workers.address is None and gpus * count > found.get("GPU", 0):
            raise ResourceError(
                f"{count} workers with {gpus:g} GPUs each need {gpus * count:g}, and there are "
                f"{found.get('GPU', 0):g}: start fewer with `--workers`, or pass `--gpus-per-worker 0`."
            )
        threads = max(1, math.floor(found.get("CPU", count) / count))
        holder = ray.remote(_Holder).options(
            num_cpus=threads, num_gpus=gpus, max_restarts=-1, max_task_retries=retries
        )
        pool = RayPool([holder.remote(make, threads) for _ in range(count)])
        stack.callback(pool.close)
        yield pool


@contextmanager
def _private_environment() -> Iterator[None]:
    """What Ray reads when it starts on this machine for us alone: it listens on the loopback address only, and to
    those who know a token that is drawn here and written nowhere. What a person has set is left alone."""
    drawn = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # so Ray calls "loopback only", on every system
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(),
    }
    ours = {} if any(name in os.environ for name in drawn) else drawn
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@cache
def _token() -> str:
    """One for this process: Ray reads it when it is first started and keeps it for all later ones."""
    return uuid.uuid4().hex


@contextmanager
def _same_signals() -> Iterator[None]:
    """Leave SIGTERM as it was: Ray makes it an exit of its own, and a job that is cancelled has another one."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main and before is not None:
            signal.signal(signal.SIGTERM, before)


class _Holder:
    """Holds the object of one process.

    SIGTERM, which a machine sends that is about to go away, ends the process at once where it does nothing; else
    after the call, whose result says that it leaves.
    """

    def __init__(self, make: Make, num_threads: int) -> None:
        self._make, self._num_threads = make, num_threads
        self._held: Any = None
        self._is_busy = self._is_leaving = False
        signal.signal(signal.SIGTERM, self._leave)

    def call(self, method: str, *arguments: Any) -> tuple[Any, bool]:
        """The result, and whether this process is told to leave."""
        if self._is_leaving:  # asked once more before it was replaced; Ray asks the one that takes its place
            os._exit(LEAVES)
        self._is_busy = True
        try:
            if self._held is None:
                self._held = self._make(self._num_threads)
            return getattr(self._held, method)(*arguments), self._is_leaving
        finally:
            self._is_busy = False

    def _leave(self, number: int, frame: FrameType | None) -> None:
        if not self._is_busy or self._is_leaving:
            os._exit(LEAVES)
        self._is_leaving = True


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "`--workers` needs the package ray, which is not installed: run `pip install 'lorif-studio[ray]'`, or "
            "leave `--workers` out and one process does it."
        ) from error
    return ray


def _connect(ray: Any, address: str | None, num_cores: int) -> None:
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    if address is not None:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ConfigError(
                f"there is no Ray cluster at {address!r} ({str(error).strip().splitlines()[0]}). Start one "
                "with `ray start --head`, or leave the address out and workers run on this machine."
            ) from error
        return
    ray.init(
        address="local",
        num_cpus=num_cores,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        **quiet,
    )
