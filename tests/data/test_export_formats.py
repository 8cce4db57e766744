"""What exported data hold, format by format, against the rows that were imported."""

import csv
import gzip
import json

import datasets
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.config import ImportConfig
from lorif_core.data import examples
from lorif_core.data.export_csv import neutralise
from lorif_core.data.export_lines import copy_lines
from lorif_core.data.export_selection import Decisions, Selection
from lorif_core.data.export_types import arrow_type, shape_of, type_of_column
from lorif_core.data.exporting import choose_format, count_rows, write_data
from lorif_core.data.importing import write_examples
from lorif_core.data.sources import iter_records
from lorif_core.errors import ConfigError, DataError
from lorif_core.export_config import ExportConfig

CSV_IMPORT = ImportConfig(text="text")
ROWS = [
    {
        "text": f"text {number} \u2028 é",
        "n": number,
        "share": number / 8 if number % 3 else number,
        "ok": number % 2 == 0,
        "tags": ["a", "b"][: number % 3],
        "turns": {"role": "user", "parts": [{"x": number}]} if number % 4 else None,
        "mixed": [number, str(number), {"k": None}][number % 3],
        "note": None,
    }
    for number in range(23)
]


def select(folder, paths, states=(), *, reading=None, **settings):
    """What an export of freshly imported files keeps; states are (id, status, reason)."""
    write_examples(list(paths), reading or ImportConfig(), folder)
    frame = pl.DataFrame(
        list(states), schema={"train_id": pl.String, "status": pl.String, "reason": pl.String}, orient="row"
    )
    id_name = None if reading is None else reading.id
    return Selection(folder / "examples.parquet", Decisions(frame), ExportConfig(**settings), id_name)


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def ids_of(selection):
    return [train_id for chunk in selection.table.iter_ids() for train_id in chunk]


def write(selection, folder, sources=()):
    folder.mkdir()
    write_data(folder, selection, sources)
    return next(path for path in sorted(folder.iterdir()) if path.name.startswith("data"))


@pytest.fixture
def selection(tmp_path, monkeypatch):
    """23 rows in groups of 5, of which rows 1, 5 to 9 and 22 are left out."""
    monkeypatch.setattr(examples, "ROWS_PER_GROUP", 5)
    rows = [{"id": f"r{number}"} | row for number, row in enumerate(ROWS)]
    states = [(f"r{number}", "excluded", "spam") for number in (1, 5, 6, 7, 8, 9, 22)]
    return select(tmp_path / "set", [jsonl(tmp_path / "rows.jsonl", rows)], [*states, ("r3", "flagged", None)])


def of_format(selection, file_format, **settings):
    return Selection(selection.path, selection.decisions, ExportConfig(format=file_format, **settings))


KEPT_ROWS = [{"id": f"r{number}"} | ROWS[number] for number in range(22) if number != 1 and not 5 <= number <= 9]


def test_rewritten_jsonl_holds_the_kept_rows_in_order_with_every_column(selection, tmp_path):
    lines = write(of_format(selection, "jsonl"), tmp_path / "out").read_bytes().splitlines(keepends=True)
    assert [json.loads(line) for line in lines] == KEPT_ROWS
    assert list(json.loads(lines[0])) == list(KEPT_ROWS[0])


def test_a_rewritten_line_is_spelled_as_json_dumps_spells_it(selection, tmp_path):
    lines = write(of_format(selection, "jsonl"), tmp_path / "out").read_text(encoding="utf-8").split("\n")
    expected = [json.dumps({**row, "share": float(row["share"])}, ensure_ascii=False) for row in KEPT_ROWS]
    assert lines == [*expected, ""]


