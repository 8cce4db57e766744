"""Several things worked on at once: their order, their errors, and what torch's threads are set to."""

import threading

import pytest
import torch

from lorif_core.store.cores import in_order


@pytest.fixture(autouse=True)
def threads():
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


def test_results_come_in_the_order_of_the_items_whichever_is_done_first():
    last = threading.Event()

    def work(item):
        if item == 0:
            assert last.wait(10)  # the first is done after the second
        if item == 1:
            last.set()
        return item * item

    assert list(in_order(work, range(7), 2)) == [0, 1, 4, 9, 16, 25, 36]


def test_nothing_to_do_gives_nothing():
    assert list(in_order(str, [], 2)) == []


@pytest.mark.parametrize(("num_threads", "share"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_workers_divide_the_threads_and_nobody_else_is_changed(num_threads, share):
    torch.set_num_threads(num_threads)

    def number_of_a_new_thread():
        found = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return found[0]

    results = in_order(lambda _: torch.get_num_threads(), range(6), 2)
    assert next(results) == share
    assert torch.get_num_threads() == num_threads
    assert number_of_a_new_thread() == num_threads
    assert list(results) == [share] * 5
    assert torch.get_num_threads() == num_threads


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


def test_who_stops_taking_results_stops_the_work():
    begun, goes_on = [], threading.Event()

    def work(item):
        begun.append(item)
        assert item == 0 or goes_on.wait(10)

    results = in_order(work, range(100), 2)
    next(results)
    threading.Timer(0.2, goes_on.set).start()  # while two are in work, which are waited for
    results.close()
    assert max(begun) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("core")]
