"""Pages, counts, ids and samples against plain loops over the rows."""

import math
import shutil
import threading
from dataclasses import replace

import duckdb
import polars as pl
import pytest
from corpora import NASTY, describe, nasty_text, passes, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.corpus import Corpus, ExamplesFile, Filter, Range, SideTables, SortKey, last_offset
from lorif_core.corpus.where import parse_where
from lorif_core.errors import ArtefactError, DamagedArtefact, QueryError

numbers = st.one_of(st.none(), st.sampled_from([0.0, 1.5, -2.0, math.nan, math.inf, -math.inf, 1e308, -1e308]))
years = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63)]))
rows_of_corpus = st.lists(
    st.fixed_dictionaries(
        {
            "text": nasty_text,
            "source": st.one_of(st.none(), nasty_text),
            "year": years,
            "score": numbers,
            "is_old": st.one_of(st.none(), st.booleans()),
        }
    ),
    min_size=1,
    max_size=12,
)
limits = st.one_of(st.none(), st.sampled_from([-2, 0, 1.5, 3, -1e308, math.inf, 2**63]))
ranges = st.builds(Range, limits, limits, includes_maximum=st.booleans(), includes_missing=st.booleans())


@st.composite
def filters(draw, rows):
    choices = {}
    for name in draw(st.sets(st.sampled_from(["source", "year", "score", "is_old"]))):
        values = st.sampled_from([row[name] for row in rows]) | st.none()
        if name == "source":
            values |= nasty_text
        chosen = st.lists(values, max_size=3).map(tuple)
        choices[name] = draw(chosen | ranges if name in ("year", "score") else chosen)
    return Filter(choices)


ORDERS = {"text": str, "source": str, "year": int, "score": float, "is_old": bool}


def ordered(rows, sort):
    """Row numbers, sorted key by key from the last to the first; missing and NaN last."""
    order = list(range(len(rows)))
    for key in reversed(sort):
        if key.of == "row":
            order.sort(reverse=key.descending)
            continue
        present = [n for n in order if rows[n][key.by] is not None and rows[n][key.by] == rows[n][key.by]]
        missing = [n for n in order if n not in present]
        if key.descending:
            present = present[::-1]  # a reversed sort keeps ties as they were when it starts reversed
            present.sort(key=lambda n: rows[n][key.by])
            present.reverse()
        else:
            present.sort(key=lambda n: rows[n][key.by])
        order = present + missing
    return order


sorts = st.lists(
    st.one_of(
        st.builds(SortKey, st.sampled_from(list(ORDERS)), descending=st.booleans()),
        st.builds(SortKey, of=st.just("row"), descending=st.booleans()),
    ),
    max_size=3,
)


@settings(max_examples=25)
@given(data=st.data(), rows=rows_of_corpus, limit=st.integers(1, 5))
def test_pages_are_slices_of_the_filtered_and_sorted_list(tmp_path_factory, data, rows, limit):
    file = write_corpus(tmp_path_factory.mktemp("corpus"), rows)
    chosen, sort = data.draw(filters(rows)), data.draw(sorts)
    expected = [number for number in ordered(rows, sort) if passes(rows[number], chosen)]
    with Corpus(file) as corpus:
        found = []
        for offset in range(0, len(expected) + limit, limit):
            page = corpus.page(chosen, sort=sort, offset=offset, limit=limit)
            assert page.total == len(expected)
            assert page.frame["train_id"].to_list() == [f"t{row}" for row in page.rows]
            assert page.frame["text"].to_list() == [rows[row]["text"] for row in page.rows]
            found += page.rows
        assert found == expected
        assert corpus.last_page(chosen, sort=sort, limit=limit).rows == expected[last_offset(len(expected), limit) :]
        assert corpus.page(chosen, sort=sort, offset=-2, limit=limit).rows == expected[-2:][:limit]


