"""Exports of data whose import added columns, chose types or read another encoding: nothing of it is lost."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_cache import cached_hub_data

import lorif_core as lf
from lorif_core.workspace.curation.export import replay_recipe


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def shards(folder, suffix="jsonl"):
    folder.mkdir()
    for split in ("test", "train"):
        path = folder / f"{split}-00000-of-00001.{suffix}"
        if suffix == "parquet":
            pq.write_table(pa.table({"text": [f"of {split}"]}), path)
        else:
            path.write_text(json.dumps({"text": f"of {split}"}) + "\n", encoding="utf-8")
    return folder


def exported(tmp_path, sources, settings, name="kept.jsonl"):
    """The workspace's data set as a file, and its recipe."""
    workspace = lf.create_workspace(tmp_path / "ws")
    workspace.data.import_files(*sources, settings=settings)
    (tmp_path / "out").mkdir()
    result = workspace.export(tmp_path / "out" / name)
    return result, result.about / "recipe.json"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("said", [{"split": "all"}, {"split": "train,test", "split_column": "part"}])
def test_an_export_and_its_replay_keep_the_splits(tmp_path, suffix, said):
    folder = shards(tmp_path / "data", suffix)
    result, recipe = exported(tmp_path, [folder], lf.ImportConfig(**said))
    column = said.get("split_column", "split")
    assert sorted((row["text"], row[column]) for row in lines_of(result.path)) == [
        ("of test", "test"),
        ("of train", "train"),
    ]
    again = tmp_path / "again.jsonl"
    replay_recipe(recipe, sorted(folder.iterdir()), again)
    assert again.read_bytes() == result.path.read_bytes()


def test_one_split_is_exported_as_its_lines(tmp_path):
    folder = shards(tmp_path / "data")
    result, recipe = exported(tmp_path, [folder], lf.ImportConfig(split="train"))
    assert result.path.read_bytes() == (folder / "train-00000-of-00001.jsonl").read_bytes()
    replay_recipe(recipe, [folder / "train-00000-of-00001.jsonl"], tmp_path / "again.jsonl")


@pytest.mark.parametrize(
    ("settings", "encoding", "expected"),
    [
        (lf.ImportConfig(file_column="file"), "utf-8", {"text": "größe", "year": "1987", "file": "rows.jsonl"}),
        (lf.ImportConfig(type=("year=int",)), "utf-8", {"text": "größe", "year": 1987}),
        (lf.ImportConfig(encoding="cp1252"), "cp1252", {"text": "größe", "year": "1987"}),
        (lf.ImportConfig(), "utf-16", {"text": "größe", "year": "1987"}),
    ],
    ids=["file column", "type", "encoding", "mark of UTF-16"],
)
def test_lines_that_were_read_otherwise_are_not_copied(tmp_path, settings, encoding, expected):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "größe", "year": "1987"}\n', encoding=encoding)
    result, recipe = exported(tmp_path, [file], settings)
    assert lines_of(result.path) == [expected]
    replay_recipe(recipe, [file], tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == result.path.read_bytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("split", ["train", "all"])
def test_a_recipe_of_hub_data_keeps_split_and_subset(tmp_path, monkeypatch, split):
    hub = cached_hub_data(tmp_path, monkeypatch)
    result, recipe = exported(tmp_path, [hub], lf.ImportConfig(split=split, subset="main"), "kept.parquet")
    reading = json.loads(recipe.read_text())["import"]
    assert (reading["split"], reading["subset"]) == (split, "main")
    replay_recipe(recipe, [hub], tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == result.path.read_bytes()
