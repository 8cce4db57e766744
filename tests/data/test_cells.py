"""Types of CSV cells, against a slow definition; and of columns, from the file to the values that come back."""

from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_plain_values import LEAVES, MOMENTS, arrays_of_moments

from lorif_core.config import ImportConfig
from lorif_core.data.cells import CellScan, kind_of, parse
from lorif_core.data.examples import ExampleTable
from lorif_core.data.importing import write_examples
from lorif_core.data.plain_values import array_of, plain_values
from lorif_core.data.previewing import preview_files
from lorif_core.errors import DataError


def type_of(*cells, has_comma=False):
    scan = CellScan(has_comma)
    for line, cell in enumerate(cells, start=2):
        scan.add(cell, line)
    return scan.found, scan.note


@pytest.mark.parametrize(
    "cells", [("5%", "10%"), ("0012", "0013", "9"), ("12:30", "9:05"), ("01.03.2026", "2.3.2026"), ("$5", "$1,000")]
)
def test_text_that_people_read_as_numbers_or_times_is_said_to_be_text(cells):
    found, note = type_of(*cells)
    assert found == pa.string()
    assert f"such as {cells[0]!r} in line 2, look like numbers or times" in note


def test_decimal_commas_that_were_not_asked_for_are_said_with_the_flag():
    assert "`--decimal-comma`" in type_of("1,5", "2,25")[1]
    assert type_of("a", "b", "5%")[1] == ""


def is_number_by_oracle(cell):
    """Plainly a number, without a regular expression: what Decimal reads, but for spellings that are no number's."""
    body = cell.removeprefix("-")
    mantissa, _, exponent = body.lower().partition("e")
    whole, point, fraction = mantissa.partition(".")
    if not all(one in "0123456789" for one in whole + fraction) or (point and not fraction) or not whole + fraction:
        return False
    if len(whole) > 1 and whole[0] == "0":
        return False
    if "e" in body.lower() and (
        not exponent.lstrip("+-").isdecimal() or len(exponent) - len(exponent.lstrip("+-")) > 1
    ):
        return False
    number = Decimal(cell)
    if not point and "e" not in body.lower() and cell != "-0":
        return -(2**63) <= number < 2**64
    return len((whole + fraction).lstrip("0")) <= 17 and abs(float(cell)) < float("inf")


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789-+.e ,", min_size=1, max_size=24))
def test_a_cell_is_a_number_where_the_slow_definition_says_so(cell):
    if cell != cell.strip():
        return
    assert (kind_of(cell) in ("int", "uint", "float")) == is_number_by_oracle(cell)


@settings(max_examples=100, deadline=None)
@given(st.datetimes(), st.sampled_from("T "), st.sampled_from(["", "Z", "+05:30", "-0800"]))
def test_an_iso_time_is_read_as_arrow_prints_it(time, between, zone):
    cell = time.isoformat(between) + zone
    is_zoned = bool(zone)
    assert kind_of(cell) == ("instant" if is_zoned else "moment")
    kind = pa.timestamp("us", "UTC" if is_zoned else None)
    moment = datetime.fromisoformat(cell)
    try:
        expected = plain_values(pa.array([moment], kind))
    except (OverflowError, pa.ArrowInvalid):
        return
    if 2 < moment.year < 9998:
        assert [parse(cell, kind)] == expected


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1e-05", "0.93", "0.02"], pa.float64()),
        (["1", "", "3"], pa.int64()),
        (["007", "8"], pa.string()),
        (["+5", "8"], pa.string()),
        (["1,000", "8"], pa.string()),
        (["nan", "inf"], pa.string()),
        (["nan", "1.5", "-inf"], pa.float64()),
        (["TRUE", "false"], pa.bool_()),
        (["true", "1"], pa.string()),
        (["18446744073709551615", "1"], pa.uint64()),
        (["18446744073709551615", "-1"], pa.string()),
        (["9007199254740993", "0.5"], pa.string()),
        (["1.1", "1.10"], pa.string()),
        (["1.0", "1.00"], pa.string()),
        (["9.90", "10.00", "5"], pa.float64()),
        (["2026-03-01", "2026-03-02"], pa.date32()),
        (["2026-03-01", "2026-03-01 12:00"], pa.timestamp("us")),
        (["2026-03-01T12:00Z", "2026-03-01 12:00+01:00"], pa.timestamp("us", "UTC")),
        (["2026-03-01T12:00Z", "2026-03-01 12:00"], pa.string()),
        (["2026-02-30"], pa.string()),
        (["", " "], pa.string()),
    ],
)
def test_a_column_has_the_type_that_all_its_cells_have(cells, kind):
    assert type_of(*cells)[0] == type_of(*cells[::-1])[0] == kind


def test_a_column_of_almost_only_numbers_says_what_the_others_are():
    assert type_of("1", "n/a", "3")[1] == "1 of 3 cells, such as 'n/a' in line 3, are no numbers"


