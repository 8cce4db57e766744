"""How a driver hands out parts, without a process: who fails, dies or is late is told by a pool that a test plays."""

import gc
import itertools
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_workspace import SMALL, copy_of, done, imported, index_folder, lasting_bytes_below, model_folder

from lorif_core.errors import DataError, ResourceError
from lorif_core.ray_pool import Ended, RayPool, Refusal
from lorif_core.shapes import ModuleShape
from lorif_core.store.plan import Parents, Plan
from lorif_core.workspace.indexes import hand_out_parts
from lorif_core.workspace.indexes.hand_out_parts import MOST_DEATHS, Made, PartWorker, _HandOut
from lorif_core.workspace.indexes.planned_index import ModelPlace

PLAN = Plan(
    layout="factors", codec="sign", factor_rank=2, f=4, seed=7, max_length=512,
    parents=Parents("data", "model", "tokenizer"), modules=[ModuleShape("a.up", 6, 8, 3, 4)],
    maps_digest="digest", num_examples=11, shard_examples=2,
)  # fmt: skip
"""Six parts, the last one of one text."""


class PlayedPool(RayPool):
    """Workers whose answers a test decides; ``made`` holds the parts that are there."""

    def __init__(self, num_workers, answer, made):
        self.count, self.answer, self.made = num_workers, answer, made
        self.calls, self.waiting = [], deque()

    @property
    def num_workers(self):
        return self.count

    def call(self, worker, method, *arguments):
        self.calls.append((worker, method, *arguments))
        self.waiting.append((worker, method, arguments))

    def wait(self, timeout_s):
        if not self.waiting:
            return []
        worker, method, arguments = self.waiting.popleft()
        found = self.answer(worker, method, *arguments)
        if found is None:  # not yet
            self.waiting.append((worker, method, arguments))
            return []
        if isinstance(found, Made) and found == Made() and method == "make":
            self.made.add(arguments[0])
        is_lost = isinstance(found, str)
        return [Ended(worker, method, arguments, None if is_lost else found, found if is_lost else None)]


@pytest.fixture
def made(monkeypatch):
    return hold_parts(monkeypatch)


def hold_parts(monkeypatch):
    there = set()
    monkeypatch.setattr(
        hand_out_parts, "missing_parts", lambda plan, folder: [one for one in range(6) if one not in there]
    )
    return there


def handed_out(num_workers, answer, made):
    pool, said = PlayedPool(num_workers, answer, made), []
    _HandOut(pool, PLAN, Path("index"), lambda *step: said.append(step)).run()
    return pool, said


def parts_of(pool):
    return [number for _, method, *rest in pool.calls if method == "make" for number in rest[:1]]


def test_every_part_is_handed_out_once_to_workers_that_have_loaded_their_model(made):
    pool, said = handed_out(3, lambda *_: Made(), made)
    assert parts_of(pool) == list(range(6))
    assert next(call[1] for call in pool.calls if call[0] == 2) == "load"
    assert (said[0], said[-1]) == (("gradients", 0, 11), ("gradients", 11, 11))


def test_parts_that_are_there_are_not_handed_out(made):
    made.update({0, 5})
    pool, said = handed_out(2, lambda *_: Made(), made)
    assert parts_of(pool) == [1, 2, 3, 4]
    assert said[0] == ("gradients", 3, 11)


def test_a_worker_that_never_starts_holds_up_nobody(made):
    pool, _ = handed_out(2, lambda worker, *_: Made() if worker else None, made)
    assert parts_of(pool) == list(range(6))


def test_a_part_with_a_failing_text_goes_to_another_worker_that_looks_for_it(made):
    def answer(worker, method, number=-1, leaves_out=False):
        return Made(failed="not finite") if number == 2 and not leaves_out else Made()

    pool, _ = handed_out(2, answer, made)
    (first, second) = (call for call in pool.calls if call[1:3] == ("make", 2))
    assert (first[3], second[3]) == (False, True)
    assert first[0] != second[0]


