"""Work on several things at once, each on its share of the cores."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Lock, Thread, local
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_STARTING = Lock()
"""Held while workers start: meanwhile torch's number for the process is a worker's share, which nobody else may take
for the usual one."""


_OWN = local()
"""Of a thread in ``one_thread``: the number of cores that there are to divide."""


def num_cores() -> int:
    """Threads that torch spreads an operation over, which is how many cores there are to divide."""
    with _STARTING:
        return _usual_threads()


def _usual_threads() -> int:
    return getattr(_OWN, "usual", None) or torch.get_num_threads()


@contextmanager
def one_thread() -> Generator[None]:
    """Keep this thread's operations on one core, while work on several things still divides all of them.

    Many small operations wait for the threads that they are spread over longer than they compute: where other
    processes have the cores, a hundred times as long.
    """
    if hasattr(_OWN, "usual"):
        yield
        return
    with _STARTING:
        _OWN.usual = torch.get_num_threads()
        _keep_to_one_thread()
    try:
        yield
    finally:
        with _STARTING:
            torch.set_num_threads(_OWN.usual)
            del _OWN.usual


def _keep_to_one_thread() -> None:
    """Torch's number is a thread's own, but the last one set is that of threads that begin later."""
    torch.set_num_threads(1)
    other = Thread(target=torch.set_num_threads, args=(_OWN.usual,))
    other.start()
    other.join()


def in_order(work: Callable[[Item], Result], items: Iterable[Item], num_workers: int) -> Iterator[Result]:
    """What ``work`` gives for each item, in their order; at most two results per worker wait to be taken.

    An error of ``work`` is raised where its result would have come. Then, and when no more results are taken, what is
    in work is waited for and what is not begun is left undone.
    """
    with _divided_cores(num_workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def _divided_cores(num_workers: int) -> ThreadPoolExecutor:
    """Threads among which torch's own are divided; the caller's operations are spread as before."""
    with _STARTING:
        usual = _usual_threads()
        shares = iter([max(1, (usual + worker) // num_workers) for worker in range(num_workers)])
        ready = Barrier(num_workers + 1)

        def begin() -> None:
            torch.get_num_threads()  # the first call takes over the process's number, and would undo the next line
            torch.set_num_threads(next(shares))
            ready.wait()

        pool = ThreadPoolExecutor(num_workers, thread_name_prefix="core", initializer=begin)
        try:
            for _ in range(num_workers):
                pool.submit(int)  # a thread starts when there is something to do
            ready.wait()
        except BaseException:  # no thread can be started, or Ctrl-C: let go of those that wait
            ready.abort()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            torch.set_num_threads(usual)  # the last call also decides for threads that are started later
            if hasattr(_OWN, "usual"):
                _keep_to_one_thread()
    return pool
