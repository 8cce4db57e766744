"""Decisions come back from files: the lists of an export, exports with decisions, and tables that people write."""

import csv
import json

import pytest
from tiny_workspace import lorif, write_rows

from lorif_core.errors import DataError
from lorif_core.export_config import ExportConfig
from lorif_core.workspace.workspace import create_workspace

TEXTS = {f"t{number}": f"text of number {number}" for number in range(8)}


def workspace_at(folder, texts):
    folder.mkdir()
    made = create_workspace(folder / "ws")
    pairs = texts.items() if isinstance(texts, dict) else texts
    made.data.import_files(write_rows(folder / "texts.jsonl", [{"id": name, "text": text} for name, text in pairs]))
    return made


@pytest.fixture
def decided(tmp_path):
    made = workspace_at(tmp_path / "first", TEXTS)
    decisions = made.decisions
    decisions.exclude(["t1", "t2"], reason="spam", text="sells", actor="ada")
    decisions.exclude(["t3"], reason="toxic", actor="bo")
    decisions.flag(["t4"], actor="bo")
    decisions.label(["t4", "t5"], "odd", actor="ada")
    decisions.note(["t5"], "look = again", actor="ada")
    return made


@pytest.fixture
def fresh(tmp_path):
    """The same texts under other ids, in a workspace where nothing was decided."""
    return workspace_at(tmp_path / "second", {f"x{name}": text for name, text in TEXTS.items()})


@pytest.fixture
def same_ids(tmp_path):
    return workspace_at(tmp_path / "third", TEXTS)


def statuses(workspace):
    rows = workspace.data.browse(limit=99).frame.to_dicts()
    return {row["train_id"]: (row["status"], row["reason"]) for row in rows if row["status"] != "kept"}


def test_what_one_workspace_writes_another_one_reads_by_text(decided, fresh, tmp_path):
    file = tmp_path / "decisions.jsonl"
    assert decided.decisions.export_file(file) == 5
    found = fresh.decisions.find_in_file(file)
    assert (found.num_rows, found.num_by_id, found.num_by_text, found.num_not_found) == (5, 0, 5, 0)
    fresh.decisions.import_file(file)
    assert statuses(fresh) == {
        "xt1": ("excluded", "spam"),
        "xt2": ("excluded", "spam"),
        "xt3": ("excluded", "toxic"),
        "xt4": ("flagged", None),
    }
    state = {row["train_id"]: row for row in fresh.decisions.states().to_dicts()}
    assert (state["xt1"]["text"], state["xt5"]["labels"], state["xt5"]["num_notes"]) == ("sells", ["odd"], 1)
    assert state["xt1"]["rule"] == "import of decisions.jsonl, decided by ada"
    assert fresh.decisions.import_file(file) == []
    assert fresh.decisions.find_in_file(file).num_already == 5


def test_the_lists_of_an_export_come_back_by_id(decided, same_ids, tmp_path):
    about = decided.export().about
    same_ids.decisions.import_file(about / "excluded.jsonl")
    same_ids.decisions.import_file(about / "kept.jsonl", actor="cy")
    assert statuses(same_ids) == statuses(decided)
    row = next(row for row in same_ids.decisions.states().to_dicts() if row["train_id"] == "t1")
    assert row["text"] == "sells"
    assert same_ids.decisions.import_file(about / "excluded.jsonl") == []


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
def test_an_export_with_decisions_brings_flags_back(decided, fresh, same_ids, tmp_path, file_format):
    out = tmp_path / f"kept.{file_format}"
    decided.export(out, settings=ExportConfig(format=file_format, with_decisions=True))
    for other, name in ((fresh, "xt4"), (same_ids, "t4")):
        other.decisions.import_file(out)
        assert statuses(other) == {name: ("flagged", None)}


def table(path, rows, delimiter=","):
    with path.open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_ones_own_is_read_whatever_its_separator(fresh, tmp_path, delimiter):
    rows = [
        {"text": TEXTS["t0"], "status": "Excluded ", "reason": "spam", "labels": "odd"},
        {"text": "nowhere", "status": "flagged", "reason": "", "labels": ""},
    ]
    found = fresh.decisions.find_in_file(table(tmp_path / "own.csv", rows, delimiter))
    assert (found.num_by_text, found.num_not_found, found.not_found_lines) == (1, 1, [3])
    fresh.decisions.import_file(tmp_path / "own.csv")
    assert statuses(fresh) == {"xt0": ("excluded", "spam")}


