"""Damaged and missing files are named, never averaged over."""

import pytest
from tiny_workspace import bytes_below, copy_of, index_folder, indexed, lorif, tensors_of_part, texts_file

QUESTION = ("--prompt", "The river of Arlen is", "--completion", " castle.")


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


@pytest.fixture
def workspace(tmp_path):
    return copy_of(indexed(), tmp_path)


def findings(workspace):
    report = lorif("doctor", workspace, "--json")
    assert report.code == 2
    return report.json["workspace"]["findings"]


def test_a_whole_workspace_has_no_findings(workspace):
    report = lorif("doctor", workspace, "--json")
    assert (report.code, report.json["workspace"]["findings"]) == (0, [])


def test_the_doctor_reads_every_file_there_is(workspace):
    found = bytes_below(workspace)
    report = lorif("doctor", workspace, "--json").json["workspace"]
    assert (report["num_files"], report["size_bytes"]) == (len(found), sum(map(len, found.values())))


@pytest.mark.parametrize(
    "file",
    ["parts/00000-*", "parts/00007-*", "subspace/00002.*", "self_influence/00003.*"],
)
def test_the_doctor_names_the_file_with_a_flipped_byte_and_no_other(workspace, file):
    (path,) = index_folder(workspace).glob(file)
    flip_a_byte(path)
    (finding,) = findings(workspace)
    assert f"{path.parent.name}/{path.name}' is damaged: its checksum is" in finding["problem"]


@pytest.mark.parametrize("file", ["parts/00005-*", "subspace/00001.*"])
def test_a_question_is_refused_with_the_name_of_the_damaged_file(workspace, file):
    (path,) = index_folder(workspace).glob(file)
    flip_a_byte(path)
    refused = lorif("ask", workspace, *QUESTION)
    assert refused.code == 2
    assert f"{path.parent.name}/{path.name}' is damaged" in refused.err
    assert "Run `lorif doctor WORKSPACE` to see every damaged file" in refused.err


def test_scores_over_a_damaged_shard_are_refused_and_nothing_is_written(workspace, tmp_path):
    path = tensors_of_part(workspace, 7)
    flip_a_byte(path)
    refused = lorif("score", workspace, "--queries", texts_file(), "--out", tmp_path / "scores.parquet")
    assert refused.code == 2
    assert f"{path.name}' is damaged" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["ws"]


def test_a_flipped_self_influence_is_named_when_scores_are_divided_by_it(workspace):
    flip_a_byte(index_folder(workspace) / "self_influence/00001.safetensors")
    refused = lorif("ask", workspace, *QUESTION, "--normalisation", "relatif")
    assert refused.code == 2
    assert "self_influence/00001.safetensors' is damaged" in refused.err


def test_a_truncated_shard_is_named(workspace):
    path = tensors_of_part(workspace, 1)
    path.write_bytes(path.read_bytes()[:1000])
    refused = lorif("ask", workspace, *QUESTION)
    assert refused.code == 2
    assert f"parts/{path.name}' is damaged" in refused.err


def test_a_missing_shard_is_named_by_the_doctor(workspace):
    path = tensors_of_part(workspace, 4)
    path.unlink()
    (finding,) = findings(workspace)
    assert f"parts/{path.name}' is missing" in finding["problem"]


def test_a_missing_shard_is_named_by_a_question(workspace):
    path = tensors_of_part(workspace, 4)
    path.unlink()
    refused = lorif("ask", workspace, *QUESTION)
    assert refused.code == 2
    assert f"parts/{path.name}' is missing" in refused.err


def examples_file(workspace):
    (path,) = workspace.glob("datasets/*/examples.parquet")
    return path


def break_pages(path):
    content = bytearray(path.read_bytes())
    content[100:140] = bytes(byte ^ 0xFF for byte in content[100:140])
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [break_pages, lambda path: path.write_bytes(path.read_bytes()[:-20]), lambda path: path.write_bytes(b"")],
    ids=["page", "cut", "empty"],
)
def test_the_doctor_names_damaged_examples(workspace, damage):
    damage(examples_file(workspace))
    (finding,) = findings(workspace)
    assert "examples.parquet' is not " in finding["problem"]


def test_a_question_is_refused_when_the_examples_are_damaged(workspace):
    break_pages(examples_file(workspace))
    refused = lorif("ask", workspace, *QUESTION, "-k", 200)
    assert refused.code == 2
    assert "examples.parquet' is not what was written" in refused.err


def test_the_doctor_names_missing_examples(workspace):
    examples_file(workspace).unlink()
    (finding,) = findings(workspace)
    assert "examples.parquet' is missing: import the data" in finding["problem"]


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 99}', "null"])
def test_the_doctor_names_an_unusable_manifest(workspace, content):
    (index_folder(workspace) / "manifest.json").write_text(content, encoding="utf-8")
    (finding,) = findings(workspace)
    assert "manifest.json'" in finding["problem"]


def test_a_workspace_of_a_newer_format_is_refused(workspace):
    (workspace / "workspace.json").write_text('{"format": 2}', encoding="utf-8")
    refused = lorif("ask", workspace, *QUESTION)
    assert refused.code == 2
    assert "has format 2, this version of LoRIF Studio reads 1" in refused.err


@pytest.mark.parametrize("content", ["[]", "null", "3", ""])
def test_a_workspace_marker_that_is_no_object_is_refused(workspace, content):
    (workspace / "workspace.json").write_text(content, encoding="utf-8")
    refused = lorif("ask", workspace, *QUESTION)
    assert refused.code == 2
    assert "workspace.json" in refused.err
