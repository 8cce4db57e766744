"""Data of every form, imported and exported again: the same rows, the same ids, the same examples."""

import csv
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_rows import CHATS, PREFERENCES, TEXTS, TOKENS

from lorif_core.config import ImportConfig
from lorif_core.data.column_plan import SHOWN_COLUMN
from lorif_core.data.examples import ExampleTable
from lorif_core.data.export_selection import Decisions, Selection
from lorif_core.data.exporting import write_data
from lorif_core.data.importing import write_examples
from lorif_core.data.sources import iter_records
from lorif_core.export_config import ExportConfig

NO_DECISIONS = Decisions(pl.DataFrame(schema={"train_id": pl.String, "status": pl.String, "reason": pl.String}))
ROWS = [
    *((row, settings) for row, settings, _ in TEXTS + CHATS),
    *((row, {"preference": side}) for row, *_ in PREFERENCES for side in ("pairs", "chosen")),
    *((row, {"column": ("segment_ids=seq_idx",) if "seq_idx" in row else ()}) for row, _ in TOKENS[:2] + TOKENS[3:]),
]


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def spelled(path, rows):
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
            for row in rows
        )
    return path


def imported(source, folder, settings):
    report = write_examples([source], settings, folder)
    assert report.rejects_by_reason == {}
    return report, ExampleTable(folder / "examples.parquet")


def exported(folder, out, file_format):
    out.mkdir()
    chosen = Selection(folder / "examples.parquet", NO_DECISIONS, ExportConfig(format=file_format))
    write_data(out, chosen)
    return chosen, out if file_format == "hf" else out / f"data.{file_format}"


def values(path):
    return [record.values for record in iter_records(path)]


@pytest.mark.parametrize(("row", "settings"), ROWS, ids=str)
def test_a_row_comes_back_as_it_was_and_is_read_as_it_was(tmp_path, row, settings):
    rows = [{**row, "n": 1}, {**row, "n": 2}]
    report, table = imported(jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "set", ImportConfig(**settings))
    assert table.values_at([0, 1]) == rows
    assert report.metadata_columns == ["n"]
    chosen, written = exported(tmp_path / "set", tmp_path / "jsonl", "jsonl")
    assert values(written) == rows
    again, other = imported(written, tmp_path / "again", chosen.import_settings())
    assert again.fingerprint == report.fingerprint
    assert list(other.iter_examples()) == list(table.iter_examples())
    assert other.columns == table.columns


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


OBJECTS = [one for one in ROWS if not {"tools", "functions"} & one[0].keys() and "weight" not in str(one[0])]


@pytest.mark.parametrize(("row", "settings"), OBJECTS, ids=str)
@pytest.mark.parametrize("file_format", ["parquet", "hf"])
def test_other_formats_bring_the_same_rows_and_examples(tmp_path, row, settings, file_format):
    rows = [{**row, "n": 1}]
    _, table = imported(jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "set", ImportConfig(**settings))
    chosen, written = exported(tmp_path / "set", tmp_path / "out", file_format)
    _, other = imported(written, tmp_path / "again", chosen.import_settings())
    assert [one._replace(train_id="") for one in other.iter_examples()] == [
        one._replace(train_id="") for one in table.iter_examples()
    ]


CELLS = [
    ({"messages": CHATS[0][0]["messages"]}, {}),
    (CHATS[2][0], {}),
    (PREFERENCES[6][0], {"preference": "pairs"}),
    ({"input_ids": [5, 6], "labels": [-100, 6]}, {}),
    (CHATS[13][0], {}),
]


@pytest.mark.parametrize(("row", "settings"), CELLS, ids=str)
def test_cells_that_spell_lists_are_read_as_lists_with_the_same_ids_and_stay_cells(tmp_path, row, settings):
    _, table = imported(jsonl(tmp_path / "rows.jsonl", [row]), tmp_path / "set", ImportConfig(**settings))
    source = spelled(tmp_path / "rows.csv", [row])
    _, other = imported(source, tmp_path / "cells", ImportConfig(**settings))
    assert list(other.iter_examples()) == list(table.iter_examples())
    _, written = exported(tmp_path / "cells", tmp_path / "csv", "csv")
    assert written.read_text().splitlines() == source.read_text().splitlines()


def test_lists_in_parquet_and_in_jsonl_give_the_same_examples(tmp_path):
    row = {"chosen": CHATS[0][0]["messages"], "rejected": CHATS[7][0]["messages"][:1] + CHATS[7][0]["messages"][-1:]}
    settings = ImportConfig(preference="pairs")
    report, table = imported(jsonl(tmp_path / "rows.jsonl", [row]), tmp_path / "set", settings)
    again, other = imported(parquet(tmp_path / "rows.parquet", [row]), tmp_path / "again", settings)
    assert again.fingerprint == report.fingerprint
    assert list(other.iter_examples()) == list(table.iter_examples())


def test_what_people_read_is_a_column_where_no_column_of_the_data_holds_it(tmp_path):
    row = {"instruction": "Add.", "output": "3", SHOWN_COLUMN: "mine"}
    _, table = imported(jsonl(tmp_path / "rows.jsonl", [row]), tmp_path / "set", ImportConfig(prompt_form="plain"))
    assert table.frame_at([0])[SHOWN_COLUMN].to_list() == ["Add.\n3"]
    assert table.shown_columns == (SHOWN_COLUMN,)
    assert table.metadata_columns == [f"original_{SHOWN_COLUMN}"]
    _, written = exported(tmp_path / "set", tmp_path / "out", "jsonl")
    assert values(written) == [row]
    _, plain = imported(
        jsonl(tmp_path / "t.jsonl", [{"text": "t", SHOWN_COLUMN: "x"}]), tmp_path / "t", ImportConfig()
    )
    assert plain.shown_columns == ("text",)
    assert plain.data_columns == ["text", SHOWN_COLUMN]


@pytest.mark.parametrize("change", [{"prompt_form": "chat"}, {"prompt_form": "alpaca"}, {"form": "text"}])
def test_the_same_rows_read_in_another_way_are_other_examples(tmp_path, change):
    source = jsonl(tmp_path / "rows.jsonl", [{"prompt": "p", "completion": "c", "text": "t"}])
    one, _ = imported(source, tmp_path / "one", ImportConfig())
    other, _ = imported(source, tmp_path / "other", ImportConfig(**change))
    assert one.fingerprint != other.fingerprint


def test_a_row_that_is_no_example_does_not_end_the_import(tmp_path):
    good = CHATS[0][0]
    image = {"messages": [{"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": "a"}]}
    report = write_examples([jsonl(tmp_path / "rows.jsonl", [good, image])], ImportConfig(), tmp_path / "set")
    assert (report.num_examples, report.rejects_by_reason) == (1, {"`messages` has content that is not text": 1})
    assert report.form == "chat messages: messages = `messages`; target: the assistant's turns"