def test_an_id_that_stands_for_another_text_is_no_match(same_ids, tmp_path):
    rows = [
        {"id": "t1", "text": TEXTS["t2"], "status": "flagged"},
        {"id": "t3", "text": "something else", "status": "flagged"},
    ]
    found = same_ids.decisions.find_in_file(write_rows(tmp_path / "own.jsonl", rows))
    assert (found.num_by_id, found.num_by_text, found.not_found_lines) == (0, 1, [2])
    same_ids.decisions.import_file(tmp_path / "own.jsonl")
    assert set(statuses(same_ids)) == {"t2"}


def test_a_text_that_is_there_several_times_is_left_alone_unless_the_rows_are_as_many(tmp_path):
    copies = workspace_at(tmp_path / "copies", [("a", "same"), ("b", "same"), ("c", "other")])
    one = [{"text": "same", "status": "flagged"}]
    found = copies.decisions.find_in_file(write_rows(tmp_path / "own.jsonl", one))
    assert (found.num_ambiguous, found.ambiguous_lines, found.decisions) == (1, [1], [])
    both = [*one, {"text": "same", "status": "kept"}]
    copies.decisions.import_file(write_rows(tmp_path / "own.jsonl", both))
    assert set(statuses(copies)) == {"a"}
    by_id = [{"id": "b", "text": "same", "status": "flagged"}]
    copies.decisions.import_file(write_rows(tmp_path / "own.jsonl", by_id))
    assert set(statuses(copies)) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"id": "t1", "status": "excluded"}\n', "line 1 .* has none: add the column `reason`"),
        ("a.jsonl", '{"id": "t1", "status": "gone"}\n', "line 1 .* has 'gone'"),
        ("a.jsonl", '\n{"status": "flagged"}\n', "line 2 .* has neither"),
        ("a.jsonl", '{"id": "t1", "status": "flagged"}\nx\n', "line 2 .* is no JSON"),
        ("a.jsonl", "[1]\n", "line 1 .* must be a JSON object"),
        ("a.jsonl", "[" * 100_000, "line 1 .* is no JSON"),
        ("a.jsonl", '{"id": ["t1"], "status": "flagged"}\n', "`id` is a text, line 1"),
        ("a.jsonl", '{"id": "t1", "status": "flagged", "labels": 7}\n', "`labels` is a text or a list"),
        ("a.jsonl", '{"id": "t1", "status": "excluded", "reason": "no such"}\n', "line 1 .* has 'no such'"),
        (
            "a.jsonl",
            '{"id": "t1", "status": "flagged"}\n{"id": "t1", "status": "kept"}\n',
            "lines 1 and 2 .* say 'flagged' and 'kept'",
        ),
        ("a.csv", "id,status\nt1,flagged,more\n", "line 2 has others"),
        ("a.csv", "id,status\nt1\n", "line 2 has others"),
        ("a.csv", 'id,status\n"t1,flagged\n', "cannot be read"),
        ("a.csv", b"id,status\nt\xff1,flagged\n", "is not UTF-8"),
        ("a.parquet", "no parquet", "cannot be read"),
        ("a.xlsx", "", "decisions are read from"),
    ],
)
def test_a_file_that_says_nothing_clear_is_refused_whole(same_ids, tmp_path, name, content, sentence):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=sentence):
        same_ids.decisions.import_file(file)
    assert same_ids.journal.revision() == 0
    refused = lorif("decisions", "import", same_ids.path, file)
    assert refused.code == 2
    assert refused.err.count("\n") == 1


def test_a_missing_file_a_folder_and_a_file_that_is_there_are_refused(same_ids, tmp_path):
    for place in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError):
            same_ids.decisions.find_in_file(place)
    with pytest.raises(DataError, match="is there already"):
        same_ids.decisions.export_file(write_rows(tmp_path / "there.jsonl", []))


def test_the_commands_say_what_they_would_do_and_did(decided, fresh, tmp_path):
    file = tmp_path / "decisions.jsonl"
    assert lorif("decisions", "export", decided.path, file, "--json").json["num_texts"] == 5
    before = fresh.journal.revision()
    dry = lorif("decisions", "import", fresh.path, file, "--dry-run", "--json").json
    assert (dry["num_by_text"], dry["batches"]) == (5, [])
    assert fresh.journal.revision() == before
    said = lorif("decisions", "import", fresh.path, file)
    assert said.code == 0
    assert "5 by text" in said.out + said.err
    assert len(statuses(fresh)) == 4
    assert "Nothing was written" in (again := lorif("decisions", "import", fresh.path, file)).out + again.err
    assert lorif("decisions", "imprt", fresh.path, file).code == 2
    assert lorif("decisions").code == 2
    assert json.loads(file.read_text(encoding="utf-8").splitlines()[0])["id"] == "t1"