def test_parquet_gives_the_kept_rows_with_their_types(selection, tmp_path):
    table = pq.read_table(write(of_format(selection, "parquet"), tmp_path / "out"))
    as_text = [{**row, "mixed": json.dumps(row["mixed"])} for row in KEPT_ROWS]
    assert table.to_pylist() == as_text
    assert table.schema.field("tags").type == pa.list_(pa.string())
    assert table.schema.field("turns").type.field("parts").type == pa.list_(pa.struct([("x", pa.int64())]))
    assert [table.schema.field(name).type for name in ("n", "share", "ok")] == [pa.int64(), pa.float64(), pa.bool_()]


def test_parquet_has_the_same_bytes_every_time(selection, tmp_path):
    first, again = (write(of_format(selection, "parquet"), tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == again.read_bytes()


def test_a_datasets_folder_loads_with_the_same_rows_and_types(selection, tmp_path):
    write(of_format(selection, "hf"), tmp_path / "out")
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    table = pq.read_table(write(of_format(selection, "parquet"), tmp_path / "parquet"))
    assert loaded.to_list() == table.to_pylist()
    assert loaded.features.arrow_schema.remove_metadata() == table.schema


def test_datasets_folders_with_other_rows_have_other_fingerprints(selection, tmp_path):
    write(of_format(selection, "hf"), tmp_path / "one")
    write(of_format(selection, "hf", drop_flagged=True), tmp_path / "two")
    one, two = (datasets.load_from_disk(str(tmp_path / name)) for name in ("one", "two"))
    assert one._fingerprint != two._fingerprint


def test_csv_cells_are_text_numbers_json_or_empty(selection, tmp_path):
    with write(of_format(selection, "csv"), tmp_path / "out").open(encoding="utf-8", newline="") as handle:
        header, *cells = csv.reader(handle)
    assert header == list(KEPT_ROWS[0])
    first = KEPT_ROWS[2]
    turns = json.dumps(first["turns"])
    assert cells[2] == ["r3", first["text"], "3", "3.0", "false", "[]", turns, "3", ""]
    assert len(cells) == len(KEPT_ROWS)


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv", "hf"])
def test_every_format_counts_its_own_rows(selection, tmp_path, file_format):
    path = write(of_format(selection, file_format), tmp_path / "out")
    assert count_rows(path, file_format) == len(KEPT_ROWS)


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv", "hf"])
def test_with_nothing_kept_the_columns_are_still_there(tmp_path, file_format):
    source = jsonl(tmp_path / "rows.jsonl", [{"text": "a", "n": 1}])
    selection = select(tmp_path / "set", [source], format=file_format)
    selection = select(tmp_path / "set", [source], [(ids_of(selection)[0], "excluded", None)], format=file_format)
    path = write(selection, tmp_path / "out")
    assert count_rows(path, file_format) == 0
    if file_format == "parquet":
        assert pq.read_schema(path).names == ["text", "n"]
    if file_format == "csv":
        assert path.read_text() == "text,n\n"
    if file_format == "hf":
        assert datasets.load_from_disk(str(tmp_path / "out")).column_names == ["text", "n"]


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv"])
def test_decisions_become_two_columns_behind_the_data(selection, tmp_path, file_format):
    chosen = of_format(selection, file_format, with_decisions=True, status_column="s", reason_column="r")
    path = write(chosen, tmp_path / "out")
    rows = [record.values for record in iter_records(path)]
    assert list(rows[0])[-2:] == ["s", "r"]
    assert [row["s"] for row in rows[:3]] == ["kept", "kept", "flagged"]
    assert {row["r"] or None for row in rows} == {None}


def test_a_reason_that_was_given_is_written(tmp_path):
    source = jsonl(tmp_path / "rows.jsonl", [{"id": "a", "text": "x"}])
    chosen = select(tmp_path / "set", [source], [("a", "flagged", "spam")], with_decisions=True)
    (row,) = (json.loads(line) for line in write(chosen, tmp_path / "out").read_bytes().splitlines())
    assert row == {"id": "a", "text": "x", "decision": "flagged", "decision_reason": "spam"}


def test_a_column_of_the_data_is_never_hidden_by_an_added_one(tmp_path):
    source = jsonl(tmp_path / "rows.jsonl", [{"text": "x", "decision": "mine"}])
    chosen = select(tmp_path / "set", [source], with_decisions=True)
    with pytest.raises(ConfigError, match=r"the data have a column 'decision' already.*--status-column"):
        chosen.require_free_names()
    select(tmp_path / "set", [source], with_decisions=True, status_column="d").require_free_names()


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@sum", "'@sum"),
        ("+cmd|x", "'+cmd|x"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("-", "'-"),
        ("-inf", "'-inf"),
        ("-٣", "'-٣"),
        ("-3.5", "-3.5"),
        ("+4", "+4"),
        ("-1e-9", "-1e-9"),
        ("-.5", "-.5"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        ("", ""),
    ],
)
def test_only_cells_that_a_spreadsheet_would_run_are_neutralised(cell, written):
    assert neutralise(cell) == written


def test_formulas_are_neutralised_in_csv_and_kept_in_the_other_formats(tmp_path):
    rows = [{"text": "=HYPERLINK(1)", "@name": "-3.5"}, {"text": "-x", "@name": "ok"}]
    source = jsonl(tmp_path / "rows.jsonl", rows)
    chosen = select(tmp_path / "set", [source])
    path = write(of_format(chosen, "csv"), tmp_path / "csv")
    assert path.read_text() == "text,'@name\n'=HYPERLINK(1),-3.5\n'-x,ok\n"
    assert pq.read_table(write(of_format(chosen, "parquet"), tmp_path / "parquet")).to_pylist() == rows
    lines = write(of_format(chosen, "jsonl"), tmp_path / "jsonl").read_bytes().splitlines()
    assert list(map(json.loads, lines)) == rows


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)


@given(rows=st.lists(st.tuples(cells.map("x{}".format), cells), min_size=1, max_size=4))
def test_csv_gives_back_every_text_but_for_the_apostrophe(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("csv")
    source = jsonl(folder / "rows.jsonl", [{"text": text, "note": note} for text, note in rows])
    chosen = select(folder / "set", [source], format="csv")
    with write(chosen, folder / "out").open(encoding="utf-8", newline="") as handle:
        _, *found = csv.reader(handle)
    assert found == [[text, neutralise(note)] for text, note in rows]


BYTES = b'\xef\xbb\xbf{"text": "a",  "n": 1.0}\r\n\n{"n":2,"text":"b"}\nnot json\n{"text": ""}\n{"text": "\\u00e9"}'


def verbatim(tmp_path, files, excluded=(), **reading):
    """The copied lines of files, with the rows of these numbers left out."""
    paths = []
    for number, content in enumerate(files):
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_bytes(content)
    settings = ImportConfig(**reading)
    ids = ids_of(select(tmp_path / "set", paths, reading=settings))
    chosen = select(tmp_path / "set", paths, [(ids[row], "excluded", None) for row in excluded], reading=settings)
    return write(chosen, tmp_path / "out", paths).read_bytes()


def test_lines_are_copied_byte_for_byte_without_blank_and_rejected_ones(tmp_path):
    found = verbatim(tmp_path, [BYTES])
    assert found == b'{"text": "a",  "n": 1.0}\r\n{"n":2,"text":"b"}\n{"text": "\\u00e9"}'


def test_a_file_of_usable_lines_is_copied_whole(tmp_path):
    content = b'{"text":"a"}\n{"text" :"b"}\r\n{"text":"c"}\n'
    assert verbatim(tmp_path, [content]) == content


def test_an_open_last_line_is_closed_only_when_another_follows(tmp_path):
    assert verbatim(tmp_path, [b'{"text":"a"}', b'{"text":"b"}']) == b'{"text":"a"}\n{"text":"b"}'


def test_without_its_last_row_the_copy_ends_with_the_line_end_of_the_row_before(tmp_path):
    assert verbatim(tmp_path, [b'{"text":"a"}\r\n{"text":"b"}'], [1]) == b'{"text":"a"}\r\n'


@pytest.mark.parametrize(
    "files",
    [
        [b'{"text":"a"}\n', b"\n\nnot json\n" + b'{"text":"b"}\n'],
        [b'{"text":"a"}\n{"text":""}\n{"text":"c"}\n', b"{}\n" * 5 + b'{"text":"d"}\n'],
        [b"{}\n" + b'{"text":"a"}\n{}\n', b'{}\n{}\n{"text":"b"}\n', b'{"text":"b"}\n'],
        [b'{"text":"a"}\n{"text":"a"}\n', b'{"text":"a"}\n' * 3],
    ],
)
def test_lines_of_several_files_are_found_whatever_was_rejected_between_them(tmp_path, files):
    usable = [line for content in files for line in content.splitlines(keepends=True) if b'"text":"' in line]
    assert verbatim(tmp_path, files) == b"".join(line for line in usable if b'""' not in line)


def test_a_rejected_line_with_the_id_of_a_later_file_is_not_taken_for_it(tmp_path):
    files = [b'{"id":"x","text":"a"}\n{"id":"y","text":""}\n', b'\n{"id":"y","text":"right"}\n']
    assert verbatim(tmp_path, files) == b'{"id":"x","text":"a"}\n{"id":"y","text":"right"}\n'


def test_lines_with_empty_completions_are_found_when_they_were_imported(tmp_path):
    rows = [b'{"prompt":"p","completion":""}\n', b'\n{"prompt":"q","completion":""}\n']
    assert verbatim(tmp_path, rows, keep_empty=True) == b"".join(row.lstrip() for row in rows)


def test_zipped_lines_are_copied_unzipped(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text":"a"}\n{"text":"b"}\n'))
    chosen = select(tmp_path / "set", [path])
    assert write(chosen, tmp_path / "out", [path]).read_bytes() == b'{"text":"a"}\n{"text":"b"}\n'


def test_a_file_that_lost_its_lines_is_refused(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", [{"text": "a"}, {"text": "b"}])
    chosen = select(tmp_path / "set", [path])
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(DataError, match=r"line 2 with id .* is in none of them"):
        list(copy_lines([path], chosen.iter_lines(), chosen.source_columns, keeps_empty=False))


ODD_NAMES = [
    ["text", "train_id"],
    ["text", "original_train_id"],
    ["text", "train_id", "original_train_id"],
    ["text", "original_original_train_id", "train_id"],
    ["", "text"],
    ["unnamed", "text"],
    ["unnamed", "", "text"],
    ["text", "source_line", "original_unnamed", "train_id", ""],
]


@pytest.mark.parametrize("names", ODD_NAMES, ids=str)
@pytest.mark.parametrize("id_column", [None, "first"])
def test_columns_get_back_the_names_they_had(tmp_path, names, id_column):
    rows = [{name: f"{name} {number}" for name in names} for number in range(3)]
    given_id = next((name for name in names if name not in ("", "text")), None) if id_column else None
    source = jsonl(tmp_path / "rows.jsonl", rows)
    chosen = select(tmp_path / "set", [source], reading=ImportConfig(text="text", id=given_id))
    assert [json.loads(line) for line in write(chosen, tmp_path / "out").read_bytes().splitlines()] == rows
    assert list(chosen.source_names.values()) == names


def test_an_id_column_with_a_name_of_ours_counts_as_renamed_where_nothing_else_is_known(tmp_path):
    source = jsonl(tmp_path / "rows.jsonl", [{"text": "a", "train_id": "t"}])
    chosen = select(tmp_path / "set", [source], reading=ImportConfig(id="train_id"))
    assert list(of_format(chosen, "jsonl").source_names.values()) == ["text", "train_id"]


READINGS = [
    ({"text": "a"}, ImportConfig()),
    ({"body": "a", "text": "b"}, ImportConfig(text="body")),
    ({"prompt": "a", "completion": "b", "id": 7}, ImportConfig()),
    ({"prompt": "a", "completion": "", "key": "k"}, ImportConfig(id="key", keep_empty=True)),
    ({"train_id": "t", "text": "b"}, ImportConfig(id="train_id")),
    ({"messages": [{"role": "assistant", "content": "x"}]}, ImportConfig()),
]


@pytest.mark.parametrize(("row", "reading"), READINGS, ids=str)
def test_the_settings_found_in_the_file_read_the_same_examples(tmp_path, row, reading):
    source = jsonl(tmp_path / "rows.jsonl", [row])
    chosen = select(tmp_path / "set", [source], reading=reading)
    again = write_examples([source], chosen.import_settings(), tmp_path / "again")
    assert again.fingerprint == chosen.table.fingerprint


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=6,
)


@given(column=st.lists(values, max_size=4))
def test_a_type_is_given_only_where_it_holds_every_value(column):
    found = type_of_column(None if value is None else json.dumps(value) for value in column)
    if found is not None:
        assert pa.array(column, found).to_pylist() == column


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], pa.list_(pa.string())),
        ([1, None], pa.list_(pa.int64())),
        ([1, 0.5], pa.list_(pa.float64())),
        ([1, "a"], None),
        ([{"a": 1}, {"b": 1}], None),
        ({}, None),
        ({"a": [{"b": True}]}, pa.struct([("a", pa.list_(pa.struct([("b", pa.bool_())])))])),
    ],
)
def test_values_of_one_shape_get_a_nested_type(value, expected):
    assert arrow_type(shape_of(value)) == expected