def test_decimal_commas_are_numbers_by_choice():
    assert type_of("1.234,56", "0,5", "7", has_comma=True)[0] == pa.float64()
    assert parse("1.234,56", pa.float64(), has_comma=True) == 1234.56
    assert type_of("1.234,56", "0,5", "7")[0] == pa.string()
    assert type_of("1.5", "0,5", has_comma=True)[0] == pa.string()


def imported(tmp_path, name, content, **choices):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = write_examples([path], ImportConfig(**choices), tmp_path / "out")
    return report, ExampleTable(tmp_path / "out" / "examples.parquet")


def stored_types(tmp_path):
    return {one.name: one.type for one in pq.read_schema(tmp_path / "out" / "examples.parquet")}


def test_rejected_rows_decide_nothing(tmp_path):
    rows = '{"text":"a","year":1999}\n{"text":"b","year":987}\n{"text":"","year":"n/a","odd":1}\n'
    report, table = imported(tmp_path, "a.jsonl", rows)
    assert stored_types(tmp_path)["year"] == pa.int64()
    assert report.metadata_columns == ["year"]
    assert table.values_at([0, 1]) == [{"text": "a", "year": 1999}, {"text": "b", "year": 987}]
    imported(tmp_path, "b.csv", "text,year\na,1999\n,n/a\n")
    assert stored_types(tmp_path)["year"] == pa.int64()


def test_a_named_type_rejects_what_it_does_not_hold(tmp_path):
    report, table = imported(tmp_path, "a.csv", "text,year\na,1999\nb,n/a\nc,\n", type=("year=int",))
    assert report.rejects_by_reason == {"not of the type of its column": 1}
    assert [row["year"] for row in table.values_at([0, 1])] == [1999, None]
    report, table = imported(tmp_path, "a.csv", "text,zip\na,01234\nb,99999\n", type=("zip=text",))
    assert [row["zip"] for row in table.values_at([0, 1])] == ["01234", "99999"]
    _, table = imported(tmp_path, "a.jsonl", '{"text":"a","cost":"1.50"}\n', type=("cost=decimal(8,2)",))
    assert stored_types(tmp_path)["cost"] == pa.decimal128(8, 2)


@pytest.mark.parametrize("said", ["year=integer", "year", "text=int", "month=int", "year=decimal(99,2)"])
def test_a_type_that_cannot_be_named_is_refused(tmp_path, said):
    with pytest.raises(DataError, match="--type"):
        imported(tmp_path, "a.csv", "text,year\na,1999\n", type=(said,))


def test_another_type_is_another_data_set_and_usual_types_are_those_of_json(tmp_path):
    plain, _ = imported(tmp_path, "a.csv", "text,year\na,1999\n")
    named, _ = imported(tmp_path, "a.csv", "text,year\na,1999\n", type=("year=decimal(6,0)",))
    json, _ = imported(tmp_path, "a.jsonl", '{"text":"a","year":1999}\n')
    assert plain.fingerprint == json.fingerprint != named.fingerprint


def test_mixed_columns_times_and_fields_are_listed(tmp_path):
    rows = (
        '{"text":"a","grade":5,"at":"2026-03-01T12:00Z","meta":{"source":"x","who":{"age":3}}}\n'
        '{"text":"b","grade":"five","at":"2026-03-01 13:00+01:00","meta":{"source":"y","n":1.5}}\n'
    )
    _, table = imported(tmp_path, "a.jsonl", rows)
    assert table.layout.mixed_columns == ("grade",)
    assert table.layout.time_columns == ("at",)
    assert table.layout.field_types == {"meta": {"source": "string", "who.age": "int", "n": "float"}}


def test_the_id_is_of_the_text_alone_and_the_same_from_every_format(tmp_path):
    _, table = imported(tmp_path, "a.jsonl", '{"text":"a"}\n')
    _, richer = imported(tmp_path, "a.csv", "text,lang\na,de\n")
    assert next(table.iter_ids()) == next(richer.iter_ids())


def test_rules_of_before_give_the_ids_of_whole_rows_and_cells_as_text(tmp_path):
    _, table = imported(tmp_path, "a.csv", "text,n\na,1\n", rules=1)
    assert next(table.iter_ids())[0].startswith("h")
    assert table.values_at([0]) == [{"text": "a", "n": "1"}]


@pytest.mark.parametrize(
    ("broken", "what"), [("a\\nb", "line break"), ("a\\u0000b", "NUL"), ("a\\u2028b", "line break")]
)
def test_an_id_with_a_line_break_is_rejected(tmp_path, broken, what):
    report, _ = imported(tmp_path, "a.jsonl", f'{{"id":"{broken}","text":"a"}}\n{{"id":"x","text":"b"}}\n')
    assert report.rejects_by_reason == {f"id holds a {what}": 1}


