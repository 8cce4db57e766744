import csv
import json
import subprocess
import sys
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorif_core.config import ImportConfig
from lorif_core.data import importing
from lorif_core.data.columns import Columns
from lorif_core.data.examples import ExampleTable
from lorif_core.data.importing import write_examples
from lorif_core.data.row_ids import given_id
from lorif_core.errors import ArtefactError, DataError, ResourceError

PAIRS = [{"prompt": f"q{i}", "completion": f'a\u2028{i}, "é"', "topic": "x" * (1 + i % 3)} for i in range(30)]


def write_jsonl(path, rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def import_rows(folder, rows, config=None, name="rows.jsonl"):
    """Report and table of an import of JSONL ``rows``; a text is a raw line."""
    path = write_jsonl(folder / name, rows)
    report = write_examples([path], config or ImportConfig(), folder / "out")
    return report, ExampleTable(folder / "out" / "examples.parquet")


def all_ids(table):
    return [train_id for ids in table.iter_ids() for train_id in ids]


def all_values(table):
    return table.values_at(range(table.num_examples))


def read_rejects(folder):
    return [json.loads(line) for line in (folder / "out" / "rejects.jsonl").read_text("utf-8").splitlines()]


def without_nulls(rows):
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def test_every_format_gives_the_same_examples_ids_and_fingerprint(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", PAIRS)
    (tmp_path / "b.json").write_text(json.dumps(PAIRS))
    with (tmp_path / "c.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["completion", "topic", "prompt"])  # another order of columns
        writer.writeheader()
        writer.writerows(PAIRS)
    pq.write_table(pa.Table.from_pylist(PAIRS), tmp_path / "d.parquet")
    seen = []
    for name in ("a.jsonl", "b.json", "c.csv", "d.parquet"):
        report = write_examples([tmp_path / name], ImportConfig(), tmp_path / name[0])
        table = ExampleTable(tmp_path / name[0] / "examples.parquet")
        assert table.fingerprint == report.fingerprint
        seen.append((report.fingerprint, list(table.iter_examples()), all_values(table)))
    assert seen[0][2] == PAIRS
    assert all(other == seen[0] for other in seen[1:])


def test_numbers_give_the_same_ids_from_jsonl_and_parquet(tmp_path):
    rows = [{"text": "a", "score": 1}, {"text": "b", "score": 0.5}, {"text": "c"}]
    pq.write_table(pa.Table.from_pylist([{**row, "score": row.get("score")} for row in rows]), tmp_path / "p.parquet")
    report, table = import_rows(tmp_path, rows)
    other_report = write_examples([tmp_path / "p.parquet"], ImportConfig(), tmp_path / "other")
    assert other_report.fingerprint == report.fingerprint
    assert all_ids(ExampleTable(tmp_path / "other" / "examples.parquet")) == all_ids(table)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
nested = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
few_names = st.sampled_from(
    ["n", "N", "train_id", "source_line", "original_train_id", "a.b", "a", "", "é\n", "text.x"]
)
rows_strategy = st.lists(
    st.tuples(names.filter(str.strip), st.dictionaries(few_names | names, scalars | nested, max_size=5)).map(
        lambda pair: {**pair[1], "text": pair[0]}
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_strategy)
def test_values_come_back_as_they_were(tmp_path, rows):
    rows = [{name: value for name, value in row.items() if name not in ("id", "messages", "prompt")} for row in rows]
    report, table = import_rows(tmp_path, rows)
    assert report.num_examples == len(rows)
    renamed = dict(zip(dict.fromkeys(name for row in rows for name in row), table.column_names[2:], strict=True))
    expected = [{renamed[name]: value for name, value in row.items()} for row in rows]
    found = all_values(table)
    assert without_nulls(found) == without_nulls(expected)
    for row, original in zip(found, expected, strict=True):
        for name, value in original.items():
            if not (isinstance(value, int) and isinstance(row[name], float)):  # exact, see columns.py
                assert type(row[name]) is type(value)


def test_nan_and_infinity_survive(tmp_path):
    _, table = import_rows(tmp_path, ['{"text": "a", "x": NaN, "y": [Infinity]}', '{"text": "b", "x": -Infinity}'])
    assert str(all_values(table)) == str(
        [{"text": "a", "x": float("nan"), "y": [float("inf")]}, {"text": "b", "x": float("-inf"), "y": None}]
    )


def test_the_parquet_file_has_our_columns_first_then_those_of_the_data(tmp_path):
    rows = [{"b": 1, "text": "x", "a": {"k": [1]}}, "", {"text": "y", "c": True, "b": 2.5, "d": None, "e": 5}]
    report, table = import_rows(tmp_path, rows)
    assert report.metadata_columns == table.metadata_columns == ["b", "a", "c", "d", "e"]
    assert table.json_columns == ["a"]
    schema = pq.read_schema(tmp_path / "out" / "examples.parquet")
    assert {field.name: str(field.type) for field in schema} == {
        "train_id": "string",
        "source_line": "int64",
        "b": "double",
        "text": "string",
        "a": "string",
        "c": "bool",
        "d": "string",
        "e": "int64",
    }
    assert table.frame_at([1, 0])["source_line"].to_list() == [3, 1]


def test_ids_of_content_are_a_prefix_and_sixteen_digits_and_do_not_depend_on_other_rows(tmp_path):
    _, table = import_rows(tmp_path, [{"text": "a", "n": 1}, {"text": "b", "n": 0.5}])
    (one, two) = all_ids(table)
    assert len(one) == 17
    assert one[0] == "t"
    _, table = import_rows(tmp_path, [{"text": "b", "n": 0.5, "extra": None}, {"n": 1, "text": "a"}, {"text": "c"}])
    assert all_ids(table)[:2] == [two, one]


def test_equal_rows_are_kept_counted_and_numbered(tmp_path):
    rows = [{"text": "a"}, {"text": "b"}, {"text": "a"}, {"text": "a"}, {"text": "a", "topic": 1}]
    report, table = import_rows(tmp_path, rows)
    first, other, second, third, richer = all_ids(table)
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert richer == f"{first}-4"  # metadata are not what is trained on
    assert other != first
    assert report.num_duplicates == 3


def test_rows_that_differ_only_in_their_given_id_count_as_duplicates(tmp_path):
    report, table = import_rows(tmp_path, [{"id": "x", "text": "a"}, {"id": "y", "text": "a"}])
    assert (report.num_duplicates, all_ids(table)) == (1, ["x", "y"])
    assert report.metadata_columns == []


def test_given_ids_are_used_and_bad_ones_rejected(tmp_path):
    ids = ["a", 7, "7", 8.0, None, " ", True, 1.5, ["x"], "a"]
    report, table = import_rows(tmp_path, [{"id": value, "text": f"t{i}"} for i, value in enumerate(ids)])
    assert all_ids(table) == ["a", "7", "8"]
    assert report.rejects_by_reason == {"id is not text or a whole number": 3, "id repeated": 2, "empty id": 2}
    repeated = [reject for reject in read_rejects(tmp_path) if reject["reason"] == "id repeated"]
    assert [reject["line"] for reject in repeated] == [3, 10]
    assert repeated[1]["detail"] == f"'a', first at line 1 of {str(tmp_path / 'rows.jsonl')!r}"


def test_a_rejected_row_does_not_use_up_its_id(tmp_path):
    _, table = import_rows(tmp_path, [{"id": "a", "text": ""}, {"id": "a", "text": "x"}])
    assert all_ids(table) == ["a"]


@pytest.mark.parametrize(("value", "expected"), [("x ", "x "), (0, "0"), (-5, "-5"), (3.0, "3"), (2**80, str(2**80))])
def test_an_id_is_its_text_or_its_digits(value, expected):
    assert given_id(value) == expected


def test_a_data_set_of_ours_can_be_imported_again_with_its_ids(tmp_path):
    _, table = import_rows(tmp_path, PAIRS)
    report = write_examples([tmp_path / "out" / "examples.parquet"], ImportConfig(id="train_id"), tmp_path / "again")
    again = ExampleTable(tmp_path / "again" / "examples.parquet")
    assert list(again.iter_examples()) == list(table.iter_examples())
    assert report.columns.id == "original_train_id"


def test_each_rejected_row_is_listed_with_file_line_reason_and_beginning(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [
        b'{"text": "ok"}',
        b'{"text": "\xff"}',
        b"{",
        b'{"text": 5, "u": "\xc3\xa9"}',
        b'{"u": "' + b"x" * 500 + b'"}',
    ]
    path.write_bytes(b"\n".join(lines))
    report = write_examples([path], ImportConfig(), tmp_path / "out")
    assert (report.num_examples, report.num_rejected) == (1, 4)
    assert read_rejects(tmp_path) == [
        {
            "file": str(path),
            "line": 2,
            "reason": "not UTF-8",
            "row": '{"text": "\ufffd"}',
            "detail": "byte 0xff at offset 25",
        },
        {
            "file": str(path),
            "line": 3,
            "reason": "not JSON",
            "row": "{",
            "detail": "Expecting property name enclosed in double quotes at character 2",
        },
        {"file": str(path), "line": 4, "reason": "`text` is not text", "row": '{"text": 5, "u": "é"}'},
        {"file": str(path), "line": 5, "reason": "missing column `text`", "row": '{"u": "' + "x" * 193},
    ]


def test_values_of_rejected_rows_do_not_change_the_type_of_the_text(tmp_path):
    _, table = import_rows(tmp_path, [{"text": 5}, {"text": "a"}])
    assert table.json_columns == []
    assert table.frame_at([0])["text"].to_list() == ["a"]


def test_reasons_are_counted_most_frequent_first(tmp_path):
    report, _ = import_rows(tmp_path, [{"text": "a"}, "{", {"text": " "}, {"text": ""}])
    assert list(report.rejects_by_reason.items()) == [("empty target", 2), ("not JSON", 1)]


def test_messages_are_read_from_lists_and_from_json_text_alike(tmp_path):
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hö", "weight": 1}]
    _, table = import_rows(tmp_path, [{"messages": chat}, {"messages": json.dumps(chat)}, {"messages": "hi"}])
    assert [example.messages for example in table.iter_examples()] == [chat, chat]
    assert all_values(table) == [{"messages": chat}, {"messages": json.dumps(chat)}]
    assert all_ids(table)[1] == f"{all_ids(table)[0]}-2"
    assert table.columns == Columns("messages", messages="messages")


def test_half_a_surrogate_pair_inside_json_text_is_a_reject(tmp_path):
    chat = '[{"role": "assistant", "content": "\\ud800"}]'
    good = [{"role": "assistant", "content": "x"}]
    report, _ = import_rows(tmp_path, [{"messages": chat}, {"messages": good}, {"messages": good, "x": "\ud800"}])
    assert report.rejects_by_reason == {"half a surrogate pair": 2}


def test_values_nested_too_deeply_are_a_reject(tmp_path):
    depth = sys.getrecursionlimit() - 200
    report, _ = import_rows(tmp_path, [{"text": "a"}, '{"text": "b", "x": ' + "[" * depth + "]" * depth + "}"])
    assert report.rejects_by_reason == {"nested too deeply": 1}


def test_several_files_follow_one_another(tmp_path):
    first = write_jsonl(tmp_path / "1.jsonl", [{"text": "a", "id": "x"}])
    second = write_jsonl(tmp_path / "2.jsonl", [{"text": "b", "id": "x"}, {"text": "c", "id": "y", "n": 1}])
    report = write_examples([first, second], ImportConfig(), tmp_path / "out")
    table = ExampleTable(tmp_path / "out" / "examples.parquet")
    assert all_ids(table) == ["x", "y"]
    assert table.frame_at([0, 1])["source_line"].to_list() == [1, 2]
    assert report.metadata_columns == ["n"]
    assert read_rejects(tmp_path)[0]["file"] == str(second)


def test_the_fingerprint_knows_content_order_ids_and_text_columns_but_not_the_file(tmp_path):
    rows = [{"text": "a", "body": "x"}, {"text": "b", "body": "y"}]
    report, _ = import_rows(tmp_path, rows)
    again, _ = import_rows(tmp_path, [{**row, "gone": None} for row in rows], name="other.jsonl")
    assert again.fingerprint == report.fingerprint
    others = [
        import_rows(tmp_path, rows[::-1])[0],
        import_rows(tmp_path, [rows[0], {"text": "b", "body": "z"}])[0],
        import_rows(tmp_path, [{"id": f"r{i}", **row} for i, row in enumerate(rows)])[0],
        import_rows(tmp_path, rows, ImportConfig(text="body"))[0],
        import_rows(tmp_path, rows[:1])[0],
    ]
    assert len({report.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_strict_refuses_with_the_first_three_and_writes_nothing(tmp_path):
    rows = [{"text": "a"}, "{", {"text": ""}, {"u": 1}, "["]
    message = (
        r"4 of 5 are not: '.*rows.jsonl' line 2: not JSON; '.*' line 3: empty target; '.*' line 4: missing column "
        r"`text`\. Nothing was written\. Correct"
    )
    with pytest.raises(DataError, match=message):
        import_rows(tmp_path, rows, ImportConfig(strict=True))
    assert not (tmp_path / "out").exists()


def test_strict_leaves_an_earlier_import_alone(tmp_path):
    _, table = import_rows(tmp_path, [{"text": "a"}])
    with pytest.raises(DataError, match="every row must be usable"):
        import_rows(tmp_path, ["{", {"text": "b"}], ImportConfig(strict=True))
    assert table.examples_at([0])[0].text == "a"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["examples.parquet"]


def test_strict_accepts_good_rows(tmp_path):
    assert import_rows(tmp_path, PAIRS, ImportConfig(strict=True))[0].num_examples == len(PAIRS)


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        (["{", "[]"], r"not JSON \(1\), not an object \(1\)"),
        (["{}"], r"missing column `text` \(1\)"),
        ([{"text": ""}, {"text": " "}], r"empty target \(2\)"),
    ],
)
def test_an_import_of_bad_rows_only_is_refused_and_says_where_they_are_listed(tmp_path, rows, reasons):
    with pytest.raises(DataError, match=rf"all {len(rows)} were rejected: {reasons}\. They are listed in '.*rejects"):
        import_rows(tmp_path, rows)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rejects.jsonl"]
    assert len(read_rejects(tmp_path)) == len(rows)


def test_an_import_without_rejects_removes_the_list_of_an_earlier_one(tmp_path):
    import_rows(tmp_path, [{"text": "a"}, "{"])
    import_rows(tmp_path, [{"text": "a"}])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["examples.parquet"]


def test_without_a_file_there_is_no_import(tmp_path):
    with pytest.raises(DataError, match="at least one file"):
        write_examples([], ImportConfig(), tmp_path)


def test_rows_whose_keys_all_differ_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "MAX_COLUMNS", 5)
    with pytest.raises(DataError, match=r"at most 5 columns, .* has more by line 5.*nested object"):
        import_rows(tmp_path, [{"text": "a", f"key{i}": 1} for i in range(20)])


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    full = out / ".examples.parquet.partial"
    full.symlink_to("/dev/full")
    monkeypatch.setattr("lorif_core.files._temporary_name", lambda path, ending: full)
    with pytest.raises(ResourceError, match=r"disk .* is full while writing 'examples\.parquet'"):
        import_rows(tmp_path, PAIRS)
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    path = write_jsonl(tmp_path / "rows.jsonl", PAIRS)
    with pytest.raises(ArtefactError, match=r"file/out' cannot be written .*name another folder"):
        write_examples([path], ImportConfig(), tmp_path / "file" / "out")


def test_an_interrupted_import_leaves_nothing_behind(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = write_jsonl(tmp_path / "rows.jsonl", PAIRS)
    with pytest.raises(KeyboardInterrupt):
        write_examples([path], ImportConfig(), tmp_path / "out", interrupt)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [({"text": "a", "n": "word"}, "changed while it was read"), ({"text": "a", "m": 1}, "got new columns while")],
)
def test_a_file_that_changes_between_the_passes_is_refused(tmp_path, row, message):
    class Grows(type(tmp_path)):
        opened = 0

        def open(self, *args, **kwargs):
            Grows.opened += 1
            if Grows.opened == 2:
                write_jsonl(tmp_path / "rows.jsonl", [row])
            return super().open(*args, **kwargs)

    write_jsonl(tmp_path / "rows.jsonl", [{"text": "a", "n": 1}])
    with pytest.raises(DataError, match=rf"{message} .*import it again"):
        write_examples([Grows(tmp_path / "rows.jsonl")], ImportConfig(), tmp_path / "out")


def test_progress_counts_the_rows_that_are_finished(tmp_path):
    seen = []
    rows = [{"text": f"t{i}"} for i in range(2_500)] + ["{"]
    write_examples(
        [write_jsonl(tmp_path / "rows.jsonl", rows)], ImportConfig(), tmp_path / "out", lambda *now: seen.append(now)
    )
    looks = [("rows looked at", done, 0) for done in (1_000, 2_000, 2_501)]
    assert seen == looks + [("rows read", done, 2_501) for done in (1_000, 2_000, 2_501)]


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    def peak_bytes(num_rows):
        path = write_jsonl(tmp_path / "rows.jsonl", ({"text": f"{i} " + "x" * 1_000} for i in range(num_rows)))
        tracemalloc.start()
        write_examples([path], ImportConfig(), tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_bytes(10)  # imports and caches
    assert peak_bytes(12_000) < 1.3 * peak_bytes(4_000)


def test_row_groups_end_at_two_thousand_rows_or_sixteen_megabytes(tmp_path):
    rows = [{"text": f"{i}"} for i in range(2_100)] + [{"text": f"{i}" + "x" * 3_000_000} for i in range(7)]
    import_rows(tmp_path, rows)
    metadata = pq.ParquetFile(tmp_path / "out" / "examples.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [2_000, 106, 1]


def test_importing_this_module_does_not_load_optional_or_heavy_libraries():
    code = (
        "import sys, lorif_core.data.importing; assert not {'datasets', 'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
