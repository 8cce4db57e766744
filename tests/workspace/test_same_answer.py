"""Scores depend on the texts, the model and the settings that say so, and on nothing else."""

import shutil

import pytest
from tiny_workspace import (
    NUM_TEXTS,
    SMALL,
    ask,
    done,
    imported,
    index_folder,
    indexed,
    lasting_bytes_below,
    model_folder,
    rows,
    write_rows,
)

TOLERANCE = 1e-3
"""Relative to the largest score. Padding and batch shape change float32 rounding (2⁻²⁴) in the gradients, which now
and then flips the last of a code's 8 bits (bf16: 2⁻⁹ of one number out of hundreds)."""


def scores(workspace, *words):
    answer = ask(workspace, "-k", NUM_TEXTS, "--opposing", NUM_TEXTS, *words)
    return {hit["train_id"]: hit["score"] for hit in answer["supports"] + answer["opposes"]}


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    largest = max(map(abs, expected.values()))
    assert max(abs(found[name] - expected[name]) for name in expected) <= TOLERANCE * largest


@pytest.mark.parametrize(
    "settings",
    [
        ("--shard-examples", 7),
        ("--shard-examples", 1000),
        ("--shard-examples", 16, "--tokens-per-batch", 1),
        ("--shard-examples", 16, "--tokens-per-batch", 100_000),
    ],
    ids=str,
)
def test_shard_and_batch_sizes_do_not_change_a_score(settings, tmp_path):
    workspace = shutil.copytree(imported(), tmp_path / "ws")
    done("index", workspace, "--model", model_folder(), "--method", "lorif", "--subspace-rank", 8, *settings)
    assert_close(scores(workspace), scores(indexed()))


def test_the_order_of_the_texts_does_not_change_a_score(tmp_path):
    done("import", tmp_path / "ws", write_rows(tmp_path / "texts.jsonl", rows()[::-1]))
    # The randomised directions depend on the order: a full subspace does not.
    full = ("--method", "lorif", "--shard-examples", 16, "--f", 16, "--subspace-rank", 16)
    done("index", tmp_path / "ws", "--model", model_folder(), *full)
    shutil.copytree(imported(), tmp_path / "other")
    done("index", tmp_path / "other", "--model", model_folder(), *full)
    assert_close(scores(tmp_path / "ws"), scores(tmp_path / "other"))


def test_an_index_built_twice_has_the_same_bytes(tmp_path):
    workspace = shutil.copytree(imported(), tmp_path / "ws")
    done("index", workspace, "--model", model_folder(), *SMALL)
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))


def test_a_built_index_keeps_its_shards_whatever_shard_size_is_asked_for_later(tmp_path):
    workspace = shutil.copytree(indexed(), tmp_path / "ws")
    done("index", workspace, "--model", model_folder(), *SMALL, "--shard-examples", 50)
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))
