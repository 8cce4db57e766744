"""Pages, searches, facets and duplicates of a workspace, as the commands show them."""

import io
import json
from collections import Counter
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_workspace import HOSTILE_ID, NUM_TEXTS, copy_of, done, indexed, lorif, rows, write_rows

import lorif_core as lf
from lorif_core.errors import DataError, QueryError
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.datasets.view import View, offset_of_page
from lorif_core.workspace.folder.kept_scores import read_scores
from lorif_core.workspace.folder.workspace_files import open_files

IDS = [row["id"] for row in rows()]
EXCLUDED, FLAGGED = ["t001", "t002"], ["t003"]
TEXTS = {row["id"]: row["prompt"] + row["completion"] for row in rows()}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The texts, an index, a kept question, two excluded texts and a flagged one; tests only read it."""
    copy = copy_of(indexed(), tmp_path_factory.mktemp("browsed"))
    lf.open_workspace(copy).ask("The river of Arlen is", " castle Brook.", k=3)
    curator = Decisions(Datasets(open_files(copy), None))
    curator.exclude(EXCLUDED, reason="spam", actor="ann")
    curator.flag(FLAGGED, actor="ann")
    return copy


@pytest.fixture(scope="module")
def browser(workspace):
    return Datasets(open_files(workspace), None)


def ids_of(browser, view, **place):
    return browser.browse(view, **{"limit": NUM_TEXTS, **place}).frame["train_id"].to_list()


def ids_where(claim):
    return [row["id"] for row in rows() if claim(row)]


def test_pages_follow_the_import_and_hold_every_text_once(workspace):
    found = []
    for page in (1, 2, 3):
        shown = done("browse", workspace, "--page", page, "--limit", 50, "--json").json
        assert (shown["total"], shown["offset"]) == (NUM_TEXTS, 50 * (page - 1))
        found += [example["train_id"] for example in shown["examples"]]
    assert found == IDS


def test_page_minus_1_is_the_last_one(workspace):
    shown = done("browse", workspace, "--page", -1, "--limit", 50, "--json").json
    assert [example["train_id"] for example in shown["examples"]] == IDS[100:]
    assert "101 to 121 of 121, page 3 of 3." in done("browse", workspace, "--page", -1, "--limit", 50).out


def test_a_page_behind_the_last_one_is_empty(workspace):
    assert done("browse", workspace, "--page", 9, "--limit", 50, "--json").json["examples"] == []


@given(total=st.integers(0, 40), limit=st.integers(1, 9))
def test_pages_counted_from_the_end_are_those_counted_from_the_start(total, limit):
    starts = list(range(0, total, limit)) or [0]
    forwards = [offset_of_page(place, limit, lambda: total) for place in range(1, len(starts) + 1)]
    backwards = [offset_of_page(-place, limit, lambda: total) for place in range(1, len(starts) + 1)]
    assert forwards == backwards[::-1] == starts


@pytest.mark.parametrize(("page", "limit"), [(0, 20), (1, 0), (-1, -3)])
def test_a_page_that_cannot_be_is_refused(page, limit):
    with pytest.raises(QueryError, match=f"pages count from 1.* got {page} of {limit}"):
        offset_of_page(page, limit, lambda: 5)


def test_a_minus_puts_the_largest_first_and_later_keys_break_ties(browser):
    ordered = sorted(rows(), key=lambda row: -row["year"])
    assert ids_of(browser, View(sort=("-year",))) == [row["id"] for row in ordered]
    ordered = sorted(rows(), key=lambda row: (row["source"], -row["year"]))
    assert ids_of(browser, View(sort=("source", "-year"))) == [row["id"] for row in ordered]


def test_texts_sort_by_their_score_on_a_kept_question(browser, workspace):
    files = open_files(workspace)
    scores = dict(zip(IDS, read_scores(files, files.catalog.query("1")).tolist(), strict=True))
    assert ids_of(browser, View(sort=("-score:1",))) == sorted(IDS, key=lambda name: -scores[name])
    assert ids_of(browser, View(sort=("score:1",)), limit=5) == sorted(IDS, key=lambda name: scores[name])[:5]


def test_a_condition_chooses_and_counts_the_texts_of_which_it_holds(browser):
    view = View(where="source = atlas and year >= 1990")
    expected = ids_where(lambda row: row["source"] == "atlas" and row["year"] >= 1990)
    assert ids_of(browser, view) == expected
    assert browser.count(view) == len(expected)


def test_a_condition_may_speak_of_decisions_and_scores(browser, workspace):
    assert ids_of(browser, View(where="status = excluded and reason = spam and decided by ann")) == EXCLUDED
    files = open_files(workspace)
    scores = dict(zip(IDS, read_scores(files, files.catalog.query("1")).tolist(), strict=True))
    strongest = sorted(IDS, key=lambda name: -scores[name])[:3]
    assert set(ids_of(browser, View(where="score in the top 3 for query 1"))) == set(strongest)


@pytest.mark.parametrize(
    ("mode", "typed", "claim"),
    [
        ("words", "tower brook", lambda text: {"tower", "brook"} <= set(text.lower().replace(".", "").split())),
        ("contains", "R of b", lambda text: "r of b" in text.lower()),
        ("regex", "^The (tower|castle) of [A-D]", lambda text: text.startswith(tuple(
            f"The {thing} of {first}" for thing in ("tower", "castle") for first in "ABCD"))),
    ],
)  # fmt: skip
def test_each_mode_finds_the_texts_that_a_plain_reading_finds(mode, typed, claim, browser):
    found = ids_of(browser, View(search=typed, mode=mode))
    expected = [name for name in IDS if name != HOSTILE_ID and claim(TEXTS[name])]
    assert expected
    assert found == expected


def test_a_status_shows_those_that_have_it_and_a_text_without_decision_is_kept(browser):
    assert ids_of(browser, View(statuses=("excluded",))) == EXCLUDED
    assert ids_of(browser, View(statuses=("flagged", "excluded"))) == sorted(EXCLUDED + FLAGGED)
    assert browser.count(View(statuses=("kept",))) == NUM_TEXTS - 3
    page = browser.browse(limit=5).frame.select("train_id", "status", "reason").rows()
    assert page[:4] == [
        ("t000", "kept", None), ("t001", "excluded", "spam"), ("t002", "excluded", "spam"), ("t003", "flagged", None),
    ]  # fmt: skip


def test_an_unknown_status_is_refused_with_the_known_ones(browser):
    with pytest.raises(QueryError, match="a status is one of kept, flagged, excluded, got 'gone'"):
        browser.browse(View(statuses=("gone",)))


def test_a_column_of_the_data_called_status_stays_beside_the_decision(tmp_path):
    done("import", tmp_path / "ws", write_rows(tmp_path / "a.jsonl", [{"id": "x", "text": "t", "status": "draft"}]))
    row = done("browse", tmp_path / "ws", "--json").json["examples"][0]
    assert (row["status"], row["decision_status"]) == ("draft", "kept")


def test_the_ids_that_are_found_can_be_excluded_at_once(workspace, tmp_path, monkeypatch):
    copy = copy_of(workspace, tmp_path)
    listed = done("browse", copy, "--where", "year >= 2010", "--ids").out
    assert listed.splitlines() == ids_where(lambda row: row["year"] >= 2010)
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))
    assert done("exclude", copy, "-", "--reason", "off-topic", "--json").json["num_events"] == len(
        listed.splitlines()
    )
    found = done("browse", copy, "--status", "excluded", "--ids").out.splitlines()
    assert found == sorted(EXCLUDED + listed.splitlines())


def test_facets_count_each_value_of_what_is_shown(workspace):
    facets = done("facets", workspace, "--where", "year < 1950", "--json").json["facets"]
    by_column = {facet["column"]: facet for facet in facets}
    assert set(by_column) == {"source", "year"}
    expected = Counter(row["source"] for row in rows() if row["year"] < 1950)
    assert {value["value"]: value["count"] for value in by_column["source"]["values"] if value["count"]} == expected
    assert sum(bin_["count"] for bin_ in by_column["year"]["bins"]) == sum(expected.values())
    assert "almanac" in done("facets", workspace).out


def test_duplicates_are_groups_of_equal_texts_and_with_a_threshold_of_similar_ones(tmp_path):
    words = " ".join(f"word{number}" for number in range(40))
    texts = {"a": words, "b": words.upper(), "c": f"{words} more", "d": "something else altogether, and short"}
    file = write_rows(tmp_path / "a.jsonl", [{"id": name, "text": text} for name, text in texts.items()])
    done("import", tmp_path / "ws", file)
    exact = done("duplicates", tmp_path / "ws", "--exact", "--json").json["duplicates"]
    assert sorted(row["train_id"] for row in exact) == ["a", "b"]
    near = done("duplicates", tmp_path / "ws", "--json").json["duplicates"]
    assert sorted(row["train_id"] for row in near) == ["a", "b", "c"]
    assert "1 groups with 3 texts." in done("duplicates", tmp_path / "ws").out


def test_a_question_about_another_version_ranks_nothing_here(workspace, tmp_path):
    copy = copy_of(workspace, tmp_path)
    done("import", copy, write_rows(tmp_path / "texts.jsonl", rows()[:50]))
    with pytest.raises(DataError, match=r"query 1 was asked about data set ds-.* ask it again"):
        Datasets(open_files(copy), None).browse(View(sort=("score:1",)))


def test_control_characters_of_a_text_reach_no_terminal(workspace):
    shown = done("browse", workspace, "--where", f"id = {HOSTILE_ID}")
    assert not any(mark in shown.out for mark in ("\x1b", "\x9b", "\x07", "\u202e"))
    assert lorif("browse", workspace, "--page", 0).code == 2


@pytest.fixture
def dated(tmp_path, monkeypatch):
    """A workspace whose column ``at`` holds instants, ``status`` its own words, with one excluded text."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    instants = ["2026-03-29T05:30:00Z", "2026-03-29T06:10:00Z", "2026-03-28T23:30:00Z"]
    column = pa.array([datetime.fromisoformat(one) for one in instants], pa.timestamp("us", "UTC"))
    texts = {"id": ["a", "b", "c"], "text": ["x", "y", "z"], "status": ["draft", "final", "draft"], "at": column}
    pq.write_table(pa.table(texts), tmp_path / "a.parquet")
    done("import", tmp_path / "ws", tmp_path / "a.parquet")
    done("exclude", tmp_path / "ws", "b", "--reason", "spam")
    return tmp_path / "ws"


