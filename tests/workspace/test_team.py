"""What a team does together: shares, progress, agreement, comments, guidelines; on the command line and in Python."""

import json
from collections import Counter
from datetime import UTC, date, datetime

import polars as pl
import pytest
from tiny_workspace import copy_of, done, imported, lorif, rows, write_rows

import lorif_core as lf
from lorif_core.errors import DataError, RoleError
from lorif_core.journal.reads_of_people import LIVE_SCHEMA
from lorif_core.workspace.curation.choice import Choice
from lorif_core.workspace.team.sharing_out import share_out
from lorif_core.workspace.team.who_decided import by_person, by_reason, daily, every_day


@pytest.fixture
def ws(tmp_path, monkeypatch):
    """Ada is the admin, and whoever runs the test; Ann, Ben and Cy decide, Vic reads."""
    monkeypatch.setenv("LORIF_ACTOR", "ada")
    opened = lf.open_workspace(copy_of(imported(), tmp_path))
    for name, role in (
        ("ada", "admin"),
        ("ann", "curator"),
        ("ben", "curator"),
        ("cy", "curator"),
        ("vic", "viewer"),
    ):
        opened.journal.set_role(name, role, by="ada")
    return opened


@pytest.fixture
def ids(ws):
    return ws.data.browse(limit=12).frame["train_id"].to_list()


@pytest.mark.parametrize("num_people", [1, 2, 3, 5])
@pytest.mark.parametrize("num_texts", [1, 7, 40, 121])
@pytest.mark.parametrize("overlap", [0, 10, 33, 100])
def test_everybody_gets_as_much_as_the_others(num_people, num_texts, overlap):
    if num_people == 1 and overlap:
        return
    queue = [f"t{number}" for number in range(num_texts)]
    people = [f"p{number}" for number in range(num_people)]
    shares = share_out(queue, people, overlap)
    readers = Counter(train_id for ids in shares.values() for train_id in ids)
    assert set(readers) == set(queue)
    assert Counter(readers.values())[2] == round(num_texts * overlap / 100)
    assert max(readers.values()) <= 2
    sizes = [len(ids) for ids in shares.values()]
    assert max(sizes) - min(sizes) <= 2  # one for the first readers, one for the second ones
    assert all(len(set(ids)) == len(ids) and ids == [one for one in queue if one in ids] for ids in shares.values())
    assert share_out(queue, people, overlap) == shares


def test_every_pair_of_people_comes_up_in_turn():
    queue = [f"t{number}" for number in range(120)]
    shares = share_out(queue, ["ann", "ben", "cy", "dan"], 100)
    pairs = Counter(frozenset(name for name, ids in shares.items() if one in ids) for one in queue)
    assert len(pairs) == 6
    assert set(pairs.values()) == {20}


@pytest.mark.parametrize(
    ("queue", "people", "overlap", "sentence"),
    [
        ([], ["ann"], 0, "nothing to share out"),
        (["a"], [], 0, "nobody was named"),
        (["a"], ["ann", "ann"], 0, "everybody is named once, got 'ann' several times"),
        (["a"], ["ann"], 10, "an overlap needs two people"),
        (["a"], ["ann", "ben"], 101, "an overlap is 0 to 100 %, got 101"),
        (["a"], ["ann", "ben"], float("nan"), "an overlap is 0 to 100 %"),
    ],
)
def test_shares_that_cannot_be_are_refused(queue, people, overlap, sentence):
    with pytest.raises(DataError, match=sentence):
        share_out(queue, people, overlap)


