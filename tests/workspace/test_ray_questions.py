"""Questions by processes that Ray places: one is killed in the middle of a scan, and the answer is one process's."""

import os
import signal
from functools import partial

import pytest
from scan_worker_for_tests import HeldScanWorker
from tiny_workspace import NUM_TEXTS, copy_of, done, indexed

import lorif_core as lf
from lorif_core.ray_pool import ray_pool
from lorif_core.workers_config import ScanConfig
from lorif_core.workspace.asking.questions import Questions
from lorif_core.workspace.asking.scan_with_workers import WorkersScanner

pytestmark = pytest.mark.ray

ASKED = ("--prompt", "The river of Arlen is", "--completion", " castle Brook.", "-k", NUM_TEXTS, "--forget", "--json")


def answer_of(questions):
    question = lf.Question(
        prompt="The river of Arlen is", completion=" castle Brook.", k=NUM_TEXTS, num_opposing=NUM_TEXTS, keeps=False
    )
    found = questions.ask(question).to_dict()
    found.pop("elapsed_s")
    return found


def test_an_answer_of_two_actors_is_that_of_one_process_also_when_one_is_killed_in_the_middle(tmp_path):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    wanted = answer_of(workspace.questions)
    folder, go = tmp_path / "begun", tmp_path / "go"
    folder.mkdir()
    make = partial(HeldScanWorker, workspace.path.resolve(), folder, go)
    killed = []

    with ray_pool(ScanConfig(workers=2), make, num_cores=2, uses_gpus=False, retries=0) as pool:
        questions = Questions(workspace.indexes, workspace, WorkersScanner(pool, allows_partial=False))
        waiting = pool.wait

        def wait(timeout_s):
            if not killed and (found := list(folder.iterdir())):
                killed.append(int(found[0].name))
                os.kill(killed[0], signal.SIGKILL)
                go.touch()
            return waiting(timeout_s)

        pool.wait = wait
        assert answer_of(questions) == wanted
        assert len(killed) == 1
        assert answer_of(questions) == wanted  # by who is left, and who is back


def test_a_command_with_workers_prints_what_it_prints_without(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    one, two = (done("ask", workspace, *ASKED, *more).json for more in ((), ("--on", "ray", "--workers", 2)))
    assert {**one, "elapsed_s": 0} == {**two, "elapsed_s": 0}
