"""Names that could be a column, a decision or an order; none of them finds nothing without a word."""

import uuid

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorif_core.corpus import Corpus, ExamplesFile, Filter, SideTables, SortKey
from lorif_core.corpus.where import parse_where
from lorif_core.errors import QueryError
from lorif_core.views.choices import column_of, of_values, values_of
from lorif_core.workspace.datasets.view import decision_names, sort_keys, with_status

TAKEN = {
    "status": ["draft", "final"],
    "reason": ["spam", None],
    "actor": ["Tom", "Ann"],
    "labels": ["x", "y"],
    "label": ["pos", "neg"],
    "has_conflict": ["no", "yes"],
    "data.status": ["inner", "other"],
    "decision.status": ["a", "b"],
    "score": ["1", "2"],
    "query": ["q", "r"],
}
ODD = [
    "file_row_number", "FILE_ROW_NUMBER", "r", "R", "c0", "C0", "e", "select", "where", "and", "a.b", 'q"uote',
    "b`tick",
    "line\nbreak", "row", "relevance", "-x", "score:7", "Source", "source", " ", "'", "filename", "examples", "text ",
    "%",
    "rowid", "file_index", "data.row",
]  # fmt: skip


def write(folder, columns):
    size = len(next(iter(columns.values())))
    table = pa.table({"train_id": [f"t{row}" for row in range(size)], "text": ["x"] * size, **columns})
    path = folder / f"examples-{uuid.uuid4().hex}.parquet"
    pq.write_table(table, path, row_group_size=2)
    return ExamplesFile(path, ("text",), tuple(columns), (), "f")


@pytest.fixture
def taken(tmp_path):
    with Corpus(write(tmp_path, TAKEN)) as opened:
        yield opened


DECISIONS = SideTables(
    pl.DataFrame(
        {"train_id": ["t1"], "status": ["excluded"], "reason": ["spam"], "actor": ["anna"], "labels": [["x"]],
         "has_conflict": [True]},
    )
)  # fmt: skip


def rows(corpus, typed):
    return corpus.rows(Filter(where=parse_where(typed)), beside=DECISIONS)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("data.status = draft", [0]),
        ("data.reason = spam", [0]),
        ("data.labels = y", [1]),
        ("data.label = pos", [0]),
        ("`label` = pos", [0]),
        ("data.has_conflict = yes", [1]),
        ("data.data.status = inner", [0]),
        ("data.decision.status = b", [1]),
        ("score = 2", [1]),
        ("query = q", [0]),
        ("status = excluded", [1]),  # known statuses are meant as decisions, as in older rules
        ("status in (kept, flagged)", [0]),
        ("decision.status = excluded", [1]),
        ("decision.reason = spam", [1]),
        ("decision.actor = anna", [1]),
        ("decided by anna", [1]),
        ("decision.labels = x", [1]),
        ("decision.label = x", [1]),
        ("decision.has_conflict = true", [1]),
        ("has conflict", [1]),
    ],
)
def test_both_meanings_of_a_name_can_be_said(taken, typed, expected):
    assert rows(taken, typed) == expected
    assert rows(taken, str(parse_where(typed))) == expected


@pytest.mark.parametrize(
    ("typed", "column", "decision"),
    [
        ("status = draft", "data.status", "decision.status"),
        ("status in (draft, kept)", "data.status", "decision.status"),
        ("status contains e", "data.status", "decision.status"),
        ("status is missing", "data.status", "decision.status"),
        ("not reason = spam", "data.reason", "decision.reason"),
        ("reason is missing", "data.reason", "decision.reason"),
        ("actor = Tom", "data.actor", "decision.actor"),
        ("labels = x", "data.labels", "decision.labels"),
        ("has_conflict = true", "data.has_conflict", "decision.has_conflict"),
    ],
)
def test_a_name_of_both_is_refused_with_the_way_to_say_each(taken, typed, column, decision):
    with pytest.raises(QueryError, match=f"write `{column}` for the column, or `{decision}` for the decision"):
        rows(taken, typed)