def test_a_round_from_the_shares_to_the_disagreements(ws, ids):
    ws.flag(ids[:10], reason="spam")
    found = ws.team.share_out("first", Choice("flagged"), ["ann", "ben"], overlap_percent=50)
    assert sorted(found.train_ids) == sorted(ids[:10])
    assert (found.num_shared, found.queue) == (5, "Flagged texts")
    mine = ws.team.share_left("ann")
    assert mine == list(found.shares["ann"])
    both = [one for one in found.shares["ann"] if one in found.shares["ben"]]
    ws.restore(both, actor="ann")
    ws.exclude(both[:1], reason="toxic", actor="ben")
    ws.restore(both[1:], actor="ben")
    assert ws.team.share_left("ann") == [one for one in mine if one not in both]
    results = ws.team.results("first")
    assert [(one.person, one.num_done, one.num_left) for one in results.shares] == [
        ("ann", 5, len(found.shares["ann"]) - 5),
        ("ben", 5, len(found.shares["ben"]) - 5),
    ]
    (pair,) = results.pairs
    assert (pair.one, pair.other, pair.num_texts, pair.percent, pair.kappa) == ("ann", "ben", 5, 80.0, 0.0)
    (disagreement,) = results.disagreements
    assert (disagreement.train_id, dict(disagreement.said)) == (both[0], {"ann": "kept", "ben": "excluded · toxic"})
    ws.team.end_round("first")
    assert ws.team.share_left("ann") == []


def test_a_share_is_a_queue_like_any_other(ws, ids):
    ws.flag(ids[:4])
    ws.team.share_out("first", Choice("flagged"), ["ann", "ben"])
    queue = ws.team.review("ann")
    assert queue.ids == ws.team.share_left("ann")
    assert queue.title == "The share of ann"
    assert queue.to_polars()["train_id"].to_list() == queue.ids


def test_a_text_that_went_with_an_earlier_version_is_nobodys_to_decide_about(ws, tmp_path):
    ws.team.share_out("first", Choice("condition", where="source = atlas"), ["ann"])
    mine = ws.team.share_left("ann")
    fewer = write_rows(tmp_path / "fewer.jsonl", [row for row in rows() if row["id"] != mine[0]])
    done("import", ws.path, fewer, "--name", "texts")
    newest = lf.open_workspace(ws.path)
    assert newest.team.share_left("ann") == mine[1:]
    assert newest.team.review("ann").to_polars()["train_id"].to_list() == mine[1:]
    newest.restore(mine[1:], actor="ann")
    (share,) = newest.team.results("first").shares
    assert (share.num_texts, share.num_done, share.num_left) == (len(mine) - 1, len(mine) - 1, 0)


def test_a_viewer_writes_nothing(ws, ids, monkeypatch):
    ws.flag(ids[:4])
    before = ws.journal.revision()
    monkeypatch.setenv("LORIF_ACTOR", "vic")
    for refused in (
        lambda: ws.team.comment(ids[0], "hello"),
        lambda: ws.team.write_guidelines("# mine"),
        lambda: ws.team.share_out("mine", Choice("flagged"), ["ann", "ben"]),
    ):
        with pytest.raises(RoleError, match="'vic' is a viewer"):
            refused()
    assert lorif("comments", ws.path, ids[0], "--add", "hello").code == 2
    assert ws.journal.revision() == before


def test_a_thread_has_comments_and_what_was_written_beside_decisions(ws, ids):
    ws.flag(ids[:1], reason="spam", text="looks like an advert", actor="ann")
    ws.team.comment(ids[0], "it is **not** <b>one</b>", actor="ben")
    taken = ws.team.comment(ids[0], "a slip", actor="cy")
    ws.undo(taken.batch_id, actor="cy")
    ws.decisions.note(ids[:3], "all of one page", actor="cy")
    thread = [(one.by, one.beside, one.text) for one in ws.team.comments(ids[0])]
    assert thread == [
        ("ann", "flagged · spam", "looks like an advert"),
        ("ben", None, "it is **not** <b>one</b>"),
        ("cy", None, "all of one page"),
    ]
    assert [(train_id, one.by) for train_id, one in ws.team.latest_comments()] == [(ids[0], "cy"), (ids[0], "ben")]


def test_labels_are_counted(ws, ids):
    ws.decisions.label(ids[:3], "needs check", actor="ann")
    ws.decisions.label(ids[2:4], "odd", actor="ben")
    ws.decisions.unlabel(ids[:1], "needs check", actor="ben")
    assert ws.team.labels() == {"needs check": 2, "odd": 2}


def acts(*rows):
    return pl.DataFrame(list(rows), schema=LIVE_SCHEMA, orient="row")