@given(data=st.data(), rows=rows_of_corpus, n=st.integers(0, 14), seed=st.integers(0, 9))
def test_counts_ids_and_samples_agree_with_a_loop(tmp_path_factory, data, rows, n, seed):
    file = write_corpus(tmp_path_factory.mktemp("corpus"), rows)
    chosen = data.draw(filters(rows))
    expected = [f"t{number}" for number, row in enumerate(rows) if passes(row, chosen)]
    with Corpus(file) as corpus:
        assert corpus.count(chosen) == len(expected)
        assert corpus.ids(chosen) == expected
        assert corpus.ids(chosen, limit=2) == expected[:2]
        assert [f"t{row}" for row in corpus.rows(chosen)] == expected
        sample = corpus.sample(chosen, n, seed, columns=["train_id"])["train_id"].to_list()
        assert sample == corpus.sample(chosen, n, seed)["train_id"].to_list()
    assert len(sample) == min(n, len(expected))
    assert sample == [train_id for train_id in expected if train_id in sample]


def test_nan_is_chosen_and_sorted_apart_from_numbers(tmp_path):
    rows = [{"text": "x", "score": score} for score in (0.0, math.nan, None, 1.0, math.nan, 2.0)]
    with Corpus(write_corpus(tmp_path, rows, rows_per_group=2)) as corpus:
        assert corpus.rows(Filter({"score": (0.0,)})) == [0]
        assert corpus.rows(Filter({"score": (math.nan, None)})) == [1, 2, 4]
        assert corpus.rows(Filter({"score": Range(maximum=5)})) == [0, 3, 5]
        assert corpus.page(sort=[SortKey("score")]).rows == [0, 3, 5, 1, 2, 4]
        assert corpus.page(sort=[SortKey("score", descending=True)]).rows == [5, 3, 0, 1, 2, 4]


@pytest.mark.parametrize(("choice", "rows"), [((0.0,), [0]), ((math.nan,), [1]), (Range(-1, 1), [0])])
def test_nan_does_not_equal_the_only_number_of_a_file(tmp_path, choice, rows):
    with Corpus(write_corpus(tmp_path, [{"text": "x", "score": 0.0}, {"text": "x", "score": math.nan}])) as corpus:
        assert corpus.rows(Filter({"score": choice})) == rows


def test_every_subset_is_as_likely_to_be_sampled(tmp_path):
    with Corpus(write_corpus(tmp_path, [{"text": "x"}] * 4)) as corpus:
        pairs = [tuple(corpus.sample(n=2, seed=seed)["train_id"]) for seed in range(120)]
    counts = [pairs.count(pair) for pair in set(pairs)]
    assert len(counts) == 6
    assert min(counts) > 7  # 20 expected, standard deviation 4


def test_a_page_has_the_columns_asked_for_in_that_order(tmp_path):
    with Corpus(write_corpus(tmp_path, [{"text": "x", "year": 3, "source": "a"}])) as corpus:
        assert corpus.page(columns=["year", "train_id"]).frame.rows() == [(3, "t0")]
        assert corpus.page().frame.columns == ["train_id", "text", "year", "source"] == corpus.column_names


def test_names_that_differ_in_case_only_stay_apart(tmp_path):
    rows = [{"text": "x", "source": "a", "Source": "b"}, {"text": "y", "source": "b", "Source": "a"}]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        assert corpus.ids(Filter({"Source": ("a",)})) == ["t1"]
        assert corpus.page(Filter({"source": ("a",)})).frame.rows() == [("t0", "x", "a", "b")]


def test_a_column_may_have_any_name(tmp_path):
    name = "weird \"name' ; --"
    with Corpus(write_corpus(tmp_path, [{"text": "x", name: 2}, {"text": "y", name: 1}])) as corpus:
        assert corpus.page(Filter({name: Range(1)}), sort=[SortKey(name)]).rows == [1, 0]
        assert corpus.count(Filter(where=parse_where(f"`{name}` = 2"))) == 1