def test_a_column_called_label_makes_the_word_unclear(tmp_path):
    with Corpus(write(tmp_path, {"label": ["pos", "neg"]})) as corpus:
        with pytest.raises(QueryError, match=r"`label` is a column .* `data\.label` .* `decision\.labels`"):
            rows(corpus, "label = pos")
        assert rows(corpus, "decision.labels = x") == [1]


@pytest.mark.parametrize("typed", ["status = drafft", "status != drafft", "status in (kept, drafft)",
                                   "decision.status = drafft"])  # fmt: skip
def test_a_status_that_is_none_is_refused_with_the_known_ones(tmp_path, typed):
    with Corpus(write(tmp_path, {"year": [1, 2]})) as corpus:
        with pytest.raises(QueryError, match="a status is one of kept, flagged, excluded, got `drafft`"):
            rows(corpus, typed)
        assert rows(corpus, "status contains clud") == [1]


def test_what_is_clicked_in_a_facet_means_the_column(tmp_path):
    with Corpus(write(tmp_path, {**TAKEN, **{odd: ["u", "v"] for odd in ODD}})) as corpus:
        page = corpus.page().frame
        for name in (*TAKEN, *ODD):
            value = page[name][1]
            typed = of_values(name, ["kept" if value is None else value])
            assert column_of(typed) == name
            assert values_of(typed, [value]) == ([0] if value is not None else [])
            assert rows(corpus, typed) == ([1] if value is not None else [])


@pytest.mark.parametrize("name", ODD)
def test_every_name_can_be_browsed_sorted_filtered_and_counted(tmp_path, name):
    with Corpus(write(tmp_path, {name: [3, 1, 2, None, 5] * 3})) as corpus:
        assert corpus.page(limit=3, offset=4).frame[name].to_list() == [5, 3, 1]
        (key,) = sort_keys([f"-data.{name}"], corpus.column_names)
        assert corpus.page(sort=[key], limit=2).rows == [4, 9]
        quoted = "`" + f"data.{name}".replace("`", "``") + "`"
        assert corpus.rows(Filter(where=parse_where(f"{quoted} < 2")), limit=2) == [1, 6]
        (facet,) = corpus.facets()
        assert (facet.column, facet.num_missing) == (name, 3)
        assert corpus.count(Filter({name: (5,)})) == 3


@pytest.mark.parametrize("name", ["row", "relevance", "score:7"])
def test_a_key_that_is_a_column_and_another_order_is_refused(name):
    with pytest.raises(QueryError, match=f"sort by `data.{name}` for the column, or by `order:{name}`"):
        sort_keys([f"-{name}"], ["train_id", name])
    assert sort_keys([f"-data.{name}"], [name]) == [SortKey(name, "column", descending=True)]
    assert sort_keys([name], ["year"])[0].of == name.partition(":")[0] == sort_keys([f"order:{name}"], [name])[0].of


def test_columns_of_decisions_never_hide_columns_of_the_data():
    frame = pl.DataFrame({"train_id": ["t1"], "status": ["draft"], "decision_status": ["old"], "reason": ["r"]})
    shown = with_status(frame, DECISIONS.decisions)
    names = decision_names(frame.columns)
    assert names == {
        "status": "decision_decision_status",
        "reason": "decision_reason",
        "has_conflict": "has_conflict",
    }
    assert shown.row(0, named=True) == {
        "train_id": "t1", "decision_decision_status": "excluded", "decision_reason": "spam", "has_conflict": True,
        "status": "draft", "decision_status": "old", "reason": "r",
    }  # fmt: skip


def test_a_folder_that_looks_like_a_column_adds_none(tmp_path):
    folder = tmp_path / "lang=de"
    folder.mkdir()
    with Corpus(write(folder, {"lang": ["fr", "en"]})) as corpus:
        assert corpus.rows(Filter(where=parse_where("lang = fr"))) == [0]
        assert corpus.column_names == ["train_id", "text", "lang"]
