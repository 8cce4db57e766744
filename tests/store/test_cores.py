"""Several things worked on at once: their order, their errors, and what torch's threads are set to."""

import sys
import threading
import time

import pytest
import torch

from lorif_core.store.cores import in_order, num_cores

pytestmark = pytest.mark.usefixtures("three_threads")

PATIENCE_S = 300


def test_results_come_in_the_order_of_the_items_whichever_is_done_first():
    last = threading.Event()

    def work(item):
        if item == 0:
            assert last.wait(PATIENCE_S)  # the first is done after the second
        if item == 1:
            last.set()
        return item * item

    assert list(in_order(work, range(7), 2)) == [0, 1, 4, 9, 16, 25, 36]


def test_nothing_to_do_gives_nothing():
    assert list(in_order(str, [], 2)) == []


def number_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(("num_threads", "shares"), [(1, {1}), (3, {1, 2}), (4, {2}), (7, {3, 4})])
def test_workers_divide_the_threads_and_nobody_else_is_changed(num_threads, shares):
    torch.set_num_threads(num_threads)
    both = threading.Barrier(2)

    def share_of_this_worker(item):
        if item < 2:
            both.wait(PATIENCE_S)  # one item each
        return torch.get_num_threads()

    results = in_order(share_of_this_worker, range(6), 2)
    assert {next(results), next(results)} == shares
    assert torch.get_num_threads() == num_threads
    assert number_of_a_new_thread() == num_threads
    assert set(results) <= shares
    assert torch.get_num_threads() == num_threads


def test_passes_that_start_at_once_do_not_lower_the_number_of_threads():
    torch.set_num_threads(8)
    for _ in range(10):
        callers = [threading.Thread(target=lambda: list(in_order(str, range(4), num_cores() // 2))) for _ in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert number_of_a_new_thread() == 8


def test_where_no_thread_can_be_started_nobody_waits(monkeypatch):
    start, started = threading.Thread.start, []

    def start_one(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="can't start"):
        list(in_order(str, range(4), 2))
    assert not started[0].is_alive()
    assert torch.get_num_threads() == 3


def test_an_error_comes_in_its_place_and_little_is_begun_after_it():
    begun = []

    def work(item):
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    results = in_order(work, range(100), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(begun) <= 8


def is_shutting_down(thread):
    """Whether a thread waits for the end of a pool's workers."""
    frame = sys._current_frames()[thread]
    while frame is not None and frame.f_code.co_name != "shutdown":
        frame = frame.f_back
    return frame is not None


def test_who_stops_taking_results_stops_the_work():
    begun, caller = [], threading.get_ident()

    def work(item):
        begun.append(item)
        while item > 0 and not is_shutting_down(caller):  # two are in work, which are waited for
            time.sleep(0.01)

    results = in_order(work, range(100), 2)
    next(results)
    results.close()
    assert max(begun) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("core")]
