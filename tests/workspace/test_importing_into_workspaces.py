"""Imports as a workspace keeps them."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_workspace import bytes_below, done, lorif, rows, texts_file, write_rows

BAD = [{"text": ""}, {"text": 7}, {"text": None}]
GOOD = [{"text": "one thing"}, {"text": "another thing"}]


def datasets(workspace):
    return sorted(path.name for path in (workspace / "datasets").iterdir())


@pytest.fixture
def workspace(tmp_path):
    done("import", tmp_path / "ws", texts_file())
    return tmp_path / "ws"


def test_the_same_file_twice_adds_nothing(workspace):
    before = bytes_below(workspace / "datasets")
    again = done("import", workspace, texts_file(), "--json").json
    assert again["is_new"] is False
    assert bytes_below(workspace / "datasets") == before
    assert "Nothing added: these 121 texts are there already" in done("import", workspace, texts_file()).out


def test_the_same_texts_under_another_file_name_add_nothing(workspace, tmp_path):
    copy = shutil.copy(texts_file(), tmp_path / "other.jsonl")
    assert done("import", workspace, copy, "--json").json["is_new"] is False


def test_one_changed_text_is_another_data_set(workspace, tmp_path):
    changed = [{**rows()[0], "completion": " other."}, *rows()[1:]]
    added = done("import", workspace, write_rows(tmp_path / "changed.jsonl", changed), "--json").json
    assert added["is_new"] is True
    assert len(datasets(workspace)) == 2


def test_several_data_sets_must_be_told_apart(workspace, tmp_path):
    done("import", workspace, write_rows(tmp_path / "more.jsonl", GOOD))
    refused = lorif("index", workspace, "--model", tmp_path)
    assert refused.code == 2
    assert "one data set must be meant, but several data sets are there: texts version 1 (ds-" in refused.err


def test_bad_rows_are_listed_in_the_file_that_is_named(workspace, tmp_path):
    added = done("import", workspace, write_rows(tmp_path / "mixed.jsonl", GOOD + BAD), "--json").json
    listed = Path(added["rejects_file"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["line"] for line in listed] == [3, 4, 5]
    assert workspace in Path(added["rejects_file"]).parents


def test_when_every_row_is_bad_the_file_that_the_refusal_names_exists(workspace, tmp_path):
    refused = lorif("import", workspace, write_rows(tmp_path / "bad.jsonl", BAD))
    assert refused.code == 2
    named = Path(refused.err.split("They are listed in '")[1].split("'")[0])
    assert named == workspace / "rejects" / "bad.jsonl"
    assert len(named.read_text(encoding="utf-8").splitlines()) == 3


def test_when_every_row_is_bad_no_data_set_is_added(workspace, tmp_path):
    before = datasets(workspace)
    lorif("import", workspace, write_rows(tmp_path / "bad.jsonl", BAD))
    assert datasets(workspace) == before


def test_a_later_import_without_bad_rows_removes_the_list_of_the_earlier_one(workspace, tmp_path):
    file = write_rows(tmp_path / "mixed.jsonl", GOOD + BAD)
    done("import", workspace, file)
    added = done("import", workspace, write_rows(file, GOOD), "--json").json
    assert added["rejects_file"] is None
    assert not (workspace / "rejects" / "mixed.jsonl").exists()


@pytest.mark.parametrize("name", ["../../escaped", "a/b", "..", "", "ж ñ"])
def test_a_name_cannot_lead_the_list_of_bad_rows_out_of_its_folder(name, workspace, tmp_path):
    file = write_rows(tmp_path / "mixed.jsonl", GOOD + BAD)
    added = done("import", workspace, file, "--name", name, "--json").json
    assert Path(added["rejects_file"]).parent == workspace / "rejects"
    assert Path(added["rejects_file"]).is_file()


def test_strict_refuses_the_import_and_leaves_the_workspace_as_it_was(workspace, tmp_path):
    before = bytes_below(workspace)
    refused = lorif("import", workspace, write_rows(tmp_path / "mixed.jsonl", GOOD + BAD), "--strict")
    assert refused.code == 2
    assert "with `--strict` every row must be usable, 3 of 5 are not" in refused.err
    assert bytes_below(workspace) == before


def test_strict_accepts_a_file_without_bad_rows(workspace, tmp_path):
    assert done("import", workspace, write_rows(tmp_path / "g.jsonl", GOOD), "--strict", "--json").json["is_new"]


def test_the_columns_that_were_found_are_reported(tmp_path):
    said = done("import", tmp_path / "ws", texts_file()).out
    assert "Read as prompt and completion: prompt = `prompt`, completion = `completion`" in said
    assert "Metadata: source, year." in said


def test_repeated_texts_are_kept_and_counted(tmp_path):
    said = done("import", tmp_path / "ws", write_rows(tmp_path / "twice.jsonl", GOOD * 2)).out
    assert "Imported 4 texts" in said
    assert "2 rows repeat an earlier row's text; they are kept." in said
