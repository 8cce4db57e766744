"""Processes of a pool: restarted when they die, let go when they are told to leave, and never with a lost call."""

import os
import signal
import time

import psutil
import pytest
from pool_for_tests import Waiting

from lorif_core.errors import ResourceError
from lorif_core.ray_pool import ray_pool
from lorif_core.workers_config import WorkersConfig

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def pool():
    with ray_pool(WorkersConfig(workers=1), Waiting, num_cores=2, uses_gpus=False) as found:
        yield found


def result_of(pool, method, *arguments):
    pool.call(0, method, *arguments)
    return ended(pool).result


def ended(pool):
    while not (found := pool.wait(1)):
        pass
    (one,) = found
    assert one.lost is None
    return one


def begun(folder):
    while not (found := list(folder.iterdir())):
        time.sleep(0.02)
    return int(found[0].name)


def test_one_worker_has_all_cores(pool):
    assert result_of(pool, "pid")[1] == 2


def test_everything_that_ray_starts_here_listens_on_the_loopback_address_alone(pool):
    assert result_of(pool, "pid")
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for process in processes for one in process.net_connections() if one.status == "LISTEN"]
    assert len(found) > 3
    assert {one.laddr.ip.removeprefix("::ffff:") for one in found} == {"127.0.0.1"}


def test_a_killed_process_is_replaced_and_its_call_is_made_again(pool, tmp_path):
    first, last = tmp_path / "begun", tmp_path / "go"
    first.mkdir()
    pool.call(0, "wait_for", first, last)
    pid = begun(first)
    os.kill(pid, signal.SIGKILL)
    last.touch()
    found = ended(pool)
    assert (found.method, found.arguments) == ("wait_for", (first, last))
    assert found.result != pid


def test_a_busy_process_that_is_told_to_leave_finishes_its_call_and_is_replaced(pool, tmp_path):
    first, last = tmp_path / "begun", tmp_path / "go"
    first.mkdir()
    pool.call(0, "wait_for", first, last)
    pid = begun(first)
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    last.touch()
    assert ended(pool).result == pid
    assert [int(one.name) for one in first.iterdir()] == [pid]
    assert result_of(pool, "pid")[0] != pid


def test_an_idle_process_that_is_told_to_leave_is_replaced(pool):
    pid = result_of(pool, "pid")[0]
    os.kill(pid, signal.SIGTERM)
    while os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
        time.sleep(0.02)
    assert result_of(pool, "pid")[0] != pid


def test_a_defect_in_a_call_is_raised_as_what_it_is(pool):
    pool.call(0, "fail")
    with pytest.raises(KeyError, match="a defect"):
        ended(pool)


def test_a_call_that_has_not_ended_is_waited_for_no_longer_than_asked(pool, tmp_path):
    tmp_path.joinpath("begun").mkdir()
    pool.call(0, "wait_for", tmp_path / "begun", tmp_path / "go")
    assert pool.wait(0.05) == []
    (tmp_path / "go").touch()
    ended(pool)
    assert pool.wait(0.05) == []


def test_more_gpus_than_there_are_are_refused(pool):
    settings = WorkersConfig(workers=2, gpus_per_worker=64.0)
    with pytest.raises(ResourceError, match="2 workers with 64 GPUs each need 128"):
        with ray_pool(settings, Waiting, num_cores=2, uses_gpus=True):
            pass
    assert result_of(pool, "pid")  # a Ray that was there before is left running
