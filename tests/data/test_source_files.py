"""Folders of shards, saved data sets with splits, and data sets of the hub, which here are those of a local cache."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_cache import cached_hub_data

from lorif_core.config import ImportConfig
from lorif_core.data.importing import write_examples
from lorif_core.data.source_files import find_files
from lorif_core.errors import DataError


def shard(folder, name, number):
    row = {"text": f"text {number}"}
    folder.mkdir(exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"text": [row["text"]]}), folder / name)
    else:
        (folder / name).write_text(json.dumps(row) + "\n")
    return folder / name


def names(found):
    return [path.name for path in found]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_shards_are_read_in_natural_order_and_what_is_skipped_is_said(tmp_path, suffix):
    for number in (10, 9, 1):
        shard(tmp_path / "data", f"part-{number}{suffix}", number)
    (tmp_path / "data" / "README.md").write_text("about")
    (tmp_path / "data" / "dataset_info.json").write_text("{}")
    (tmp_path / "data" / ".hidden.jsonl").write_text("{}")
    found = find_files([tmp_path / "data"], ImportConfig())
    assert names(found.paths) == [f"part-{number}{suffix}" for number in (1, 9, 10)]
    assert names(found.skipped) == ["dataset_info.json", "README.md"]
    report = write_examples([tmp_path / "data"], ImportConfig(), tmp_path / "out")
    assert report.num_examples == 3


def test_a_folder_with_data_of_two_formats_is_refused(tmp_path):
    shard(tmp_path, "a.jsonl", 1)
    shard(tmp_path, "b.parquet", 2)
    with pytest.raises(DataError, match=r"data of one format, .* has JSONL and Parquet files: name the files of one"):
        find_files([tmp_path], ImportConfig())


def test_text_and_json_files_are_data_where_nothing_else_is(tmp_path):
    (tmp_path / "a2.txt").write_text("two")
    (tmp_path / "a10.txt").write_text("ten")
    assert names(find_files([tmp_path], ImportConfig(txt="file")).paths) == ["a2.txt", "a10.txt"]
    with pytest.raises(DataError, match="pass `--txt file` or `--txt line`"):
        write_examples([tmp_path], ImportConfig(), tmp_path / "out")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(DataError, match="has JSON and text files"):
        find_files([tmp_path], ImportConfig())


def test_a_folder_without_data_names_what_is_looked_for(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "LICENSE").write_text("x")
    with pytest.raises(DataError, match=r"holds no data file \(\.jsonl, .*look into its folders, such as '.*data'"):
        find_files([tmp_path], ImportConfig())


def test_shards_of_several_splits_are_not_mixed(tmp_path):
    for number, name in enumerate(["train-00001-of-00002", "train-00000-of-00002", "test-00000-of-00001"]):
        shard(tmp_path, f"{name}.parquet", number)
    with pytest.raises(DataError, match="it has test, train: name one with `--split`"):
        find_files([tmp_path], ImportConfig())
    found = find_files([tmp_path], ImportConfig(split="train"))
    assert names(found.paths) == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert names(found.skipped) == ["test-00000-of-00001.parquet"]
    with pytest.raises(DataError, match="it has test, train: name one"):
        find_files([tmp_path], ImportConfig(split="validation"))


def test_a_split_of_a_saved_data_set_is_chosen(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    one = datasets.Dataset.from_list([{"text": "a"}])
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(tmp_path / "saved")
    assert find_files([tmp_path / "saved"], ImportConfig(split="test")).paths == [tmp_path / "saved" / "test"]
    with pytest.raises(DataError, match=r"several splits \(train, test\).*`--split`"):
        write_examples([tmp_path / "saved"], ImportConfig(split="dev"), tmp_path / "out")


def rows_of(out):
    return pq.read_table(out / "examples.parquet").to_pylist()


def of_splits(folder, paths, **said):
    """Text and split of every row."""
    write_examples(paths, ImportConfig(**said), folder)
    return [(row["text"], row[said.get("split_column") or "split"]) for row in rows_of(folder)]


ONE_BY_ONE = {"train": ["train 0", "train 1"], "test": ["test 0"]}


def in_shards(folder):
    for name, texts in ONE_BY_ONE.items():
        for number, text in enumerate(texts):
            shard(folder, f"{name}-{number:05d}-of-{len(texts):05d}.parquet", 0)
            pq.write_table(pa.table({"text": [text]}), folder / f"{name}-{number:05d}-of-{len(texts):05d}.parquet")
    return folder


def in_files(folder):
    folder.mkdir()
    for name, texts in ONE_BY_ONE.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return folder


def in_saved(folder):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.DatasetDict(
        {name: datasets.Dataset.from_dict({"text": texts}) for name, texts in ONE_BY_ONE.items()}
    ).save_to_disk(folder)
    return folder


@pytest.mark.parametrize("make", [in_shards, in_files, in_saved])
def test_several_splits_are_one_data_set_with_their_names_as_a_column(tmp_path, make):
    folder = make(tmp_path / "data")
    expected = [(text, name) for name, texts in ONE_BY_ONE.items() for text in texts]
    assert of_splits(tmp_path / "two", [folder], split="train, test") == expected
    assert sorted(of_splits(tmp_path / "all", [folder], split="all")) == sorted(expected)
    assert of_splits(tmp_path / "named", [folder], split="train,test", split_column="part") == expected
    assert of_splits(tmp_path / "one", [folder], split="test", split_column="part") == [("test 0", "test")]
    write_examples([folder], ImportConfig(split="test"), tmp_path / "plain")
    assert "split" not in rows_of(tmp_path / "plain")[0]
    with pytest.raises(DataError, match=r"train.*--split"):
        of_splits(tmp_path / "none", [folder], split="train,dev")


def test_the_files_of_several_splits_by_themselves_give_the_same_data_set(tmp_path):
    folder = in_shards(tmp_path / "data")
    found = find_files([folder], ImportConfig(split="all")).paths
    whole = write_examples([folder], ImportConfig(split="all"), tmp_path / "a")
    files = write_examples(found, ImportConfig(split_column="split"), tmp_path / "b")
    assert files.fingerprint == whole.fingerprint


@pytest.mark.parametrize("said", ["train,", ",", "train,train", "train,,test"])
def test_splits_that_are_no_list_are_refused(tmp_path, said):
    with pytest.raises(DataError, match="`--split` takes different names with commas between them, or all; got"):
        find_files([in_shards(tmp_path / "data")], ImportConfig(split=said))


def test_a_column_that_the_data_have_is_not_written_over_by_the_split(tmp_path):
    folder = in_files(tmp_path / "data")
    (folder / "train.jsonl").write_text('{"text": "a", "split": "mine"}\n')
    with pytest.raises(
        DataError, match=r"must have a new name, .*train.jsonl' has 'split': .* with `--split-column`"
    ):
        of_splits(tmp_path / "out", [folder], split="all")
    assert of_splits(tmp_path / "out", [folder], split="all", split_column="part")[-1] == ("a", "train")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ImportConfig(txt="line"), r"`--txt` is for \.txt files, got '.*a\.jsonl': leave it out"),
        (ImportConfig(split="train"), "`--split` is for folders and hub data sets, and '.*' is a file: leave it out"),
        (ImportConfig(subset="main"), "`--subset` is for hub data sets, got '.*': leave it out"),
    ],
)
def test_flags_that_say_nothing_about_the_files_are_refused(tmp_path, settings, message):
    with pytest.raises(DataError, match=message):
        find_files([shard(tmp_path, "a.jsonl", 1)], settings)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The name of a data set that only the cache has."""
    return cached_hub_data(tmp_path, monkeypatch)


