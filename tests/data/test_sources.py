import csv
import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorif_core.data.csv_source import delimiter_of
from lorif_core.data.record import Record
from lorif_core.data.sources import SUFFIXES, HowToRead, iter_records, suffix_of
from lorif_core.errors import DataError

ROWS = [{"prompt": f"question {i}\u2028é", "completion": f' "answer", {i}\nmore'} for i in range(600)]


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def csv_text(rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_parquet(folder, name, rows):
    pq.write_table(pa.Table.from_pylist(rows), folder / name, row_group_size=100)
    return folder / name


def write_arrow(folder, name, rows, opened):
    table = pa.Table.from_pylist(rows)
    with opened(folder / name, table.schema) as writer:
        writer.write_table(table)
    return folder / name


def zst(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def save_dataset(folder, rows):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows).save_to_disk(folder)
    return folder


MAKERS = {
    "rows.jsonl": lambda folder, name: write(folder, name, jsonl(ROWS)),
    "rows.NDJSON": lambda folder, name: write(folder, name, jsonl(ROWS)),
    "rows.jsonl.gz": lambda folder, name: write(folder, name, gzip.compress(jsonl(ROWS).encode())),
    "rows.json": lambda folder, name: write(folder, name, json.dumps(ROWS)),
    "wrapped.json": lambda folder, name: write(folder, name, json.dumps({"version": 1, "tags": ["a"], "data": ROWS})),
    "rows.csv": lambda folder, name: write(folder, name, csv_text(ROWS)),
    "rows.csv.gz": lambda folder, name: write(folder, name, gzip.compress(csv_text(ROWS).encode())),
    "rows.tsv": lambda folder, name: write(folder, name, csv_text(ROWS, "\t")),
    "rows.jsonlines": lambda folder, name: write(folder, name, jsonl(ROWS)),
    "rows.jsonl.zst": lambda folder, name: write(folder, name, zst(jsonl(ROWS).encode())),
    "rows.json.zst": lambda folder, name: write(folder, name, zst(json.dumps(ROWS).encode())),
    "rows.csv.ZST": lambda folder, name: write(folder, name, zst(csv_text(ROWS).encode())),
    "rows.arrow": lambda folder, name: write_arrow(folder, name, ROWS, pa.ipc.new_file),
    "stream.arrow": lambda folder, name: write_arrow(folder, name, ROWS, pa.ipc.new_stream),
    "rows.feather": lambda folder, name: write_arrow(folder, name, ROWS, pa.ipc.new_file),
    "rows.parquet": lambda folder, name: write_parquet(folder, name, ROWS),
    "saved": lambda folder, name: save_dataset(folder / name, ROWS),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    records = list(iter_records(MAKERS[name](tmp_path, name)))
    assert [record.values for record in records] == ROWS
    assert all(record.problem is None for record in records)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.json", "rows.jsonl.gz"])
def test_a_byte_order_mark_is_not_part_of_the_first_row(tmp_path, name):
    content = MAKERS[name](tmp_path, name).read_bytes()
    marked = (
        gzip.compress(b"\xef\xbb\xbf" + gzip.decompress(content))
        if name.endswith(".gz")
        else b"\xef\xbb\xbf" + content
    )
    assert [record.values for record in iter_records(write(tmp_path, name, marked))] == ROWS


def test_jsonl_lines_count_from_one_and_skip_empty_lines(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\r\n\r\n   \n{"text": "b"}')
    assert list(iter_records(path)) == [Record(1, {"text": "a"}, None), Record(4, {"text": "b"}, None)]


def test_csv_lines_are_those_where_the_row_starts(tmp_path):
    path = write(tmp_path, "a.csv", 'text,n\r\n"two\r\nlines",1\r\n\r\nplain,2\r\n')
    assert [(record.line, record.values) for record in iter_records(path)] == [
        (2, {"text": "two\r\nlines", "n": "1"}),
        (5, {"text": "plain", "n": "2"}),
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c"])
def test_unicode_line_separators_do_not_end_a_row(tmp_path, separator):
    text = f"a{separator}b"
    if separator > "\x1f":  # JSON wants control characters escaped
        path = write(tmp_path, "a.jsonl", jsonl([{"text": text}]))
        assert [record.values for record in iter_records(path)] == [{"text": text}]
    path = write(tmp_path, "a.csv", f"text,n\n{text},1\n")
    assert [record.values for record in iter_records(path)] == [{"text": text, "n": "1"}]


@pytest.mark.parametrize(
    ("line", "problem", "detail"),
    [
        (b'{"text": "\xff"}', "not UTF-8", "byte 0xff at offset 24"),
        (b'{"text":', "not JSON", "Expecting value at character"),
        (b'{"n": ' + b"9" * 5000 + b"}", "not JSON", "more digits"),
        (b"[" * 100_000, "nested too deeply", ""),
        (b"[1, 2]", "not an object", "it is an array"),
        (b"null", "not an object", "it is null"),
        (b'{"text": "\\ud800"}', "half a surrogate pair", "ud800"),
        (b'{"\\udfff": 1}', "half a surrogate pair", "ud800"),
        (b'{"deep": [{"x": ["\\ud800"]}]}', "half a surrogate pair", "ud800"),
    ],
)
def test_a_bad_jsonl_line_is_a_problem_of_that_line_alone(tmp_path, line, problem, detail):
    good = b'{"text": "a"}\n'  # 14 bytes
    bad, after = list(iter_records(write(tmp_path, "a.jsonl", good + line + b"\n" + good)))[1:]
    assert (bad.line, bad.values, bad.problem) == (2, None, problem)
    assert detail in bad.detail
    assert bad.excerpt == line.decode("utf-8", "replace")[:200]
    assert after == Record(3, {"text": "a"}, None)


def test_whole_surrogate_pairs_are_one_character(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "\\ud83d\\ude00"}')
    assert [record.values for record in iter_records(path)] == [{"text": "😀"}]


def test_a_bad_element_of_a_json_array_is_a_problem_of_that_row_alone(tmp_path):
    path = write(tmp_path, "a.json", '[{"text": "a"}, 5, {"text": "\\ud800"}, {"text": "b"}]')
    records = list(iter_records(path))
    assert [record.problem for record in records] == [None, "not an object", "half a surrogate pair", None]
    assert [record.excerpt for record in records] == ["", "5", '{"text": "\\ud800"}', ""]


def test_nan_and_infinity_are_numbers(tmp_path):
    (record,) = iter_records(write(tmp_path, "a.jsonl", '{"a": Infinity, "b": -Infinity, "c": NaN}'))
    assert record.values is not None
    assert str(list(record.values.values())) == "[inf, -inf, nan]"


@pytest.mark.parametrize(
    ("row", "problem", "detail"),
    [
        (b"a", "wrong number of cells", "1 cells, the header has 2"),
        (b"a,b,c", "wrong number of cells", "3 cells, the header has 2"),
        (b"\xe9t\xe9,b", "not UTF-8", "byte 0xe9 at offset 13"),
        (b'"a"x,b', "not CSV", "in lines 3 to 3"),
    ],
)
def test_a_bad_csv_row_is_a_problem_of_that_row_alone(tmp_path, row, problem, detail):
    path = write(tmp_path, "a.csv", b"text,id\na,10\n" + row + b"\nb,20\n")  # 13 bytes before the row
    first, bad, after = iter_records(path)
    assert (bad.line, bad.values, bad.problem) == (3, None, problem)
    assert detail in bad.detail
    assert first.values == {"text": "a", "id": "10"}
    assert after == Record(4, {"text": "b", "id": "20"}, None, has_cells=True)


def test_a_quote_that_is_never_closed_is_reported_where_it_opens(tmp_path):
    path = write(tmp_path, "a.csv", 'text,id\na,1\n"b,2\nc,3\n')
    good, bad = iter_records(path)
    assert good.values == {"text": "a", "id": "1"}
    assert (bad.line, bad.problem) == (3, "not CSV")
    assert "in lines 3 to 4" in bad.detail


def test_a_csv_cell_may_hold_a_megabyte(tmp_path):
    text = "word, " * 200_000
    (record,) = iter_records(write(tmp_path, "a.csv", f'id,text\n1,"{text}"\n'))
    assert record.values == {"id": "1", "text": text}


def test_a_parquet_row_that_is_not_utf8_is_a_problem_of_that_row_alone(tmp_path):
    raw = pa.array([b"good", b"\xff\xfe", b"also"])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    assert list(iter_records(tmp_path / "a.parquet")) == [
        Record(1, {"text": "good"}, None),
        Record(2, None, "not UTF-8"),
        Record(3, {"text": "also"}, None),
    ]


def test_parquet_types_without_a_json_twin_become_text(tmp_path):
    table = pa.table(
        {
            "when": pa.array([1], pa.timestamp("ns")),
            "day": pa.array([1], pa.date32()),
            "took": pa.array([1500], pa.duration("ms")),
            "price": pa.array(["1.20"]).cast(pa.decimal128(5, 2)),
            "raw": [b"\xff\x00"],
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "nested": [{"at": [b"\x00"], "ok": True}],
            "word": pa.array(["a"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (record,) = iter_records(tmp_path / "a.parquet")
    assert record.values == {
        "when": "1970-01-01 00:00:00.000000001",
        "day": "1970-01-02",
        "took": "1500",
        "price": "1.20",
        "raw": "/wA=",
        "map": [["k", 1]],
        "nested": {"at": ["AA=="], "ok": True},
        "word": "a",
    }


def test_rows_are_read_as_they_are_asked_for(tmp_path):
    path = write(tmp_path, "a.jsonl", jsonl(ROWS) + "broken")
    records = iter_records(path)
    assert next(records).values == ROWS[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", ""),
        ("a.jsonl", "\n \r\n"),
        ("a.jsonl", "\ufeff"),
        ("a.json", ""),
        ("a.json", "[]"),
        ("a.csv", ""),
        ("a.csv", "text,id\n"),
        ("a.csv", "\n\n"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path, name, content):
    with pytest.raises(DataError, match="holds no rows: give a file with at least one"):
        list(iter_records(write(tmp_path, name, content)))


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        list(iter_records(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.doc", "x", r"suffix that is not known: use one of \.arrow, \.csv, .*\.jsonl.*\.parquet.*save_to_disk"),
        ("a.gz", "x", "suffix that is not known"),
        ("a.parquet.gz", "x", "suffix that is not known"),
        ("a.json", '{"text": "a"}\n{"text": "b"}\n', r"not a JSON value .*rename it to \.jsonl"),
        ("a.json", '{"text": "a"}', "holds an object with 0 arrays of objects.*Save the rows as one array"),
        ("a.json", '{"a": [{}], "b": [{}]}', "holds an object with 2 arrays of objects"),
        ("a.json", "5", "holds a number"),
        ("a.json", b'["\xff"]', r"not UTF-8 \(byte 0xff at offset 2\): name its encoding"),
        ("a.csv", "text,text\na,b\n", r"column names must differ, .* repeats \['text'\]: rename"),
        ("a.csv", b"t\xe9xt,id\na,b\n", r"header of .* is not UTF-8 \(byte 0xe9 at offset 1\)"),
        ("a.csv.gz", "text\na\n", "cannot be read .*copy it again"),
        ("a.parquet", "not parquet at all", "cannot be read .*copy it again"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 10_000)[:-20], "cannot be read .*copy it again"),
        ("a.jsonl.zst", zst(b'{"text": "a"}\n' * 10_000)[:-5], "cannot be read .*copy it again"),
        ("a.csv.zst", "text\na\n", "cannot be read .*copy it again"),
        ("a.jsonl.zst", zst(b""), "holds no rows"),
        ("a.arrow", "not arrow at all", "cannot be read .*copy it again"),
        ("a.txt", "x", "may be one text or one text a line: pass `--txt file` or `--txt line`"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused_with_a_remedy(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        list(iter_records(write(tmp_path, name, content)))


def test_a_cut_arrow_file_is_refused(tmp_path):
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        path = write_arrow(tmp_path, "a.arrow", ROWS, make)
        path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])
        with pytest.raises(DataError, match=r"cannot be read .*copy it again"):
            list(iter_records(path))


def test_a_text_file_is_one_text_or_one_text_a_line(tmp_path):
    path = write(tmp_path, "a.txt", "\ufeffone\u2028a\r\n\n two \n")
    whole, lines = HowToRead(txt="file"), HowToRead(txt="line")
    assert [record.values for record in iter_records(path, whole)] == [
        {"text": "one\u2028a\r\n\n two \n", "file": "a.txt"}
    ]
    assert list(iter_records(path, lines)) == [
        Record(1, {"text": "one\u2028a"}, None),
        Record(3, {"text": " two "}, None),
    ]
    zipped = write(tmp_path, "b.txt.gz", gzip.compress(b"ok\n\xff\n"))
    assert [record.problem for record in iter_records(zipped, lines)] == [None, "not UTF-8"]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jsonl' does not exist: check"):
        iter_records(tmp_path / "gone.jsonl")


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column names must differ"):
        list(iter_records(tmp_path / "a.parquet"))


def test_a_folder_of_splits_asks_for_one_of_them(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    split = datasets.Dataset.from_list(ROWS[:2])
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"several splits \(train, test\): name one, such as '.*saved/train'"):
        list(iter_records(tmp_path / "saved"))
    assert [record.values for record in iter_records(tmp_path / "saved" / "train")] == ROWS[:2]


def test_a_selection_of_a_saved_dataset_keeps_its_order(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(ROWS[:3]).select([2, 0]).save_to_disk(tmp_path / "saved")
    assert [record.values for record in iter_records(tmp_path / "saved")] == [ROWS[2], ROWS[0]]


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a folder made by `save_to_disk`"):
        list(iter_records(tmp_path))


def test_a_saved_dataset_without_the_library_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "state.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'lorif-studio\[datasets\]'"):
        list(iter_records(tmp_path))


def test_a_damaged_saved_dataset_is_refused(tmp_path):
    path = save_dataset(tmp_path / "saved", ROWS[:2])
    next(path.glob("*.arrow")).write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be read"):
        list(iter_records(path))


def test_every_suffix_has_a_test():
    tested = {suffix_of(Path(name)) for name in MAKERS}
    assert set(SUFFIXES) == tested - {""} | {".txt"}


@pytest.mark.parametrize(
    ("name", "lines", "delimiter"),
    [
        ("a.csv", ["text;price", *["tea, good;1,5"] * 5], ";"),
        ("a.csv", ["text;price;n", *["tea;1,5;2"] * 5, "cut;1"], ";"),
        ("a.csv", ["text,n", *["a;b,1"] * 5, "cut, by, hand"], ","),
        ("a.csv", ["text", "a;b", "c"], ","),
        ("a.csv", ["text;n"], ";"),
        ("a.tsv", ["text,n", "a,1"], ","),
        ("a.tsv", ["text,b\tn", "a,c\t1"], "\t"),
    ],
)
def test_a_row_that_is_cut_does_not_hide_the_separator(tmp_path, name, lines, delimiter):
    (tmp_path / name).write_text("\n".join(lines))
    assert delimiter_of(tmp_path / name) == delimiter
