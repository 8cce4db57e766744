import json

import pytest

from lorif_core.config import ImportConfig
from lorif_core.data.importing import write_examples
from lorif_core.data.previewing import SHOWN_ROWS, preview_files
from lorif_core.errors import DataError


def write(path, lines):
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8"
    )
    return path


def test_bad_rows_are_listed_with_their_line_and_the_good_ones_are_shown(tmp_path):
    file = write(tmp_path / "texts.jsonl", [{"text": "one"}, "{not json", {"text": ""}, {"text": "four"}])
    found = preview_files([file], ImportConfig())
    assert [(row.line, row.text) for row in found.rows] == [(1, "one"), (4, "four")]
    assert [(row["line"], row["reason"]) for row in found.rejects] == [(2, "not JSON"), (3, "empty target")]
    assert found.rejects_by_reason == {"not JSON": 1, "empty target": 1}


def test_a_preview_of_a_whole_file_says_what_its_import_says(tmp_path):
    lines = [{"prompt": "a", "completion": str(n % 3), "source": "s"} for n in range(7)] + ["[]"]
    file = write(tmp_path / "texts.jsonl", lines)
    found, report = (
        preview_files([file], ImportConfig()),
        write_examples([file], ImportConfig(), tmp_path / "out"),
    )
    assert found.is_whole
    assert found.num_duplicates == report.num_duplicates
    assert found.rejects_by_reason == report.rejects_by_reason
    assert found.num_scanned - found.num_rejected == report.num_examples
    assert found.columns == report.columns


def test_a_long_file_is_read_no_further_than_asked(tmp_path):
    file = write(tmp_path / "texts.jsonl", [{"text": f"text {n}"} for n in range(50)])
    found = preview_files([file], ImportConfig(), max_rows=30)
    assert (found.num_scanned, found.is_whole, len(found.rows)) == (30, False, SHOWN_ROWS)


def test_columns_that_cannot_be_told_are_a_problem_and_no_error(tmp_path):
    file = write(tmp_path / "texts.jsonl", [{"utterance": "a", "verdict": "b"}])
    found = preview_files([file], ImportConfig())
    assert found.columns is None
    assert found.names == ["utterance", "verdict"]
    chosen = preview_files([file], ImportConfig(prompt="utterance", completion="verdict"))
    assert chosen.rows[0].metadata == {}
    assert chosen.id_rule == "a hash of the text that is trained on"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        preview_files([tmp_path / "none.jsonl"], ImportConfig())
