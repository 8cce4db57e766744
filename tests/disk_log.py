"""What the program asks of the disk, in order: which files and folders are flushed, and what gets its name when."""

import os
from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    what: str
    """fsync, or the renaming call."""

    path: Path
    """What is flushed, or the new name."""


def record_disk(monkeypatch) -> list[Step]:
    """A list that grows with every flush and renaming of this process; each still does what it does."""
    steps: list[Step] = []
    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename", "link")}

    def fsync(handle):
        real["fsync"](handle)
        steps.append(Step("fsync", Path(f"/proc/self/fd/{handle}").readlink()))

    def naming(name):
        def call(source, target, **options):
            real[name](source, target, **options)
            steps.append(Step(name, Path(target)))

        return call

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("replace", "rename", "link"):
        monkeypatch.setattr(os, name, naming(name))
    return steps
