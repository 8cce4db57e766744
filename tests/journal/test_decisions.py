"""What a journal keeps, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from acting import CORPUS, by, exclude, flag, label, note, restore, statuses
from sqlalchemy import text

from lorif_core.errors import JournalError, RoleError
from lorif_core.journal import Journal
from lorif_core.journal.database import reading

pytestmark = pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)


def state_of(journal, train_id):
    return journal.states(CORPUS, [train_id]).row(0, named=True)


def states_in_sql(journal):
    """What the view of the database says."""
    query = text(f"SELECT train_id, status, has_conflict FROM example_state WHERE corpus_id = '{CORPUS}'")
    with reading(journal.engine) as connection:
        return {train_id: (status, bool(disputed)) for train_id, status, disputed in connection.execute(query)}


def test_a_decision_is_there_after_reopening(journal, location):
    before = datetime.now(UTC)
    batch = journal.decide(
        by("ada"), exclude("b", "a", "b", reason="toxic", text=" bad ", query_id="q1", rule="source = 'x'")
    )
    with Journal(location) as reopened:
        [entry] = reopened.history(CORPUS)
        frame = reopened.states(CORPUS)
        assert reopened.examples_of(CORPUS, batch.batch_id) == ["b", "a"]
    assert entry.batch == batch
    assert (batch.actor, batch.kind, batch.reason, batch.text) == ("ada", "exclude", "toxic", "bad")
    assert (batch.query_id, batch.rule, batch.num_events, batch.dataset_id) == ("q1", "source = 'x'", 2, "d1")
    assert before <= batch.at <= datetime.now(UTC)
    assert frame["train_id"].to_list() == ["a", "b"]
    assert frame.row(0, named=True) == {
        "train_id": "a",
        "status": "excluded",
        "reason": "toxic",
        "text": "bad",
        "actor": "ada",
        "at": batch.at,
        "query_id": "q1",
        "batch_id": batch.batch_id,
        "rule": "source = 'x'",
        "has_conflict": False,
        "labels": [],
        "num_notes": 0,
    }


def test_the_latest_live_decision_gives_the_status(journal):
    journal.decide(by("ada"), flag("a", "b"))
    journal.decide(by("ada"), exclude("a"))
    assert statuses(journal) == {"a": "excluded", "b": "flagged"}
    journal.decide(by("ada"), restore("a"))
    assert statuses(journal) == {"a": "kept", "b": "flagged"}
    assert journal.counts(CORPUS) == {"kept": 1, "flagged": 1, "excluded": 0}


def test_corpora_with_the_same_ids_are_apart(journal):
    journal.decide(by("ada"), flag("a"))
    journal.decide(by("ada", "other"), exclude("a"))
    assert statuses(journal) == {"a": "flagged"}
    assert statuses(journal, "other") == {"a": "excluded"}
    assert states_in_sql(journal) == {"a": ("flagged", False)}
    assert len(journal.history("other")) == 1
    with pytest.raises(JournalError, match=r"no batch of 'facts' has the id"):
        journal.undo(by("ada"), journal.history("other")[0].batch.batch_id)


def test_states_of_chosen_examples_are_those_of_all(journal):
    journal.decide(by("ada"), flag(*(f"{number:04}" for number in range(1200))))
    journal.decide(by("bo"), exclude("0007", "0500"))
    everything = journal.states(CORPUS)
    for wanted in (["0500", "0007", "none"], [f"{number:04}" for number in range(0, 1200, 2)]):
        chosen = journal.states(CORPUS, wanted)
        assert chosen.equals(everything.filter(everything["train_id"].is_in(wanted)))
    assert journal.states(CORPUS, []).is_empty()
    assert journal.states("nothing").schema == everything.schema


def test_what_is_written_and_read_in_parts_is_whole(journal, monkeypatch):
    monkeypatch.setattr("lorif_core.journal.acts.IDS_PER_INSERT", 7)
    monkeypatch.setattr("lorif_core.journal.reads.ROWS_AT_ONCE", 9)
    ids = [f"{number:03}" for number in range(100)]
    batch = journal.decide(by("ada"), flag(*ids))
    assert journal.examples_of(CORPUS, batch.batch_id) == ids
    assert journal.states(CORPUS)["train_id"].to_list() == ids


def test_undo_and_redo_walk_back_and_forth(journal):
    journal.decide(by("ada"), flag("a"))
    journal.decide(by("ada"), exclude("a", "b"))
    first = journal.undo(by("ada"))
    assert (first.kind, first.num_events) == ("undo", 2)
    assert statuses(journal) == {"a": "flagged", "b": "kept"}
    journal.undo(by("ada"))
    assert statuses(journal) == {"a": "kept", "b": "kept"}
    assert journal.counts(CORPUS) == {"kept": 0, "flagged": 0, "excluded": 0}
    assert [entry.is_undone for entry in journal.history(CORPUS)] == [False, False, True, True]
    journal.redo(by("ada"))
    assert statuses(journal) == {"a": "flagged", "b": "kept"}
    journal.redo(by("ada"))
    assert statuses(journal) == {"a": "excluded", "b": "excluded"}
    assert states_in_sql(journal) == {"a": ("excluded", False), "b": ("excluded", False)}
    with pytest.raises(JournalError, match=r"'ada' has nothing to redo in 'facts'"):
        journal.redo(by("ada"))


def test_undo_without_a_decision_is_refused(journal):
    journal.decide(by("bo"), flag("a"))
    with pytest.raises(JournalError, match=r"^'ada' has nothing to undo in 'facts'"):
        journal.undo(by("ada"))
    journal.undo(by("bo"))
    with pytest.raises(JournalError, match=r"^'bo' has nothing to undo"):
        journal.undo(by("bo"))


def test_a_new_decision_ends_redo(journal):
    old = journal.decide(by("ada"), flag("a"))
    journal.undo(by("ada"))
    journal.decide(by("ada"), flag("b"))
    with pytest.raises(JournalError, match=rf"new decision since .*bring '{old.batch_id}' back by its id"):
        journal.redo(by("ada"))
    journal.redo(by("ada"), old.batch_id)
    assert statuses(journal) == {"a": "flagged", "b": "flagged"}


def test_undoing_twice_or_redoing_what_stands_is_refused(journal):
    batch = journal.decide(by("ada"), flag("a"))
    with pytest.raises(JournalError, match=r"is not undone, so there is nothing to bring back"):
        journal.redo(by("ada"), batch.batch_id)
    undo = journal.undo(by("ada"), batch.batch_id)
    with pytest.raises(JournalError, match=r"was undone by 'ada' \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\) already"):
        journal.undo(by("ada"), batch.batch_id)
    with pytest.raises(JournalError, match=rf"is no decision but takes '{batch.batch_id}' back"):
        journal.undo(by("ada"), undo.batch_id)
    with pytest.raises(JournalError, match=r"no batch of 'facts' has the id \"x'; DROP TABLE event\": `lorif"):
        journal.undo(by("ada"), "x'; DROP TABLE event")


def test_what_others_decided_since_is_not_pulled_from_under_them(journal):
    mine = journal.decide(by("ada"), flag("a", "b", "c"))
    journal.decide(by("bo"), exclude("a", "z"))
    journal.decide(by("cy"), restore("b"))
    message = rf"cannot undo batch '{mine.batch_id}': on 2 of its 3 examples 'cy' and 'bo' decided since, last .* UTC"
    with pytest.raises(JournalError, match=message):
        journal.undo(by("ada"))
    journal.undo(by("bo"))
    journal.undo(by("cy"))
    journal.undo(by("ada"))
    assert set(statuses(journal).values()) == {"kept"}


def test_a_redo_is_refused_if_others_decided_meanwhile(journal):
    mine = journal.decide(by("ada"), flag("a"))
    journal.undo(by("ada"))
    journal.decide(by("bo"), exclude("a"))
    with pytest.raises(JournalError, match=rf"cannot redo batch '{mine.batch_id}': on 1 of its 1 examples 'bo'"):
        journal.redo(by("ada"))
    assert statuses(journal) == {"a": "excluded"}


def test_others_notes_and_decisions_elsewhere_hinder_no_undo(journal):
    journal.decide(by("ada"), flag("a"))
    journal.decide(by("bo"), note("hm", "a"))
    journal.decide(by("bo"), exclude("b"))
    journal.decide(by("bo", "other"), exclude("a"))
    journal.undo(by("ada"))
    assert statuses(journal) == {"a": "kept", "b": "excluded"}


def test_others_decisions_hinder_no_undo_of_a_note(journal):
    journal.decide(by("ada"), note("hm", "a"))
    journal.decide(by("bo"), exclude("a"))
    journal.undo(by("ada"))
    assert (state_of(journal, "a")["num_notes"], state_of(journal, "a")["status"]) == (0, "excluded")


def test_notes_and_labels_are_counted_and_undone(journal):
    journal.decide(by("ada"), note("one\nline more", "a"))
    journal.decide(by("bo"), note("two", "a", "b"))
    journal.decide(by("ada"), label("odd", "a"))
    journal.decide(by("bo"), label("even", "a"))
    assert (state_of(journal, "a")["num_notes"], state_of(journal, "a")["labels"]) == (2, ["even", "odd"])
    journal.decide(by("bo"), label("odd", "a", kind="unlabel"))
    assert state_of(journal, "a")["labels"] == ["even"]
    for _ in range(3):
        journal.undo(by("bo"))
    assert (state_of(journal, "a")["num_notes"], state_of(journal, "a")["labels"]) == (1, ["odd"])
    assert state_of(journal, "a")["status"] == "kept"
    assert state_of(journal, "a")["at"] is None
    assert state_of(journal, "b")["num_notes"] == 0


def test_people_who_disagree_are_both_kept(journal):
    first = journal.decide(by("ada"), flag("a", "b", reason="spam", text="is it?"))
    second = journal.decide(by("bo"), restore("a"))
    journal.decide(by("bo"), flag("b"))
    assert state_of(journal, "a")["has_conflict"] is True
    assert state_of(journal, "b")["has_conflict"] is False
    rows = journal.conflicts(CORPUS).rows(named=True)
    assert [(row["actor"], row["status"], row["batch_id"]) for row in rows] == [
        ("ada", "flagged", first.batch_id),
        ("bo", "kept", second.batch_id),
    ]
    assert (rows[0]["reason"], rows[0]["text"], rows[0]["at"]) == ("spam", "is it?", first.at)
    assert states_in_sql(journal) == {"a": ("kept", True), "b": ("flagged", False)}


def test_a_person_who_changes_their_mind_ends_the_conflict(journal):
    journal.decide(by("ada"), flag("a"))
    journal.decide(by("bo"), restore("a"))
    journal.decide(by("ada"), restore("a"))
    assert not state_of(journal, "a")["has_conflict"]


def test_settling_ends_a_conflict_until_somebody_decides_anew(journal):
    journal.decide(by("ada"), flag("a"))
    journal.decide(by("bo"), restore("a"))
    journal.decide(by("cy"), exclude("a", settles=True))
    assert (state_of(journal, "a")["status"], state_of(journal, "a")["has_conflict"]) == ("excluded", False)
    assert journal.conflicts(CORPUS).is_empty()
    assert len(journal.history(CORPUS, train_id="a")) == 3
    journal.decide(by("ada"), flag("a"))
    assert journal.conflicts(CORPUS)["actor"].to_list() == ["cy", "ada"]
    journal.undo(by("ada"))
    journal.undo(by("cy"))
    assert journal.conflicts(CORPUS)["actor"].to_list() == ["ada", "bo"]


def test_a_repeated_request_adds_nothing(journal):
    request = flag("a", "b", text="x")
    first = journal.decide(by("ada"), request, client_id="click-1")
    revision = journal.revision()
    assert journal.decide(by("ada"), request, client_id="click-1") == first
    assert journal.decide(by("ada"), flag("b", "a", text="x"), client_id="click-1") == first
    undone = journal.undo(by("ada"), client_id="click-2")
    assert journal.undo(by("ada"), client_id="click-2") == undone
    assert journal.undo(by("ada"), first.batch_id, client_id="click-2") == undone
    redone = journal.redo(by("ada"), client_id="click-3")
    assert journal.redo(by("ada"), client_id="click-3") == redone
    assert journal.revision() == revision + 2
    assert len(journal.history(CORPUS)) == 3


@pytest.mark.parametrize(
    ("actor", "request_"),
    [("bo", flag("a", "b")), ("ada", exclude("a", "b")), ("ada", flag("a", "c")), ("ada", flag("a", "b", text="x"))],
    ids=["actor", "kind", "examples", "text"],
)
def test_a_client_id_of_another_request_is_refused(journal, actor, request_):
    journal.decide(by("ada"), flag("a", "b"), client_id="click-1")
    with pytest.raises(JournalError, match=r"'click-1' stands for another request \(flag by 'ada', .* UTC\)"):
        journal.decide(by(actor), request_, client_id="click-1")
    with pytest.raises(JournalError, match=r"stands for another request"):
        journal.undo(by("ada"), client_id="click-1")
    assert len(journal.history(CORPUS)) == 1


def test_history_is_filtered_and_paged(journal):
    batches = [journal.decide(by(actor), flag(train_id)) for actor in ("ada", "bo") for train_id in "abc"]
    journal.decide(by("bo"), exclude("c"))

    def found(**conditions):
        return [entry.batch.batch_id for entry in journal.history(CORPUS, **conditions)]

    newest_first = [batch.batch_id for batch in reversed(batches)]
    assert found(kind="flag") == newest_first
    assert found(kind="flag", actor="ada") == newest_first[3:]
    assert found(kind="flag", train_id="b") == [batches[4].batch_id, batches[1].batch_id]
    assert found(batch_id=batches[2].batch_id) == [batches[2].batch_id]
    assert found(kind="flag", limit=2) == newest_first[:2]
    assert found(kind="flag", limit=2, before=batches[4].revision) == newest_first[2:4]
    with pytest.raises(JournalError, match=r"at least 1 entry, got a limit of 0"):
        journal.history(CORPUS, limit=0)


def test_the_life_of_an_example_tells_its_status_before_and_after(journal):
    journal.decide(by("ada"), flag("a"))
    journal.decide(by("bo"), note("hm", "a"))
    journal.decide(by("ada"), exclude("a", "b"))
    journal.undo(by("ada"))
    told = [
        (event.batch.kind, event.is_undone, event.status_before, event.status_after)
        for event in journal.events_of(CORPUS, "a")
    ]
    assert told == [
        ("undo", False, "excluded", "flagged"),
        ("exclude", True, "flagged", "excluded"),
        ("note", False, "flagged", "flagged"),
        ("flag", False, "kept", "flagged"),
    ]
    journal.redo(by("ada"))
    newest, _, third, *_ = journal.events_of(CORPUS, "a")
    assert (newest.status_before, newest.status_after, third.is_undone) == ("flagged", "excluded", False)


def test_the_revision_grows_with_every_write(journal):
    seen = [journal.revision()]
    for write in (
        lambda: journal.decide(by("ada"), flag("a")),
        lambda: journal.undo(by("ada")),
        lambda: journal.redo(by("ada")),
        lambda: journal.add_reason("boring", "Nobody learns from it.", "ada"),
        lambda: journal.set_role("ada", "admin", "ada"),
        lambda: journal.set_role("bo", "curator", "ada"),
    ):
        write()
        seen.append(journal.revision())
    assert seen == sorted(set(seen))
    with pytest.raises(JournalError):
        journal.decide(by("ada"), flag("a", reason="unheard-of"))
    assert journal.revision() == seen[-1]


def test_without_members_everyone_is_an_admin(journal):
    assert journal.members() == []
    assert journal.role_of("anyone") == "admin"
    batch = journal.decide(by("ada"), flag("a", settles=True))
    journal.undo(by("bo"), batch.batch_id)


def test_roles_are_checked_where_it_is_written(journal):
    journal.set_role("ada", "admin", "ada")
    journal.set_role("bo", "curator", "ada")
    journal.set_role("eve", "viewer", "ada")
    assert [(member.actor, member.role, member.added_by) for member in journal.members()] == [
        ("ada", "admin", "ada"),
        ("bo", "curator", "ada"),
        ("eve", "viewer", "ada"),
    ]
    assert datetime.now(UTC) - journal.members()[0].at < timedelta(minutes=1)
    assert journal.role_of("stranger") == "viewer"
    for actor in ("eve", "stranger"):
        with pytest.raises(RoleError, match=rf"only a curator may decide about examples, and '{actor}' is a viewer"):
            journal.decide(by(actor), note("x", "a"))
        with pytest.raises(RoleError, match=r"only a curator may undo decisions"):
            journal.undo(by(actor))
    batch = journal.decide(by("ada"), flag("a"))
    with pytest.raises(RoleError, match=r"only an admin may undo what 'ada' did, and 'bo' is a curator"):
        journal.undo(by("bo"), batch.batch_id)
    with pytest.raises(RoleError, match=r"only an admin may settle a disagreement"):
        journal.decide(by("bo"), flag("a", settles=True))
    with pytest.raises(RoleError, match=r"only an admin may give roles"):
        journal.set_role("bo", "admin", "bo")
    with pytest.raises(RoleError, match=r"only an admin may add reasons"):
        journal.add_reason("boring", "Nobody learns from it.", "bo")
    mine = journal.decide(by("bo"), exclude("a"))
    journal.undo(by("ada"), mine.batch_id)
    journal.undo(by("ada"), batch.batch_id)
    assert statuses(journal) == {"a": "kept"}
    assert [reason.name for reason in journal.reasons() if reason.added_by] == []


def test_an_admin_may_not_undo_under_the_author_who_decided_since(journal):
    first = journal.decide(by("bo"), flag("a"))
    journal.decide(by("bo"), exclude("a"))
    with pytest.raises(JournalError, match=r"'bo' decided since"):
        journal.undo(by("ada"), first.batch_id)


def test_one_admin_always_remains(journal):
    with pytest.raises(RoleError, match=r"without 'bo' there would be none"):
        journal.set_role("bo", "curator", "ada")
    journal.set_role("ada", "admin", "ada")
    with pytest.raises(RoleError, match=r"needs an admin, and without 'ada' there would be none"):
        journal.set_role("ada", "viewer", "ada")
    journal.set_role("bo", "admin", "ada")
    journal.set_role("ada", "viewer", "bo")
    assert journal.role_of("ada") == "viewer"
    with pytest.raises(JournalError, match=r"a role is one of viewer, curator, admin, got 'owner'"):
        journal.set_role("ada", "owner", "bo")


def test_reasons_can_be_added_once(journal):
    built_in = [reason.name for reason in journal.reasons()]
    assert built_in[0] == "misinformation"
    assert "other" in built_in
    with pytest.raises(JournalError, match=r"no reason is called 'boring'; there are misinformation, .*, other\."):
        journal.decide(by("ada"), exclude("a", reason="boring"))
    journal.add_reason("boring", "Nobody learns from it.", "ada")
    journal.decide(by("ada"), exclude("a", reason="boring"))
    assert [reason.name for reason in journal.reasons()] == [*built_in, "boring"]
    for taken in ("boring", "spam"):
        with pytest.raises(JournalError, match=rf"there is a reason '{taken}' already"):
            journal.add_reason(taken, "x", "ada")
    with pytest.raises(JournalError, match=r"lower-case words joined by hyphens, got 'Not so'"):
        journal.add_reason("Not so", "x", "ada")
    with pytest.raises(JournalError, match=r"description of a reason needs 1 to 200 characters"):
        journal.add_reason("fine", " ", "ada")


def test_text_is_data_wherever_a_person_can_type(journal):
    odd = "Robert'); DROP TABLE event; -- \" % _ \\ 🦊 ‮ :x $1 {}"
    batch = journal.decide(
        by(odd, odd), exclude(odd, "%", "tab\tid", text=odd, rule=odd, query_id=odd), client_id=odd
    )
    assert journal.states(odd, [odd]).row(0, named=True)["text"] == odd
    assert journal.examples_of(odd, batch.batch_id) == [odd, "%", "tab\tid"]
    assert len(journal.history(odd, actor=odd, train_id=odd)) == 1
    assert journal.events_of(odd, "_") == []
