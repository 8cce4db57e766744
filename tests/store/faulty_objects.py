"""An object store that fails as networks do, by a seed; and one that counts what it is asked."""

import os
import random
import signal
import threading
import time
from collections import Counter

from lorif_core.store.object_place import Got, Objects, Unanswered
from lorif_core.store.place import Listed


class FaultyObjects:
    """Objects of which some are not reached, some answers are lost or cut, and some are slow.

    Where the answer to a put is lost, the put was done, and whoever asks again does it twice.
    """

    def __init__(
        self,
        objects: Objects,
        seed: int,
        errors: float = 0.05,
        cuts: float = 0.02,
        slow_s: float = 0.0,
        dies_at: int | None = None,
    ) -> None:
        self._objects, self._random, self._lock = objects, random.Random(seed), threading.Lock()
        self._errors, self._cuts, self._slow_s = errors, cuts, slow_s
        self._dies_at = dies_at
        self.happened: Counter[str] = Counter()

    def _draw(self, what: str, share: float) -> bool:
        with self._lock:
            drawn = self._random.random() < share
            self.happened[what] += drawn
            return drawn

    def _ask(self, work):
        if self._slow_s and self._draw("slow", 0.05):
            time.sleep(self._slow_s)
        if self._draw("error", self._errors / 2):
            raise Unanswered("503 slow down")
        found = work()
        with self._lock:
            self.happened["asked"] += 1
            if self.happened["asked"] == self._dies_at:  # the work is done, and its process hears of nothing more
                os.kill(os.getpid(), signal.SIGKILL)
        if self._draw("lost", self._errors / 2):
            raise Unanswered("the connection broke before the answer")
        return found

    def get(self, path: str) -> Got:
        got = self._ask(lambda: self._objects.get(path))
        if got.content and self._draw("cut", self._cuts):
            return Got(got.content[: len(got.content) // 2], got.size_bytes)
        return got

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        content = self._ask(lambda: self._objects.get_range(path, start, stop))
        return content[: len(content) // 2] if self._draw("cut", self._cuts) else content

    def put_new(self, path: str, content: bytes) -> bool:
        return self._ask(lambda: self._objects.put_new(path, content))

    def put(self, path: str, content: bytes) -> None:
        self._ask(lambda: self._objects.put(path, content))

    def listed(self, prefix: str) -> dict[str, Listed]:
        return self._ask(lambda: self._objects.listed(prefix))

    def has(self, path: str) -> bool:
        return self._ask(lambda: self._objects.has(path))

    def delete(self, path: str) -> None:
        self._ask(lambda: self._objects.delete(path))


class CountingObjects:
    """Objects with the number of requests of each kind; each takes a while."""

    def __init__(self, objects: Objects, latency_s: float = 0.0) -> None:
        self._objects, self._latency_s = objects, latency_s
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str):
        def ask(*arguments):
            self.asked[name] += 1
            time.sleep(self._latency_s)
            return getattr(self._objects, name)(*arguments)

        return ask
