"""The whole path on the sample data, as a newcomer runs it."""

import json
from types import SimpleNamespace

import pytest
from tiny_workspace import bytes_below, done

import lorif_core as lf
from lorif_core.workspace.quality.demo import DEMO_INDEX, DEMO_QUESTIONS, demo_fact, demo_key
from lorif_core.workspace.quality.planted import read_answer_key

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # the whole demo is built, on a busy machine for long


def stamps_below(workspace):
    """Which file each one of the data sets, statistics and indexes is, and when it was written."""
    found = [path for name in ("datasets", "statistics", "indexes") for path in (workspace / name).rglob("*")]
    stamps = {path: path.stat() for path in found if path.is_file() and not path.name.endswith(".lock")}
    assert {path.name for path in stamps} >= {"manifest.json", "examples.parquet", "00000.safetensors"}
    return {str(path): (stamp.st_ino, stamp.st_mtime_ns) for path, stamp in stamps.items()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("demo") / "ws"
    first = done("demo", workspace, "--json").json
    files, stamps = bytes_below(workspace / "indexes"), stamps_below(workspace)
    second = done("demo", workspace)
    return SimpleNamespace(
        workspace=workspace,
        first=first,
        second=second.out,
        is_unchanged=bytes_below(workspace / "indexes") == files,
        written_again=[name for name, stamp in stamps_below(workspace).items() if stamps.get(name) != stamp],
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
    assert demo.written_again == []
    assert "Sydney" in demo.second


def test_three_questions_wait_to_be_clicked(demo):
    opened = lf.open_workspace(demo.workspace)
    kept = opened.questions.records()
    assert [one.prompt for one in kept[::-1]] == list(DEMO_QUESTIONS)
    assert kept[-1].completion == " Sydney."
    assert [one.name for one in opened.indexes.named().values()] == [DEMO_INDEX]


def test_an_answer_of_the_demo_is_plain_json(demo):
    assert json.loads(json.dumps(demo.first)) == demo.first
