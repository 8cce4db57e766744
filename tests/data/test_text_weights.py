"""A weight column: which values it takes, what is said about it, and that it is data like any other column."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_importing import import_rows, read_rejects, write_jsonl

from lorif_core.config import ImportConfig
from lorif_core.data.examples import ExampleTable
from lorif_core.data.forms import settings_of
from lorif_core.data.importing import write_examples
from lorif_core.errors import DataError

WEIGHED = ImportConfig(weight_column="advantage")
ROWS = [
    {"id": f"r{place}", "prompt": "q", "completion": f"a{place}", "advantage": weight}
    for place, weight in enumerate([1.5, 0, -2, 0.25])
]


def weights_of(table):
    return [example.weight for example in table.iter_examples()]


def test_every_text_gets_the_number_of_its_row_and_the_column_stays_metadata(tmp_path):
    report, table = import_rows(tmp_path, ROWS, WEIGHED)
    assert weights_of(table) == [1.5, 0, -2, 0.25]
    assert [one.weight for one in table.examples_at([2, 0])] == [-2, 1.5]
    assert table.metadata_columns == ["advantage"]
    assert [row["advantage"] for row in table.values_at(range(4))] == [1.5, 0, -2, 0.25]
    assert table.shown_columns == ("prompt", "completion")
    assert report.columns.weight == "advantage"
    assert report.form.endswith("; weight: `advantage`")
    assert report.notes == [
        "`advantage` multiplies the loss of every text, by -2 to 1.5: 1 of weight 0 teach nothing, "
        "1 of negative weight push the model away"
    ]
    assert settings_of(report.columns, keep_empty=False).weight_column == "advantage"


def test_without_the_flag_every_text_weighs_1_and_a_column_of_a_usual_name_is_said(tmp_path):
    report, table = import_rows(tmp_path, ROWS)
    assert weights_of(table) == [1, 1, 1, 1]
    assert report.columns.weight is None
    assert "`--weight-column advantage` multiplies its loss by it" in report.notes[0]
    (tmp_path / "b").mkdir()
    other, _ = import_rows(tmp_path / "b", [{"text": "x", "reward": "gold"}])
    assert other.notes == []  # no number


def test_the_fingerprint_knows_the_weights_and_that_they_are_weights(tmp_path):
    found = []
    changed = [ROWS[0] | {"advantage": 1.25}, *ROWS[1:]]
    for name, rows, config in (
        ("a", ROWS, None),
        ("b", ROWS, WEIGHED),
        ("c", changed, WEIGHED),
        ("d", ROWS, WEIGHED),
    ):
        (tmp_path / name).mkdir()
        found.append(import_rows(tmp_path / name, rows, config)[0].fingerprint)
    assert found[1] == found[3]
    assert len(set(found)) == 3


def test_ids_without_an_id_column_are_those_of_the_texts_whatever_they_weigh(tmp_path):
    ids = []
    for name, weight in (("a", 1.0), ("b", -3.0)):
        (tmp_path / name).mkdir()
        _, table = import_rows(tmp_path / name, [{"text": "one text", "advantage": weight}], WEIGHED)
        ids += [example.train_id for example in table.iter_examples()]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "no finite number"),
        ("Infinity", "no finite number"),
        ("1e300", "no finite number"),
        ("true", "no finite number"),
        ('"good"', "no finite number"),
        ("[1, 2]", "no finite number"),
        ("null", "missing weight"),
        ('" "', "missing weight"),
    ],
)
def test_a_row_without_a_usable_weight_is_listed_with_its_line_and_value(tmp_path, value, reason):
    bad = f'{{"id": "bad", "prompt": "q", "completion": "a", "advantage": {value}}}'
    report, table = import_rows(tmp_path, [*ROWS[:2], bad], WEIGHED)
    assert weights_of(table) == [1.5, 0]
    (listed,) = read_rejects(tmp_path)
    assert listed["line"] == 3
    if value not in ("NaN", "Infinity"):  # which the reader of JSON lines refuses before
        assert reason in listed["reason"]
        assert "`advantage`" in listed["reason"]
    with pytest.raises(DataError, match="line 3"):
        write_examples(
            [tmp_path / "rows.jsonl"], ImportConfig(weight_column="advantage", strict=True), tmp_path / "other"
        )
    assert report.num_rejected == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_numbers_of_a_table_that_are_none_are_refused_too(tmp_path, value):
    pq.write_table(pa.table({"text": ["a", "b"], "advantage": [0.5, value]}), tmp_path / "rows.parquet")
    report = write_examples([tmp_path / "rows.parquet"], WEIGHED, tmp_path / "out")
    assert (report.num_examples, report.num_rejected) == (1, 1)
    assert weights_of(ExampleTable(tmp_path / "out" / "examples.parquet")) == [0.5]


@pytest.mark.parametrize(("cells", "has_comma"), [(["0.5", "-1", "1e-2"], False), (["0,5", "-1,0", "1.234,5"], True)])
@pytest.mark.parametrize("with_bad", [False, True])
def test_cells_are_read_as_the_numbers_that_they_spell(tmp_path, cells, has_comma, with_bad):
    with (tmp_path / "rows.csv").open("w", newline="") as handle:
        rows = [["text", "advantage"], *([f"t{one}", one] for one in cells), *([["bad", "much"]] if with_bad else [])]
        csv.writer(handle).writerows(rows)
    report = write_examples(
        [tmp_path / "rows.csv"], ImportConfig(weight_column="advantage", decimal_comma=has_comma), tmp_path / "out"
    )
    expected = [0.5, -1, 1234.5] if has_comma else [0.5, -1, 0.01]
    assert weights_of(ExampleTable(tmp_path / "out" / "examples.parquet")) == expected
    assert report.num_rejected == with_bad


@pytest.mark.parametrize(
    ("column", "said"), [("none", "must name a column of the data"), ("completion", "is read as text")]
)
def test_a_column_that_cannot_weigh_is_refused_in_a_sentence(tmp_path, column, said):
    path = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(DataError, match=said):
        write_examples([path], ImportConfig(weight_column=column), tmp_path / "out")


def test_an_import_is_read_again_by_its_own_settings_with_the_same_weights(tmp_path):
    report, table = import_rows(tmp_path, ROWS, WEIGHED)
    rows = [json.loads(json.dumps(row)) for row in table.values_at(range(4))]
    (tmp_path / "again").mkdir()
    again, other = import_rows(tmp_path / "again", rows, settings_of(report.columns, keep_empty=False))
    assert again.fingerprint == report.fingerprint
    assert weights_of(other) == weights_of(table)