@pytest.mark.parametrize(
    ("name", "sibling"), [("a [v2]", "a v"), ("a*b", "axb"), ("what?", "whats"), ("it's", "its"), ("[a-c]*", "b")]
)
def test_the_folder_may_have_any_name_and_stands_for_no_other(tmp_path, name, sibling):
    for folder in (name, sibling):
        (tmp_path / folder).mkdir()
    file = write_corpus(tmp_path / name, [{"text": "x"}])
    shutil.copy(file.path, tmp_path / sibling)
    with Corpus(file) as corpus:
        assert corpus.ids() == ["t0"]


def test_an_empty_data_set_has_an_empty_page(tmp_path):
    with Corpus(write_corpus(tmp_path, [])) as corpus:
        assert corpus.page().total == corpus.last_page().total == 0
        assert corpus.page().frame.is_empty()
        assert corpus.facets() == []


def test_threads_share_one_corpus(tmp_path):
    rows = [{"text": f"text {number}", "year": number % 7} for number in range(500)]
    wrong = []

    def browse(corpus, year):
        for _ in range(10):
            page = corpus.page(Filter({"year": (year,)}), limit=500)
            if page.rows != list(range(year, 500, 7)):
                wrong.append(page)

    with Corpus(write_corpus(tmp_path, rows, rows_per_group=50)) as corpus:
        threads = [threading.Thread(target=browse, args=(corpus, year)) for year in range(7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def decisions(**status_of):
    return pl.DataFrame({"train_id": list(status_of), "status": list(status_of.values())})


def test_an_example_without_a_decision_is_kept(tmp_path):
    beside = SideTables(decisions(t1="flagged", t2="excluded", t3="kept", unknown="flagged"))
    with Corpus(write_corpus(tmp_path, [{"text": "x"}] * 5)) as corpus:
        assert corpus.ids(Filter(statuses=frozenset({"kept"})), beside=beside) == ["t0", "t3", "t4"]
        assert corpus.ids(Filter(statuses=frozenset({"flagged", "excluded"})), beside=beside) == ["t1", "t2"]
        assert corpus.count(Filter(statuses=frozenset({"kept"}))) == 5
        assert corpus.count(Filter(statuses=frozenset({"flagged"}))) == 0


def test_a_condition_sees_decisions_columns_and_labels(tmp_path):
    rows = [{"text": f"x{n}", "source": "forum" if n % 2 else "book", "year": n} for n in range(6)]
    beside = SideTables(
        pl.DataFrame(
            {
                "train_id": ["t1", "t2", "t3"],
                "status": ["flagged", "flagged", "kept"],
                "reason": ["spam", "spam", None],
                "actor": ["anna", "ben", "anna"],
                "labels": [["odd", "good"], [], None],
                "has_conflict": [False, True, None],
            }
        )
    )
    expected = {
        "status = flagged and source = forum": ["t1"],
        "reason = spam": ["t1", "t2"],
        "decided by anna": ["t1", "t3"],
        "label = odd": ["t1"],
        "has conflict": ["t2"],
        "not has conflict and year >= 4": ["t4", "t5"],
        'text contains "X5"': ["t5"],
        "status = kept": ["t0", "t3", "t4", "t5"],
    }
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        found = {text: corpus.ids(Filter(where=parse_where(text)), beside=beside) for text in expected}
    assert found == expected


SCORES = [0.5, -1.0, math.nan, 0.5, 2.0, -3.0, 0.0, 0.5]


@pytest.fixture
def scored(tmp_path):
    with Corpus(write_corpus(tmp_path, [{"text": "x"}] * 10)) as corpus:  # t8 and t9 have no score
        yield corpus


@pytest.fixture(params=["frame", "file"])
def beside(request, tmp_path):
    frame = pl.DataFrame({"example_id": [f"t{n}" for n in range(8)], "score": SCORES})
    if request.param == "frame":
        return SideTables(scores={"7": frame})
    other = frame.with_columns(query_id=pl.lit("8"), score=-pl.col("score"))
    pl.concat([frame.with_columns(query_id=pl.lit("7")), other]).write_parquet(tmp_path / "scores.parquet")
    return SideTables(scores={"7": tmp_path / "scores.parquet", "8": tmp_path / "scores.parquet"})


def test_ranks_and_shares_go_by_score_then_id_and_leave_out_what_has_no_score(scored, beside):
    best_first = [4, 0, 3, 7, 6, 1, 5]  # of the 7 numbers that are no NaN
    for amount in range(1, 8):
        top = parse_where(f"score in the top {amount} for query 7")
        assert scored.rows(Filter(where=top), beside=beside) == sorted(best_first[:amount])
    bottom = parse_where("score in the bottom 50 % for query 7")
    assert scored.rows(Filter(where=bottom), beside=beside) == [1, 5, 6]
    assert scored.rows(Filter(where=parse_where("score >= 0 for query 7")), beside=beside) == [0, 3, 4, 6, 7]


def test_sorting_by_score_puts_what_has_none_last(scored, beside):
    descending, ascending = (SortKey("7", "score", descending=flag) for flag in (True, False))
    assert scored.page(sort=[descending], beside=beside).rows == [4, 0, 3, 7, 6, 1, 5, 2, 8, 9]
    assert scored.page(sort=[ascending], beside=beside).rows == [5, 1, 6, 0, 3, 7, 4, 2, 8, 9]
    assert scored.page(sort=[descending], offset=-4, beside=beside).rows == [5, 2, 8, 9]


def test_a_column_named_like_a_decision_is_reached_through_data(tmp_path):
    file = write_corpus(tmp_path, [{"text": "x", "source": "a"}])
    renamed = pl.read_parquet(file.path).rename({"source": "status"})
    renamed.write_parquet(file.path)
    with Corpus(describe(file.path, renamed.columns)) as corpus:
        assert corpus.count(Filter(where=parse_where("data.status = a"))) == 1
        assert corpus.count(Filter(where=parse_where("status = kept"))) == 1


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (Filter({"sauce": ("a",)}), r"^there is no column 'sauce': the columns are `train_id`, `text`, `year`"),
        (Filter({"year": ("a",)}), r"^`year` holds whole numbers, got 'a': choose among its values"),
        (Filter({"year": (True,)}), r"^`year` holds whole numbers, got True"),
        (Filter({"text": (1,)}), r"^`text` holds text, got 1"),
        (Filter({"text": ("a\0b",)}), r"character at column 2 is '\\x00': remove it"),
        (Filter({"text": ("\ud800",)}), r"character at column 1 is '\\ud800': remove it"),
        (Filter({"text": Range(1)}), r"^a range is of numbers or times, `text` holds text"),
        (Filter(where=parse_where("sauce = a")), r"`sauce`.*fields are"),
        (Filter(where=parse_where("score > 1 for query 9")), r"^query `9` has no scores"),
    ],
)
def test_what_cannot_be_chosen_is_refused(tmp_path, chosen, message):
    with Corpus(write_corpus(tmp_path, [{"text": "x", "year": 1}])) as corpus:
        for ask in (corpus.page, corpus.count, corpus.ids, corpus.facets, corpus.sample):
            with pytest.raises(QueryError, match=message):
                ask(chosen)


