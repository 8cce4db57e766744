"""A question that is multiplied with an index on a device; the CPU stands in for a GPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_workspace import copy_of, imported, lorif, model_folder

import lorif_core as lf
from lorif_core.passes.device_shards import ScoringDevice
from lorif_core.workspace.asking.answer_question import answer_question
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.indexes.open_index import OpenIndex, open_with_members
from lorif_core.workspace.indexes.scoring_devices import scoring_device

QUESTION = Question(prompt="The river of Arlen is", completion=" castle Brook.")


class CountingDevice(ScoringDevice):
    """Counts pieces of work that it makes room for."""

    num_works = 0

    def with_room(self, work):
        self.num_works += 1
        return super().with_room(work)


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> OpenIndex:
    workspace: Path = copy_of(imported(), tmp_path_factory.mktemp("device"))
    settings = ("--method", "graddot", "--f", 4, "--shard-examples", 16, "--codec", "sign")
    assert lorif("index", workspace, "--model", model_folder(), *settings).code == 0
    files = lf.open_workspace(workspace).files
    (record,) = files.catalog.indexes()
    return open_with_members(files, record, None)


def test_an_answer_is_the_same_on_a_device(index):
    assert index.fitted.scored_on is None
    place = CountingDevice(torch.device("cpu"))
    captures = replace(index.captures, scored_on=place)
    there = replace(index, fitted=replace(index.fitted, scored_on=place), captures=captures)
    wanted, found = (answer_question(one, QUESTION) for one in (index, there))
    assert place.resident_bytes > 0
    assert place.num_works == 1  # the question's own gradient
    for ours, theirs in ((found.supports, wanted.supports), (found.opposes, wanted.opposes)):
        assert [hit.train_id for hit in ours] == [hit.train_id for hit in theirs]
        assert [hit.score for hit in ours] == pytest.approx([hit.score for hit in theirs], rel=1e-4)


def test_a_process_has_one_scoring_device_per_gpu_and_none_for_the_processor():
    assert scoring_device(torch.device("cpu")) is None
    second = scoring_device(torch.device("cuda", 1))
    assert second is scoring_device(torch.device("cuda:1"))
    assert second is not scoring_device(torch.device("cuda:0"))
    assert second.device == torch.device("cuda:1")
