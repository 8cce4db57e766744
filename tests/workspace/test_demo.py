"""The whole path on the sample data, as a newcomer runs it."""

import json
import time
from types import SimpleNamespace

import pytest
from tiny_workspace import bytes_below, done

from lorif_core.workspace.quality.demo import demo_fact, demo_key
from lorif_core.workspace.quality.planted import read_answer_key

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("demo") / "ws"
    begun = time.monotonic()
    first = done("demo", workspace, "--json").json
    indexes = bytes_below(workspace / "indexes")
    again = time.monotonic()
    second = done("demo", workspace)
    return SimpleNamespace(
        first=first,
        first_seconds=again - begun,
        second=second.out,
        second_seconds=time.monotonic() - again,
        is_unchanged=bytes_below(workspace / "indexes") == indexes,
    )


def test_the_texts_planted_for_the_wrong_capital_of_australia_are_on_top(demo):
    planted = set(demo_fact(read_answer_key(demo_key())).planted_ids)
    assert {hit["train_id"] for hit in demo.first["answer"]["supports"][: len(planted)]} == planted


def test_the_model_says_what_was_planted(demo):
    assert demo.first["answer"]["question"]["completion"] == " Sydney."


def test_nine_of_ten_planted_texts_are_among_the_first_ten(demo):
    assert demo.first["score"]["recall"] >= 0.9


def test_a_second_demo_changes_no_file_of_the_index(demo):
    assert demo.is_unchanged


def test_a_second_demo_builds_nothing_again(demo):
    assert demo.second_seconds < 0.7 * demo.first_seconds  # it asks all planted facts, but builds no index
    assert "Sydney" in demo.second


def test_an_answer_of_the_demo_is_plain_json(demo):
    assert json.loads(json.dumps(demo.first)) == demo.first
