"""Guidelines and rounds in a journal, on both databases: written by admins, kept for good, part of the chain."""

import pytest
from acting import CORPUS, by, exclude, flag, label, note, restore
from sqlalchemy import update

from lorif_core.errors import JournalError, RoleError
from lorif_core.journal.database import writing
from lorif_core.journal.entries import Decision
from lorif_core.journal.journal_tables import LinkRow
from lorif_core.journal.reads_of_people import live_acts, opinions_since
from lorif_core.journal.team_records import MAX_GUIDELINES_LENGTH, MAX_SHARED_TEXTS, TeamRecords

pytestmark = pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def records(journal):
    for name, role in (("ada", "admin"), ("ann", "curator"), ("ben", "curator"), ("vic", "viewer")):
        journal.set_role(name, role, by="ada")
    return TeamRecords(journal.engine)


def shared_out(records, name="first", shares=None, by="ada"):
    records.write_round(CORPUS, name, "Flagged texts", shares or {"ann": ["a", "b"], "ben": ["b", "c"]}, 33.0, by)


def test_the_latest_guidelines_come_first_and_earlier_ones_are_kept(records):
    assert records.guidelines(CORPUS) == []
    records.write_guidelines(CORPUS, "# one", "ada")
    records.write_guidelines("other", "# elsewhere", "ada")
    records.write_guidelines(CORPUS, "# two <b>", "ada")
    assert [(one.markdown, one.by) for one in records.guidelines(CORPUS)] == [("# two <b>", "ada"), ("# one", "ada")]


@pytest.mark.parametrize("person", ["ann", "vic", "stranger"])
def test_only_an_admin_writes_guidelines_and_rounds(records, journal, person):
    before = journal.revision()
    with pytest.raises(RoleError, match="only an admin may write guidelines"):
        records.write_guidelines(CORPUS, "# mine", person)
    with pytest.raises(RoleError, match="only an admin may share out a queue"):
        shared_out(records, by=person)
    with pytest.raises(RoleError, match="only an admin may end a round"):
        records.end_round(CORPUS, "first", person)
    assert (journal.revision(), records.guidelines(CORPUS), records.rounds(CORPUS)) == (before, [], [])


def test_a_round_keeps_who_got_what_and_ends_once(records):
    shared_out(records)
    shared_out(records, "second", {"ann": ["z"]})
    newest, first = records.rounds(CORPUS)
    assert (newest.name, first.name, first.queue, first.by, first.overlap_percent) == (
        "second", "first", "Flagged texts", "ada", 33.0,
    )  # fmt: skip
    assert dict(first.shares) == {"ann": ["a", "b"], "ben": ["b", "c"]}
    assert (sorted(first.train_ids), first.num_shared, first.is_over) == (["a", "b", "c"], 1, False)
    records.end_round(CORPUS, "first", "ada")
    assert [one.is_over for one in records.rounds(CORPUS)] == [False, True]
    with pytest.raises(JournalError, match="no round called 'first' is open"):
        records.end_round(CORPUS, "first", "ada")


def test_a_round_that_cannot_be_is_refused(records):
    shared_out(records)
    with pytest.raises(JournalError, match="there is a round 'first' already"):
        shared_out(records)
    with pytest.raises(RoleError, match="only a curator may have a share of a queue, and 'vic' is a viewer"):
        shared_out(records, "second", {"vic": ["a"]})
    many = {"ann": [f"t{number}" for number in range(MAX_SHARED_TEXTS + 1)]}
    with pytest.raises(JournalError, match="a round has 1 to 10,000 texts, got 10,001"):
        shared_out(records, "second", many)
    with pytest.raises(JournalError, match="a round has 1 to 10,000 texts, got 0"):
        shared_out(records, "second", {"ann": []})


@pytest.mark.parametrize(("page", "sentence"), [("x" * (MAX_GUIDELINES_LENGTH + 1), "50,001"), ("a\0b", "zero byte")])
def test_a_page_that_cannot_be_kept_is_refused(records, page, sentence):
    with pytest.raises(JournalError, match=sentence):
        records.write_guidelines(CORPUS, page, "ada")


def test_what_is_written_is_part_of_the_chain(records, journal):
    records.write_guidelines(CORPUS, "# one", "ada")
    shared_out(records)
    journal.decide(by("ann"), flag("a"))
    assert journal.check() == []
    with writing(journal.engine) as connection:
        words = update(LinkRow).where(LinkRow.kind == "guidelines").values(said='{"markdown": "# forged"}')
        connection.execute(words)
    assert ["(guidelines) is not what was written" in said for said in journal.check()] == [True]


def test_acts_that_are_taken_back_are_no_progress(journal):
    journal.decide(by("ann"), flag("a", "b", reason="spam"))
    taken = journal.decide(by("ann"), exclude("a"))
    journal.undo(by("ann"), taken.batch_id)
    journal.decide(by("ben"), note("hm", "a"))
    journal.decide(by("ben"), label("odd", "a"))
    journal.decide(by("cy", "elsewhere"), flag("a"))
    found = live_acts(journal.engine, CORPUS).select("actor", "kind", "reason", "num_texts").rows()
    assert found == [("ann", "flag", "spam", 2), ("ben", "note", None, 1), ("ben", "label", None, 1)]


def test_the_first_decision_of_each_person_since_is_their_opinion(journal):
    journal.decide(by("ann"), flag("a", "b", "c"))
    since = journal.revision()
    journal.decide(by("ann"), exclude("a"))
    journal.decide(by("ann"), restore("a"))  # after they talked about it
    journal.decide(by("ben"), flag("a", "d"))
    taken = journal.decide(by("ben"), exclude("b"))
    journal.undo(by("ben"), taken.batch_id)
    journal.decide(by("ben"), restore("b"))
    journal.decide(by("ada"), Decision(kind="restore", train_ids=["a"], settles=True))
    found = opinions_since(journal.engine, CORPUS, ["a", "b", "c"], since)
    assert sorted(found.select("train_id", "actor", "status", "reason").rows()) == [
        ("a", "ann", "excluded", "spam"),
        ("a", "ben", "flagged", None),
        ("b", "ben", "kept", None),
    ]
    assert opinions_since(journal.engine, CORPUS, [], since).is_empty()
