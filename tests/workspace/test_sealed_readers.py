"""A flipped bit in what an answer or a decision rests on: whoever reads it says so."""

import random
import shutil

import polars as pl
import pytest
from tiny_workspace import copy_of, done, indexed, lorif, model_folder

import lorif_core as lf
from lorif_core import files
from lorif_core.files import check_seal
from lorif_core.workspace.indexes.atlas import read_atlas

NUM_FLIPS = 6
RULE = ("browse", "--where", "score in the top 10 for query 1", "--ids")
READERS = {
    "scores/*.parquet": RULE,
    "maps/*.parquet": ("map", "--json"),
    "datasets/*/examples.parquet": ("browse", "--ids"),
    "indexes/*/manifest.json": ("ask", "--prompt", "The river", "--completion", " Brook.", "--forget"),
    "exports/*/kept.jsonl": ("diff", "--version", "v1"),
    "exports/versions/v1.json": ("diff", "--version", "v1"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    workspace = copy_of(indexed(), tmp_path_factory.mktemp("kept"))
    for prompt in ("The river of Arlen is", "The tower of Brook is"):
        done("ask", workspace, "--prompt", prompt, "--completion", " castle Brook.", "--model", model_folder())
    done("map", workspace)
    done("exclude", workspace, "t001", "--reason", "spam")
    done("freeze", workspace, "v1")
    done("browse", workspace, "--search", "river")
    return workspace


@pytest.fixture
def workspace(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHECKED", {})
    return shutil.copytree(kept, tmp_path / "ws")


def flipped(content, place):
    changed = bytearray(content)
    changed[place] ^= 1 << place % 8
    return bytes(changed)


@pytest.mark.parametrize("pattern", READERS)
def test_a_reader_names_the_file_with_a_flipped_bit(pattern, workspace):
    path = sorted(workspace.glob(pattern))[0]
    command, *words = READERS[pattern]
    path.chmod(0o644)
    content = path.read_bytes()
    places = random.Random(pattern).sample(range(len(content)), NUM_FLIPS)
    assert len(places) == NUM_FLIPS
    for place in places:
        path.write_bytes(flipped(content, place))
        refused = lorif(command, workspace, *words)
        if pattern.startswith("maps"):  # computed, not asked for: it is made anew
            assert refused.code == 0
            assert check_seal(path)
            continue
        assert (refused.code, refused.out) == (2, ""), (place, refused)
        assert path.name in refused.err
    path.write_bytes(content)
    assert lorif(command, workspace, *words).code == 0


def test_the_map_of_the_studio_is_refused_when_it_is_damaged(workspace):
    (path,) = workspace.glob("maps/*.parquet")
    path.write_bytes(flipped(path.read_bytes(), 40))
    with pytest.raises(lf.LorifError, match=r"is not what was written: .* compute it again"):
        read_atlas(lf.open_workspace(workspace).files, None)


def test_scores_of_another_question_are_refused(workspace):
    first, second = sorted(workspace.glob("scores/*.parquet"))
    shutil.copy(second, first)
    assert [
        lorif(*command).code
        for command in (
            ("browse", workspace, "--where", f"score in the top 3 for query {number}", "--ids") for number in (1, 2)
        )
    ].count(2) == 1


def test_a_damaged_search_index_is_built_again_and_that_is_said(workspace, caplog):
    (path,) = workspace.glob("datasets/*/search.sqlite")
    right = done("browse", workspace, "--search", "river", "--ids").out
    path.write_bytes(flipped(path.read_bytes(), len(path.read_bytes()) // 2))
    assert done("browse", workspace, "--search", "river", "--ids").out == right
    assert "search.sqlite' is not what was written" in caplog.text
    assert check_seal(path)


def test_scores_of_version_0_1_have_no_seal_and_are_read(workspace):
    for path in workspace.glob("scores/*.parquet"):
        pl.read_parquet(path).write_parquet(path)
    assert not check_seal(path)
    assert done(RULE[0], workspace, *RULE[1:]).out.count("\n") == 10