def test_what_cannot_be_sorted_by_is_refused(tmp_path):
    with Corpus(write_corpus(tmp_path, [{"text": "x"}])) as corpus:
        with pytest.raises(QueryError, match=r"^there is no column 'sauce'"):
            corpus.page(sort=[SortKey("sauce")])
        with pytest.raises(QueryError, match=r"^query '9' has no scores here to sort by"):
            corpus.page(sort=[SortKey("9", of="score")])
        with pytest.raises(QueryError, match=r"^relevance is that of a search for words"):
            corpus.page(sort=[SortKey(of="relevance")])
        with pytest.raises(QueryError, match=r"^there is no column 'sauce'"):
            corpus.page(columns=["sauce"])
        with pytest.raises(QueryError, match=r"^a page has at least 1 text, got a limit of 0"):
            corpus.page(limit=0)


def test_a_frame_that_names_an_example_twice_is_refused(tmp_path):
    twice = pl.DataFrame({"train_id": ["t0", "t0"], "status": ["kept", "flagged"], "score": [1.0, 2.0]})
    with Corpus(write_corpus(tmp_path, [{"text": "x"}])) as corpus:
        with pytest.raises(QueryError, match=r"^the decisions name each text once, 't0' is there several times"):
            corpus.count(Filter(statuses=frozenset({"kept"})), beside=SideTables(twice))
        with pytest.raises(QueryError, match=r"^the scores of query '7' name each text once"):
            corpus.page(sort=[SortKey("7", of="score")], beside=SideTables(scores={"7": twice}))


