"""Tiny indexes, and calls that change the disk: to stop before one of them, or to do something in between."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from lorif_core.files import UNFINISHED, checksum_of_file
from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import Manifest, compact
from lorif_core.store.parts import (
    Origin,
    PartEntry,
    ShardFacts,
    finished_parts,
    missing_parts,
    sweep_leftovers,
    write_part,
)
from lorif_core.store.plan import Parents, Plan, write_plan

CHANGES = ("fsync", "link", "replace", "unlink")
MODULE = ModuleShape("a.up", 6, 8, 3, 4)


class Killed(BaseException):
    """As kill -9: nothing that comes after it reaches the disk, neither `except` nor `finally`."""


@contextmanager
def before_changes(act: Callable[[int], None]) -> Iterator[list[str]]:
    """Call ``act`` with 1, 2, … before every call that changes the disk; yields the names of the calls."""
    made: list[str] = []
    real = {name: getattr(os, name) for name in CHANGES}

    def watched(name):
        def call(*args, **kwargs):
            made.append(name)
            act(len(made))
            return real[name](*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, watched(name))
        yield made


def num_changes(work: Callable[[], object]) -> int:
    with before_changes(lambda number: None) as made:
        work()
    return len(made)


def killed_before(change: int, work: Callable[[], object]) -> bool:
    """Kill ``work`` before one of its changes; whether it came so far."""

    def act(number):
        if number >= change:
            raise Killed

    with before_changes(act):
        try:
            work()
        except Killed:
            return True
    return False


def interrupted_before(change: int, work: Callable[[], object], meanwhile: Callable[[], object]) -> object:
    """What ``work`` gives while something else is done completely before one of its changes."""
    waiting = [meanwhile]

    def act(number):
        if number >= change and waiting:
            waiting.pop()()

    with before_changes(act):
        return work()


def plan_of(num_examples: int = 7, shard_examples: int = 2, **changes) -> Plan:
    settings = {
        "layout": "factors",
        "codec": "int8",
        "factor_rank": 2,
        "f": 2,
        "seed": 0,
        "max_length": 64,
        "parents": Parents("data", "model", "tokenizer"),
        "modules": [MODULE],
        "maps_digest": "none",
        "num_examples": num_examples,
        "shard_examples": shard_examples,
    }
    return Plan(**{**settings, **changes})


def make_part(folder: Path, plan: Plan, number: int, worker: str = "one", hardware: int = 0) -> PartEntry:
    """On other hardware, tensors and energies are other ones."""
    rows = plan.rows_of(number)
    facts = ShardFacts(
        num_truncated=number, num_without_targets=0, kept_energy=[3.0 + hardware], total_energy=[9.0 + hardware]
    )
    tensors = {"norms": torch.arange(rows.start, rows.stop) + 100.0 * hardware}
    return write_part(folder, plan, number, tensors, facts, Origin("cpu", "2", worker, len(worker) / 3))


def build(folder: Path, plan: Plan, worker: str = "one", done: list[int] | None = None) -> Manifest:
    """As `lorif index` makes or resumes the gradients; the numbers of finished parts come into ``done``."""
    write_plan(folder, plan)
    sweep_leftovers(folder)
    for number in missing_parts(plan, folder):
        make_part(folder, plan, number, worker)
        if done is not None:
            done.append(number)
    return compact(folder)


def assert_entries_fit(folder: Path) -> None:
    """Every entry's tensors are there and have its checksum."""
    for entry in finished_parts(folder).values():
        assert checksum_of_file(folder / entry.shard.file) == entry.shard.checksum


def assert_nothing_left_over(folder: Path) -> None:
    """Beside what entries name there is nothing."""
    named = {entry.shard.file for entry in finished_parts(folder).values()}
    assert {f"parts/{path.name}" for path in folder.glob("parts/*.safetensors")} == named
    assert list(folder.rglob(f"*{UNFINISHED}")) == []