def test_the_only_worker_looks_for_the_failing_text_itself(made):
    pool, _ = handed_out(
        1, lambda worker, method, number=-1, leaves_out=True: Made() if leaves_out else Made(failed="x"), made
    )
    assert len(parts_of(pool)) == 12


def test_a_part_whose_worker_died_is_handed_out_again(made):
    lost = iter(["the worker died"])
    pool, _ = handed_out(2, lambda worker, method, number=-1, *_: next(lost, Made()) if number == 3 else Made(), made)
    assert sorted(parts_of(pool)) == [0, 1, 2, 3, 3, 4, 5]


def test_a_part_that_kills_every_worker_stops_the_build_with_a_sentence(made):
    with pytest.raises(ResourceError, match=r"make part 4 \(it died\): most likely their memory"):
        handed_out(2, lambda worker, method, number=-1, *_: "it died" if number == 4 else Made(), made)


def test_a_model_that_kills_every_worker_stops_the_build_with_a_sentence(made):
    died = itertools.count()

    def answer(worker, method, *_):
        next(died)
        return "it died"

    with pytest.raises(ResourceError, match="die when they are asked to"):
        handed_out(MOST_DEATHS, answer, made)
    assert next(died) == MOST_DEATHS


def test_what_a_worker_refuses_is_refused_by_the_driver(made):
    with pytest.raises(DataError, match="the data is gone"):
        handed_out(2, lambda *_: Made(refusal=Refusal("DataError", "the data is gone")), made)


def test_a_part_that_is_late_is_given_to_an_idle_worker_as_well(made, monkeypatch):
    monkeypatch.setattr(hand_out_parts, "LEAST_SLOW_S", 0.0)
    monkeypatch.setattr(hand_out_parts, "SLOW", 0.0)

    def answer(worker, method, number=-1, *_):
        return None if (worker, method, number) == (0, "make", 0) else Made()

    pool, _ = handed_out(2, answer, made)
    assert [call[0] for call in pool.calls if call[1:3] == ("make", 0)] == [0, 1]


def test_a_part_that_an_array_job_makes_meanwhile_is_not_waited_for(made, monkeypatch):
    monkeypatch.setattr(hand_out_parts, "LOOK_S", 0.0)

    def answer(worker, method, number=-1, *_):
        if number == 5:
            made.add(5)
            return None
        return Made()

    handed_out(2, answer, made)
    assert made == set(range(6))


ENDS = st.sampled_from(["made", "made", "made", "failed", "died", "elsewhere"])


@given(st.integers(1, 4), st.lists(ENDS, min_size=40, max_size=40))
def test_whatever_happens_to_workers_every_part_is_there_in_the_end(num_workers, ends):
    coming = iter(ends)

    def answer(worker, method, number=-1, leaves_out=True):
        end = "made" if method == "load" else next(coming, "made")
        if end == "failed":
            return Made() if leaves_out else Made(failed="not finite")
        if end == "elsewhere":
            made.add(number)
            return "it died" if worker % 2 else Made()
        return "it died" if end == "died" else Made()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hand_out_parts, "MOST_DEATHS", 100)
        made = hold_parts(patch)
        _, said = handed_out(num_workers, answer, made)
    assert made == set(range(6))
    done = [step[1] for step in said]
    assert done == sorted(done)
    assert done[-1] == 11


def test_a_worker_computes_in_the_precision_of_the_plan_for_as_long_as_it_lives(tmp_path):
    given = ("--model", model_folder(), *SMALL, "--precision", "bfloat16")
    whole, workspace = copy_of(imported(), tmp_path / "whole"), copy_of(imported(), tmp_path)
    done("index", whole, *given)
    index_id = done("index", workspace, *given, "--plan-only", "--json").json["index_id"]
    worker = PartWorker(workspace, index_id, ModelPlace("cpu"), 1)
    assert worker.load() == Made()
    gc.collect()
    assert [worker.make(number, False) for number in range(8)] == [Made()] * 8
    done("index-part", workspace, index_id, "--slice", "1/1")
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(whole))
