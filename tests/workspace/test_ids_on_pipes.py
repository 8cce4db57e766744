"""What `lorif browse --ids` prints, the commands that decide read as the same ids, or nothing is decided at all."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_workspace import copy_of, imported, lorif

from lorif_core.cli.ids import IdForm, read_ids, write_ids
from lorif_core.errors import ConfigError, DataError

ODD = [" spaced ", "-0", "--ids", "-", '"quoted"', "a\u2028b", "a\x85b", "tab\t", "é", "#", "{}", "[1]"]
BROKEN = "a\nt001\nt002"
"""Read one a line, it means two other texts."""

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.fixture
def workspace(tmp_path):
    """One of an older version, which took any id."""
    copy = copy_of(imported(), tmp_path)
    (path,) = copy.glob("datasets/*/examples.parquet")
    table = pq.read_table(path)
    ids = [*ODD, BROKEN, *table["train_id"].to_pylist()[len(ODD) + 1 :]]
    place = table.schema.get_field_index("train_id")
    changed = table.set_column(place, table.schema.field(place), pa.array(ids, table.schema.field(place).type))
    about = pq.ParquetFile(path).metadata.metadata
    changed = changed.replace_schema_metadata(None)
    with pq.ParquetWriter(path, changed.schema, write_page_checksum=True) as writer:
        writer.write_table(changed)
        writer.add_key_value_metadata(
            {key: value for key, value in about.items() if key not in (b"ARROW:schema", b"seal")}
        )
    return copy


def piped(monkeypatch, text, *arguments):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))
    return lorif(*arguments)


def excluded(workspace):
    return set(json.loads(lorif("browse", workspace, "--ids", "--json", "--status", "excluded").out)["ids"])


def test_lines_are_refused_whole_where_an_id_holds_a_line_break(workspace):
    refused = lorif("browse", workspace, "--ids")
    assert (refused.code, refused.out) == (2, "")
    assert repr(BROKEN) in refused.err
    assert "`-0` or `--json-lines`" in refused.err


@pytest.mark.parametrize("form", ["-0", "--null", "--json-lines"])
def test_what_one_command_prints_the_next_one_excludes(workspace, monkeypatch, form):
    listed = lorif("browse", workspace, "--ids", form)
    assert listed.code == 0
    read = piped(monkeypatch, listed.out, "exclude", workspace, "-", form, "--reason", "spam")
    assert read.code == 0
    assert {*ODD, BROKEN} <= excluded(workspace)


def test_lines_keep_every_id_that_a_line_can_keep(workspace, monkeypatch):
    listed = lorif("browse", workspace, "--ids", "--where", "text is not missing and source != nothing", "--json")
    assert BROKEN in json.loads(listed.out)["ids"]
    assert piped(monkeypatch, "\n".join(ODD), "exclude", workspace, "-", "--reason", "spam").code == 0
    assert excluded(workspace) == set(ODD)


@pytest.mark.parametrize("command", ["flag", "exclude", "restore", "note", "label", "settle", "what-if", "verify"])
@pytest.mark.parametrize("text", ["t020\0t021", "t020\rt021"])
def test_ids_of_another_form_are_refused_by_every_command(workspace, monkeypatch, command, text):
    before = {"label": ["x"], "settle": ["kept"]}.get(command, [])
    behind = {
        "note": ["--text", "hm"],
        "exclude": ["--reason", "spam"],
        "what-if": ["--queries", "1"],
        "verify": ["--queries", "1", "--recipe", "none.toml"],
    }.get(command, [])
    refused = piped(monkeypatch, text, command, workspace, *before, "-", *behind)
    assert refused.code == 2
    assert "line 1 holds" in refused.err
    assert "-0" in refused.err


@pytest.mark.parametrize(
    "content",
    [
        b"t1\r\nt2\r\n",
        b"\xef\xbb\xbft1\nt2",
        "t1\r\nt2".encode("utf-16"),
        b"\n\nt1\n\nt2\n\n",
    ],
)
def test_lines_of_any_shell_are_the_same_ids(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))
    assert read_ids(["-"]) == ["t1", "t2"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"a\\nb"\n\n{"train_id": "c", "id": "x"}\r\n{"id": "d"}\n', ["a\nb", "c", "d"]),
        ("1\n", "line 1 is '1'"),
        ('"a"\nb\n', "line 2 is not"),
        ('{"name": "a"}\n', "an object with the text"),
        ('""\n', "line 1 is"),
    ],
)
def test_json_lines_are_texts_or_objects_with_an_id(monkeypatch, text, found):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    if isinstance(found, list):
        assert read_ids(["-"], IdForm(json_lines=True)) == found
        return
    with pytest.raises(DataError, match=found):
        read_ids(["-"], IdForm(json_lines=True))


def test_a_form_without_a_pipe_and_two_forms_are_refused(workspace):
    with pytest.raises(ConfigError, match="not both"):
        IdForm(null=True, json_lines=True)
    for arguments in (["flag", workspace, "t020", "-0"], ["browse", workspace, "-0"]):
        refused = lorif(*arguments)
        assert refused.code == 2
        assert "`--null` (-0) and `--json-lines` say" in refused.err


@given(ids=st.lists(WORDS, max_size=5), form=st.sampled_from([{}, {"null": True}, {"json_lines": True}]))
def test_ids_that_are_written_are_read_as_the_same_or_not_written(ids, form):
    with pytest.MonkeyPatch.context() as patched:
        printed = io.StringIO(newline="")
        patched.setattr("sys.stdout", printed)
        try:
            write_ids(ids, IdForm(**form))
        except DataError:
            assert printed.getvalue() == ""
            return
        patched.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(printed.getvalue().encode()), "utf-8"))
        assert read_ids(["-"], IdForm(**form)) == ids
