import json
from itertools import chain

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorif_core.config import ImportConfig
from lorif_core.data import examples
from lorif_core.data.examples import Example, ExampleTable
from lorif_core.data.importing import write_examples
from lorif_core.errors import ArtefactError, DamagedArtefact, DataError

NUM_ROWS = 25
ROWS = [
    {"id": f"r{i}", "text": f"text {i}", "text.en": f"en {i}", "n": i, "tags": [i, "x"] if i % 2 else None}
    for i in range(NUM_ROWS)
]


@pytest.fixture
def path(tmp_path, monkeypatch):
    """An examples.parquet of 25 rows in groups of 10."""
    monkeypatch.setattr(examples, "ROWS_PER_GROUP", 10)
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    write_examples([tmp_path / "rows.jsonl"], ImportConfig(), tmp_path / "set")
    return tmp_path / "set" / "examples.parquet"


@pytest.fixture
def table(path):
    return ExampleTable(path)


def example(row):
    return Example(f"r{row}", text=f"text {row}")


def test_a_table_describes_itself(table):
    assert table.num_examples == NUM_ROWS
    assert (table.columns.kind, table.columns.text, table.columns.id) == ("text", "text", "id")
    assert table.metadata_columns == ["text.en", "n", "tags"]
    assert table.json_columns == ["tags"]
    assert table.column_names == ["train_id", "source_line", "id", "text", "text.en", "n", "tags"]


@pytest.mark.parametrize("start", [0, 1, 9, 10, 11, 24, 25, 99])
@pytest.mark.parametrize("stop", [None, 0, 1, 10, 11, 25, 99])
def test_iterating_over_a_part_equals_slicing_the_whole(table, start, stop):
    expected = [example(row) for row in range(NUM_ROWS)][start:stop]
    assert list(table.iter_examples(start, stop)) == expected


def test_row_groups_before_the_start_are_not_read(path, monkeypatch):
    monkeypatch.setattr("lorif_core.data.examples.check_file", lambda path, remedy: None)
    content = bytearray(path.read_bytes())
    metadata = pq.read_metadata(path)
    begin = metadata.row_group(0).column(0).dictionary_page_offset or metadata.row_group(0).column(0).data_page_offset
    end = metadata.row_group(1).column(0).dictionary_page_offset or metadata.row_group(1).column(0).data_page_offset
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)
    table = ExampleTable(path)
    assert list(table.iter_examples(10)) == [example(row) for row in range(10, NUM_ROWS)]
    with pytest.raises(DamagedArtefact, match="import the data again"):
        next(table.iter_examples(9))


@pytest.mark.parametrize("rows", [[], [3], [24, 0, 13, 0, 9, 10], list(range(NUM_ROWS)), list(range(NUM_ROWS))[::-1]])
def test_rows_come_in_the_order_in_which_they_are_asked_for(table, rows):
    assert table.examples_at(rows) == [example(row) for row in rows]
    assert table.frame_at(rows)["train_id"].to_list() == [f"r{row}" for row in rows]
    assert table.values_at(rows) == [ROWS[row] for row in rows]
    assert table.frame_at(rows)["n"].to_list() == rows


def test_a_frame_has_all_columns_and_json_as_text(table):
    frame = table.frame_at([3, 2])
    assert frame.to_dicts() == [
        {
            "train_id": f"r{row}",
            "source_line": row + 1,
            "id": f"r{row}",
            "text": f"text {row}",
            "text.en": f"en {row}",
            "n": row,
            "tags": tags,
        }
        for row, tags in [(3, '[3, "x"]'), (2, None)]
    ]


def test_an_empty_frame_keeps_columns_and_types(table):
    assert table.frame_at([]).schema == table.frame_at([0]).schema
    assert table.frame_at([]).schema["n"] == pl.Int64


@pytest.mark.parametrize("row", [-1, NUM_ROWS])
def test_a_row_outside_the_table_is_refused(table, row):
    with pytest.raises(DataError, match=f"rows go from 0 to 24, got {row}"):
        table.examples_at([0, row])


def test_a_negative_start_is_refused(table):
    with pytest.raises(DataError, match="start at 0, got -1"):
        next(table.iter_examples(-1))


@pytest.mark.parametrize("chunk", [1, 7, 10, 25, 1_000])
def test_ids_come_in_order_in_lists_of_one_size(table, chunk):
    chunks = list(table.iter_ids(chunk))
    assert list(chain.from_iterable(chunks)) == [f"r{i}" for i in range(NUM_ROWS)]
    assert all(len(ids) == chunk for ids in chunks[:-1])


def test_rows_are_found_by_id_in_the_order_of_the_ids(table):
    assert table.rows_of(["r24", "r0", "r11", "r0"]) == [24, 0, 11, 0]
    assert table.rows_of([]) == []


def test_unknown_ids_are_refused_and_the_first_few_named(table):
    with pytest.raises(DataError, match=r"4 of 5 are not, such as 'w', 'x', 'y': check"):
        table.rows_of(["w", "r1", "x", "y", "z"])


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Example("a", text="t"), "t"),
        (Example("a", prompt="Why?", completion=" Because."), "Why? Because."),
        (Example("a", prompt="", completion="x"), "x"),
        (
            Example("a", messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]),
            "user: hi\nassistant: yo",
        ),
    ],
)
def test_plain_text_is_the_whole_example(one, text):
    assert one.plain_text == text


def test_examples_of_pairs_have_prompt_and_completion(tmp_path):
    (tmp_path / "rows.csv").write_text("a,q\nx,\n")
    write_examples([tmp_path / "rows.csv"], ImportConfig(prompt="q", completion="a"), tmp_path / "set")
    table = ExampleTable(tmp_path / "set" / "examples.parquet")
    (one,) = table.iter_examples()
    assert one == Example(one.train_id, prompt="", completion="x")
    assert table.examples_at([0, 0]) == [one, one]


def test_a_missing_file_is_an_artefact_error(tmp_path):
    with pytest.raises(ArtefactError, match="is missing: import the data with `lorif import`"):
        ExampleTable(tmp_path / "examples.parquet")


def test_a_file_that_goes_away_is_an_artefact_error(path, table):
    path.unlink()
    with pytest.raises(ArtefactError, match="is missing"):
        table.examples_at([0])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all, not at all"])
def test_a_file_of_other_bytes_is_a_damaged_artefact(tmp_path, content):
    (tmp_path / "examples.parquet").write_bytes(content)
    with pytest.raises(DamagedArtefact, match=r"not a readable Parquet file .*import the data again"):
        ExampleTable(tmp_path / "examples.parquet")


def test_a_cut_file_is_a_damaged_artefact(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedArtefact, match="is not what was written"):
        ExampleTable(path)


def test_any_changed_byte_of_the_texts_is_found(path, table):
    column = pq.read_metadata(path).row_group(0).column(3)
    assert column.path_in_schema == "text"
    assert column.has_dictionary_page
    content = path.read_bytes()
    for place in range(column.data_page_offset - 40, column.data_page_offset):  # the end of the dictionary's texts
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedArtefact, match="import the data again"):
            table.examples_at([0])


def test_another_parquet_file_is_refused(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "examples.parquet")
    with pytest.raises(ArtefactError, match="without the description that an import writes"):
        ExampleTable(tmp_path / "examples.parquet")
