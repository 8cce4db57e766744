"""Work that takes long, in one thread beside the kernel's main one, with progress and cancel."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

from lorif_core.errors import LorifError
from lorif_core.system_failures import raise_unless_failure
from lorif_core.workspace.folder.progress import Cancelled, ProgressSink

STAGES = {
    "generate": "The model is writing",
    "gradient": "Taking the gradient of the question",
    "refine": "Refining the question",
    "scores": "Scoring the texts",
    "texts": "Reading the strongest texts",
    "model": "Loading the model",
}


class Work:
    """The latest piece of work of one widget; a new one replaces it.

    One thread, because a model answers one question at a time.
    """

    def __init__(
        self, on_progress: Callable[[str, int, int], None], on_error: Callable[[BaseException], None]
    ) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorif-widget")
        self._on_progress, self._on_error = on_progress, on_error
        self._stop = Event()
        self._latest: Future[None] | None = None

    def start(self, stage: str, work: Callable[[ProgressSink], Any], then: Callable[[Any], None]) -> None:
        """Begin, after the present piece has stopped.

        Args:
            stage: What it begins with, a key of ``STAGES``.
            work: Gets a sink for progress, whose calls are the places where it can be stopped.
            then: Receives what came out, in the same thread.
        """
        self.cancel()
        self._stop = stop = Event()

        def report(stage: str, done: int, total: int) -> None:
            if stop.is_set():
                raise Cancelled
            self._on_progress(STAGES.get(stage, stage), done, total)

        def run() -> None:
            try:
                report(stage, 0, 0)
                result = work(report)
                report(stage, 1, 1)
                then(result)
            except Cancelled:
                pass
            except LorifError as error:
                self._on_error(error)
            except BaseException as error:  # said on the page, or it would wait for something that never comes
                raise_unless_failure(error)
                self._on_error(error)
                raise
            finally:
                self._on_progress("", 0, 0)

        self._latest = self._threads.submit(run)

    def cancel(self) -> None:
        """Stop at the next place where it can be stopped."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when the latest piece has ended; a defect in it is raised.

        Raises:
            TimeoutError: It takes longer.
        """
        if self._latest is not None:
            self._latest.result(timeout_s)

    def close(self) -> None:
        """Stop for good."""
        self.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