@pytest.mark.filterwarnings("ignore")
def test_a_data_set_of_the_hub_is_read_by_name_and_split_from_the_cache(hub, tmp_path):
    settings = ImportConfig(split="train", subset="main")
    report = write_examples([hub], settings, tmp_path / "out")
    assert report.num_examples == 2
    assert report.form.startswith("question and answer")
    with pytest.raises(
        DataError, match="split 'dev' of the hub data set 'openai/gsm_tiny' cannot be loaded"
    ) as refused:
        write_examples([hub], ImportConfig(split="dev", subset="main"), tmp_path / "out")
    assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match="hub data set 'openai/none' cannot be loaded"):
        write_examples([Path("openai/none")], settings, tmp_path / "out")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("said", ["all", "train[:1],train[1:]"])
def test_several_splits_of_the_hub_are_one_data_set(hub, tmp_path, said):
    settings = ImportConfig(split=said, subset="main")
    write_examples([hub], settings, tmp_path / "out")
    assert [(row["question"], row["split"]) for row in rows_of(tmp_path / "out")] == [
        ("1 + 1?", "train"),
        ("2 + 2?", "train"),
    ]
    assert find_files([hub], settings).paths == [hub]


def test_a_name_that_may_be_of_the_hub_is_told_to_name_its_split(tmp_path):
    with pytest.raises(DataError, match=r"'openai/gsm8k' does not exist: .*hub, name its split, such as `--split"):
        write_examples([Path("openai/gsm8k")], ImportConfig(), tmp_path / "out")
    with pytest.raises(DataError, match=r"does not exist: check the name and the folder\.$"):
        write_examples([tmp_path / "gone.jsonl"], ImportConfig(), tmp_path / "out")
