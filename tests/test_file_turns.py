"""Turns at a file: in order of arrival, and killed processes block nobody."""

import multiprocessing
import os
import threading
import time

import pytest

from lorif_core.errors import TurnError
from lorif_core.file_turns import TICKET, is_locked, lock_while_open, turn_at

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "some.lock"


def tickets(lock):
    return sorted(path.name for path in lock.parent.glob(f".*{TICKET}"))


def wait_for_tickets(lock, number):
    """Until so many have arrived: a ticket that its owner has not locked yet gives no place in the order."""
    while sum(is_locked(lock.parent / name) for name in tickets(lock)) < number:
        time.sleep(0.001)


def take_turn(lock, has_turn, may_end):
    with turn_at(lock, 60):
        has_turn.set()
        may_end.wait()


def process(lock):
    has_turn, may_end = SPAWN.Event(), SPAWN.Event()
    child = SPAWN.Process(target=take_turn, args=(lock, has_turn, may_end))
    child.start()
    return child, has_turn, may_end


def test_turns_are_taken_in_the_order_of_arrival(lock):
    order = []

    def take(number):
        with turn_at(lock, 60):
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    with turn_at(lock, 60):
        for number, thread in enumerate(threads):
            thread.start()
            wait_for_tickets(lock, number + 2)
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert tickets(lock) == []


def test_one_at_a_time_has_the_turn(lock):
    inside, most = [], []

    def take(number):
        for _ in range(20):
            with turn_at(lock, 60):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 120
    assert max(most) == 1


def test_a_killed_holder_and_a_killed_waiter_block_nobody(lock):
    holder, has_turn, may_end = process(lock)
    has_turn.wait()
    waiter, *events = process(lock)
    wait_for_tickets(lock, 2)
    got = threading.Event()

    def take():
        with turn_at(lock, 60):
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    wait_for_tickets(lock, 3)
    assert not may_end.is_set()
    for child in (waiter, holder):
        child.kill()
        child.join()
    thread.join()
    assert got.is_set()
    assert not any(event.is_set() for event in events)
    assert tickets(lock) == []


def test_who_waited_for_long_enough_is_told_who_has_the_turn(lock):
    holder, has_turn, may_end = process(lock)
    has_turn.wait()
    with pytest.raises(TurnError, match=rf"'.*some\.lock', and 0\.05 s were not enough.*process {holder.pid} has it"):
        with turn_at(lock, 0.05):
            pytest.fail("two have the turn")
    may_end.set()
    holder.join()
    with turn_at(lock, 0):
        pass


def test_an_error_in_a_turn_ends_it(lock):
    with pytest.raises(ZeroDivisionError), turn_at(lock, 0):
        _ = 1 / 0
    with turn_at(lock, 0):
        assert len(tickets(lock)) == 1


def test_a_file_is_locked_for_as_long_as_it_is_open(tmp_path):
    assert not is_locked(tmp_path)
    handle = lock_while_open(tmp_path)
    assert is_locked(tmp_path)
    os.close(handle)
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "none")
