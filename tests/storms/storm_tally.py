"""What a storm did and what it found."""

import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

TRACEBACK = "Traceback (most recent call last)"


@dataclass
class Tally:
    """Counts of a storm; ``violations`` has a sentence for every promise that was broken."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, number: int = 1) -> None:
        with self.lock:
            self.counts[what] += number

    def violate(self, sentence: str) -> None:
        """Note a broken promise; where the storm had its folder makes no difference."""
        with self.lock:
            self.violations[re.sub(r"\S*lorif-storm-\w+/", "", sentence)] += 1

    def saw(self, what: str, code: int, err: str, allowed: tuple[int, ...] = (0,)) -> None:
        """A command ended by itself: no traceback, and one of the exit codes that are right here."""
        self.add("commands")
        if TRACEBACK in err:
            self.add("tracebacks")
            self.violate(f"traceback: {what}: {err.strip()[-1500:]}")
        elif code not in allowed:
            self.violate(f"exit code {code}, not one of {allowed}: {what}: {err.strip()[-600:]}")
        if code == 2:
            self.add("refusals")

    def merge(self, other: "Tally") -> None:
        self.counts += other.counts
        self.violations += other.violations

    def as_json(self) -> dict[str, Any]:
        return {"counts": dict(sorted(self.counts.items())), "violations": dict(self.violations)}

    def __str__(self) -> str:
        lines = [f"{number:>8} {what}" for what, number in sorted(self.counts.items())]
        found = [f"{self.violations.total():>8} promises broken"]
        found += [f"  - {number} × {one}" for one, number in self.violations.most_common()]
        return "\n".join([*lines, *found])


def dumped(tally: Tally) -> str:
    return json.dumps(tally.as_json(), indent=1)
