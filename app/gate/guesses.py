"""How often somebody may guess: per name and per address, in the memory of the server.

A name is told apart whether anybody bears it or not, so that being locked says nothing about who exists.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

FREE_PER_NAME = 5
"""Wrong passwords in a row for one name, before it waits."""

FREE_PER_ADDRESS = 20
"""For whatever names from one address: behind it may be an office of people who mistype."""

FIRST_WAIT_S = 30.0
LONGEST_WAIT_S = 15 * 60.0
"""A wait doubles with every further wrong guess up to this, which leaves some 100 guesses a day and keeps whoever
guesses on purpose from locking somebody out for good."""

FORGOTTEN_AFTER_S = 24 * 3600.0
MOST_KEPT = 20_000
"""Names and addresses; past them the ones that guessed longest ago are forgotten."""


@dataclass
class _Tries:
    number: int
    last: float
    locked_until: float


class Guesses:
    """Counts wrong guesses; any thread may ask."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Count from nothing, by a clock in seconds."""
        self._now = now
        self._lock = threading.Lock()
        self._tries: dict[tuple[str, str], _Tries] = {}

    def start(self, address: str, name: str) -> float:
        """Count a guess as wrong before it is looked at, so that many at once are no way around the count.

        Returns:
            0 if it may be looked at; otherwise the seconds until the next one may, and this one was not counted.
        """
        with self._lock:
            now = self._now()
            keys = ((_name_key(name), FREE_PER_NAME), (("address", address), FREE_PER_ADDRESS))
            wait = max(self._wait(key, now) for key, _ in keys)
            if wait <= 0:
                for key, free in keys:
                    self._count(key, free, now)
            return max(wait, 0.0)

    def forgive(self, address: str, name: str) -> None:
        """The guess was right: the name starts afresh, and the address has one wrong guess less."""
        with self._lock:
            self._tries.pop(_name_key(name), None)
            if (tries := self._tries.get(("address", address))) is not None:
                tries.number -= 1
                tries.locked_until = 0.0

    def _wait(self, key: tuple[str, str], now: float) -> float:
        tries = self._tries.get(key)
        if tries is None:
            return 0.0
        if now - tries.last > FORGOTTEN_AFTER_S:
            del self._tries[key]
            return 0.0
        return tries.locked_until - now

    def _count(self, key: tuple[str, str], free: int, now: float) -> None:
        tries = self._tries.pop(key, None) or _Tries(0, now, 0.0)
        tries.number += 1
        tries.last = now
        if tries.number >= free:
            doublings = min(tries.number - free, 30)
            tries.locked_until = now + min(FIRST_WAIT_S * 2**doublings, LONGEST_WAIT_S)
        self._tries[key] = tries  # last, so that the first is the one that guessed longest ago
        if len(self._tries) > MOST_KEPT:
            del self._tries[next(iter(self._tries))]


def _name_key(name: str) -> tuple[str, str]:
    return "name", name.strip().casefold()[:200]