def test_times_are_read_and_shown_in_the_zone_of_the_process(dated):
    day = done("browse", dated, "--where", "at = 2026-03-29", "--sort", "at", "--json").json["examples"]
    assert [row["at"] for row in day] == [
        "2026-03-29 00:30:00+01:00", "2026-03-29 07:30:00+02:00", "2026-03-29 08:10:00+02:00",
    ]  # fmt: skip
    assert [row["train_id"] for row in day] == ["c", "a", "b"]
    assert "07:30:00+02:00" in done("browse", dated).out  # the terminal may break the line before it
    assert "2026-03-29 08:00+02:00 to" in done("facets", dated).out


def test_a_rule_is_recorded_with_the_zone_it_was_meant_in(dated, monkeypatch):
    done("apply", dated, "flag where at > 2026-03-29 07:00 and decision.status = kept")
    (batch,) = [one.batch for one in Decisions(Datasets(open_files(dated), None)).history() if one.batch.rule]
    assert batch.rule == "flag where at > 2026-03-29T07:00+02:00 and decision.status = kept"
    monkeypatch.setenv("TZ", "America/New_York")
    rule = batch.rule.replace("kept", "flagged").replace("flag ", "label again ", 1)
    assert json.loads(done("apply", dated, rule, "--dry-run", "--json").out)["previews"][0]["num_matching"] == 1


def test_both_statuses_are_shown_and_said_apart(dated):
    found = done("browse", dated, "--where", "data.status = draft and decision.status = kept", "--json").json
    assert [(row["status"], row["decision_status"]) for row in found["examples"]] == [("draft", "kept")] * 2
    failed = lorif("browse", dated, "--where", "status = draft")
    assert failed.code == 2
    assert "`data.status`" in failed.err