def at(day, hour=12):
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_progress_is_what_the_acts_add_up_to():
    days = daily(
        acts(
            (at(1), "ann", "flag", "spam", 3),
            (at(1), "ann", "flag", "spam", 2),
            (at(1), "ann", "exclude", "toxic", 1),
            (at(3), "ben", "restore", None, 4),
            (at(3), "ben", "note", None, 9),
        )
    )
    assert days.rows() == [
        (date(2026, 3, 1), "ann", "excluded", "toxic", 1, 1),
        (date(2026, 3, 1), "ann", "flagged", "spam", 5, 2),
        (date(2026, 3, 3), "ben", "commented", None, 9, 1),
        (date(2026, 3, 3), "ben", "kept", None, 4, 1),
    ]
    people = by_person(days).select("person", "kept", "flagged", "excluded", "commented", "decided", "last_day")
    assert people.rows() == [
        ("ann", 0, 5, 1, 0, 6, date(2026, 3, 1)),
        ("ben", 4, 0, 0, 9, 4, date(2026, 3, 3)),
    ]
    assert by_reason(days).rows() == [("spam", 5, 0), ("toxic", 0, 1)]
    assert [row[2] for row in every_day(days).rows()] == [6, 0, 0, 0, 0, 4]


def test_a_day_is_one_of_the_zone():
    late = acts((at(1, 23), "ann", "flag", None, 1))
    assert [daily(late, zone)["day"][0].day for zone in (None, "Asia/Tokyo")] == [1, 2]


def test_nothing_decided_is_no_row():
    days = daily(acts())
    assert [len(one) for one in (days, by_person(days), by_reason(days), every_day(days))] == [0, 0, 0, 0]


def test_the_commands_say_the_same(ws, ids, tmp_path):
    ws.flag(ids[:10], reason="spam", actor="ann")
    page = tmp_path / "page.md"
    page.write_text("# Rules\n\nKeep facts.\n", encoding="utf-8")
    assert "# Rules" in done("guidelines", ws.path, "--write", page).out
    assert done("guidelines", ws.path, "--json").json["guidelines"]["markdown"] == page.read_text(encoding="utf-8")
    done("rounds", ws.path, "--share-out", "first", "--among", "ann, ben", "--overlap", 50)
    both = [one for one in ws.team.share_left("ann") if one in ws.team.share_left("ben")]
    ws.restore(both, actor="ann")
    ws.exclude(both, reason="toxic", actor="ben")
    assert done("agreement", ws.path, "--json").json == json.loads(json.dumps(ws.team.results("first").to_dict()))
    assert "0 %" in done("agreement", ws.path, "first").out
    assert done("comments", ws.path, ids[0], "--add", "hm").out.startswith("ada, ")
    assert done("comments", ws.path, "--json").json["comments"][0]["text"] == "hm"
    days = done("progress", ws.path, "--json").json["days"]
    assert sum(one["num_texts"] for one in days if one["decision"] == "flagged") == 10
    assert "spam" in done("progress", ws.path, "--by", "reason").out
    nothing = done("rounds", ws.path, "--mine")  # standard output holds ids only, for a pipe
    assert (nothing.out, nothing.err) == ("", "lorif: nothing is left for you.\n")
    assert "(over)" in done("rounds", ws.path, "--end", "first").out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rounds", "--share-out", "x"), "go together"),
        (("rounds", "--share-out", "x", "--among", "ann", "--where", "year > 1", "--query", "1"), "got both"),
        (("rounds", "--share-out", "x", "--among", "ann,vic", "--where", "year > 1"), "'vic' is a viewer"),
        (("rounds", "--end", "x"), "no round called 'x' is open"),
        (("agreement",), "no queue was shared out yet"),
        (("agreement", "x"), "no round is called 'x'"),
        (("progress", "--by", "hour"), "got 'hour'"),
        (("comments", "--add", "hm"), "a comment is about one text"),
        (("comments", "nobody"), "nobody"),
        (("guidelines", "--write", "/nowhere/page.md"), "cannot be read"),
    ],
)
def test_what_cannot_be_is_one_sentence(ws, arguments, sentence):
    command, *rest = arguments
    run = lorif(command, ws.path, *rest)
    assert (run.code, sentence in run.err, "Traceback" in run.err) == (2, True, False), run.err