@st.composite
def tables(draw):
    num_rows = draw(st.integers(1, 4))
    columns = {"text": pa.array([f"text {row}" for row in range(num_rows)])}
    for place in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([*LEAVES, *MOMENTS]))
        if kind in LEAVES:
            drawn = draw(st.lists(st.none() | LEAVES[kind], min_size=num_rows, max_size=num_rows))
            array = (
                pa.array(drawn, kind.value_type).cast(kind) if pa.types.is_dictionary(kind) else pa.array(drawn, kind)
            )
        else:
            array = draw(arrays_of_moments(kind))
            array = pa.concat_arrays([array, pa.nulls(num_rows, kind)])[:num_rows]
        is_nested = draw(st.booleans())
        offsets = pa.array(range(num_rows + 1), pa.int32())
        columns[f"c{place}"] = pa.ListArray.from_arrays(offsets, array) if is_nested else array
    return pa.table(columns)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_values_and_types_of_a_table_come_back(tmp_path, table):
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    write_examples([tmp_path / "t.arrow"], ImportConfig(), tmp_path / "out")
    back = ExampleTable(tmp_path / "out" / "examples.parquet")
    assert back.source_schema == table.schema
    rows = back.values_at(range(len(table)))
    for name in table.column_names:
        came = table[name].combine_chunks()
        assert array_of([row[name] for row in rows], came.type).equals(came)


@pytest.mark.parametrize(
    ("name", "content", "choices"),
    [
        ("a.csv", "text;n\na b;1\n", {}),
        ("a.csv", "text\tn\na b\t1\n", {}),
        ("a.csv", "text|n\na b|1\n", {}),
        ("a.csv", "text~n\na b~1\n", {"delimiter": "~"}),
        ("a.csv", 'text;n\n"a b";1\n', {}),
        ("a.csv", "text,n\ra b,1\r", {}),
        ("a.csv", "text,n\na b,1\n".encode("utf-16"), {}),
        ("a.csv", "text,n\na b,1\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        ("a.json", '[ {"text":"a b", "n":1}\n]', {}),
        ("a.json", '{"rows": [{"text":"a b", "n":1}]}', {}),
    ],
)
def test_files_of_the_world_give_the_same_rows(tmp_path, name, content, choices):
    _, table = imported(tmp_path, name, content, **choices)
    assert table.values_at([0]) == [{"text": "a b", "n": 1}]


def test_another_encoding_is_read_where_it_is_named_and_proposed_where_not(tmp_path):
    content = "text,n\ncafé,1\ncafe,2\n".encode("cp1252")
    report, table = imported(tmp_path, "a.csv", content)
    assert report.rejects_by_reason == {"not UTF-8": 1}
    assert "1 of 2 rows (50.0%) are not UTF-8: name its encoding (`--encoding cp1252`" in report.notes[0]
    report, table = imported(tmp_path, "a.csv", content, encoding="cp1252")
    assert table.values_at([0])[0]["text"] == "café"
    report, table = imported(tmp_path, "a.csv", content, encoding="ascii")
    assert report.rejects_by_reason == {"not ascii": 1}
    with pytest.raises(DataError, match="--encoding"):
        imported(tmp_path, "a.csv", content, encoding="base64")


def test_bytes_that_are_text_are_read_as_utf8(tmp_path):
    pq.write_table(pa.table({"text": [b"caf\xc3\xa9", b"\xff"], "raw": [b"\x00", b"\x01"]}), tmp_path / "b.parquet")
    report = write_examples([tmp_path / "b.parquet"], ImportConfig(), tmp_path / "out")
    table = ExampleTable(tmp_path / "out" / "examples.parquet")
    assert report.rejects_by_reason == {"not UTF-8": 1}
    assert table.values_at([0]) == [{"text": "café", "raw": "AA=="}]


def test_ids_that_are_none_are_metadata_and_files_may_be_a_column(tmp_path):
    for name in ("1.jsonl", "2.jsonl"):
        (tmp_path / name).write_text(f'{{"id": 1, "text": "of {name}"}}\n')
    paths = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    report = write_examples(paths, ImportConfig(id="none", file_column="file"), tmp_path / "out")
    assert (report.num_examples, report.metadata_columns) == (2, ["id", "file"])
    assert [row["file"] for row in ExampleTable(tmp_path / "out" / "examples.parquet").values_at([0, 1])] == [
        "1.jsonl",
        "2.jsonl",
    ]
    with pytest.raises(DataError, match="--file-column"):
        write_examples(paths, ImportConfig(file_column="text"), tmp_path / "again")


def test_types_of_several_files_are_unified_and_it_is_said(tmp_path):
    for name, kind in (("1.parquet", pa.int32()), ("2.parquet", pa.int64())):
        pq.write_table(pa.table({"text": ["a"], "n": pa.array([1], kind)}), tmp_path / name)
    report = write_examples([tmp_path / "1.parquet", tmp_path / "2.parquet"], ImportConfig(), tmp_path / "out")
    assert stored_types(tmp_path)["n"] == pa.int64()
    assert report.types[0].note == "its files say int32 and int64, int holds both"


def test_a_preview_says_types_and_how_they_were_found(tmp_path):
    (tmp_path / "a.csv").write_text("text,year\na,1999\nb,\n")
    (told,) = preview_files([tmp_path / "a.csv"], ImportConfig()).types
    assert (told.name, told.type, told.found, told.num_missing, told.example) == (
        "year",
        "int",
        "from 1 cells",
        1,
        "1999",
    )