def test_unreadable_scores_are_named(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    beside = SideTables(scores={"7": tmp_path / "bad.parquet", "8": tmp_path / "none.parquet"})
    with Corpus(write_corpus(tmp_path, [{"text": "x"}])) as corpus:
        for query in ("7", "8"):
            with pytest.raises(ArtefactError, match=rf"^the scores of query '{query}' cannot be read"):
                corpus.page(sort=[SortKey(query, of="score")], beside=beside)


@pytest.mark.parametrize("content", [b"", b"no parquet" * 100, b"PAR1" + b"x" * 200 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_refused(tmp_path, content):
    path = tmp_path / "examples.parquet"
    path.write_bytes(content)
    with pytest.raises(DamagedArtefact, match=r"examples.parquet' is not a readable Parquet file .*import the data"):
        Corpus(ExamplesFile(path, ("text",), (), (), "f"))


def test_a_file_that_is_gone_or_cut_while_open_is_named(tmp_path):
    file = write_corpus(tmp_path, [{"text": "x" * 500, "year": n} for n in range(50)])
    with Corpus(file) as corpus:
        content = file.path.read_bytes()
        file.path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DamagedArtefact, match=r"is not a readable Parquet file"):
            corpus.page()
        file.path.unlink()
        with pytest.raises(ArtefactError, match=r"is missing: import the data with `lorif import`"):
            corpus.page()
    with pytest.raises(ArtefactError, match=r"is missing: import the data with `lorif import`"):
        Corpus(file)


def test_a_file_with_other_columns_is_refused(tmp_path):
    file = write_corpus(tmp_path, [{"text": "x"}])
    with pytest.raises(ArtefactError, match=r"must hold the columns of its data set, 'year' is absent"):
        Corpus(replace(file, metadata_columns=("year",)))


def test_no_statement_reaches_another_file(tmp_path):
    (tmp_path / "secret.csv").write_text("secret")
    with Corpus(write_corpus(tmp_path, [{"text": "x"}])) as corpus, corpus._examples.call(None) as call:
        for statement in (
            f"FROM read_csv('{tmp_path / 'secret.csv'}')",
            f"ATTACH '{tmp_path / 'new.duckdb'}'",
            "SET enable_external_access = true",
            "INSTALL fts",
            "FROM local_frame",
        ):
            local_frame = pl.DataFrame({"a": [1]})  # noqa: F841, a replacement scan would find it
            with pytest.raises((ArtefactError, duckdb.Error)):
                call.query(statement)


@pytest.mark.parametrize("value", NASTY)
def test_any_text_can_be_a_chosen_value(tmp_path, value):
    with Corpus(write_corpus(tmp_path, [{"text": value}, {"text": "other"}])) as corpus:
        assert corpus.ids(Filter({"text": (value,)})) == ["t0"]