def test_what_is_nested_very_deep_stays_text():
    value = "x"
    for _ in range(400):
        value = [value]
    assert type_of_column([json.dumps(value)]) is None


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("a.jsonl", None, "jsonl"),
        ("a.ndjson", None, "jsonl"),
        ("a.PARQUET", None, "parquet"),
        ("a.csv", "csv", "csv"),
        ("folder", "hf", "hf"),
        ("a.txt", "csv", "csv"),
    ],
)
def test_the_suffix_or_the_setting_says_the_format(tmp_path, name, wanted, expected):
    assert choose_format(tmp_path / name, wanted) == expected
    assert choose_format(None, wanted) == (wanted or "jsonl")


@pytest.mark.parametrize(
    ("name", "wanted", "reason"),
    [("a.xlsx", None, "'a.xlsx' has none of these"), ("a", None, "pass `--format`"), ("a.csv", "hf", "must agree")],
)
def test_a_format_that_cannot_be_told_is_refused(tmp_path, name, wanted, reason):
    with pytest.raises(ConfigError, match=reason):
        choose_format(tmp_path / name, wanted)


def test_an_unknown_format_is_refused():
    with pytest.raises(ConfigError, match="one of jsonl, parquet, csv, hf, got 'xlsx'"):
        ExportConfig(format="xlsx")


@pytest.mark.parametrize(("status", "reason"), [("", "r"), ("s", ""), ("same", "same")])
def test_added_columns_need_two_names(status, reason):
    with pytest.raises(ConfigError, match="need two different names"):
        ExportConfig(status_column=status, reason_column=reason)


@pytest.mark.parametrize(
    ("numbers", "written"), [("1 2.5", "1 2.5"), ("1.0 2.5", "1.0 2.5"), ("1 1.0", "1.0 1.0"), ("1 2", "1 2")]
)
def test_a_whole_number_is_written_as_it_came(tmp_path, numbers, written):
    lines = [f'{{"text": "text {row}", "n": {number}}}' for row, number in enumerate(numbers.split())]
    (tmp_path / "source.jsonl").write_text("\n".join(lines), encoding="utf-8")
    write_data(tmp_path, select(tmp_path / "set", [tmp_path / "source.jsonl"], format="jsonl"))
    found = (tmp_path / "data.jsonl").read_text(encoding="utf-8").splitlines()
    assert [line.partition('"n": ')[2].rstrip("}") for line in found] == written.split()
