"""States that follow a journal are those that a new reader finds, whoever wrote and whatever was put in its place."""

import shutil
from multiprocessing import get_context

import pytest
from acting import CORPUS, by, exclude, flag, label, note, restore, statuses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_workers import act_when_told

from lorif_core.errors import JournalError
from lorif_core.journal import Journal, kept_states
from lorif_core.journal import followed_states as following

PEOPLE = ("ada", "bo")
IDS = st.sets(st.sampled_from("xyz"), min_size=1).map(sorted)
ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["flag", "exclude", "restore", "note", "label", "unlabel", "undo", "redo", "settle", "other"]
        ),
        st.sampled_from(PEOPLE),
        IDS,
        st.booleans(),
    ),
    max_size=12,
)

ORDERS = [("flag", "ab"), ("exclude", "bc"), ("undo", ""), ("redo", ""), ("note", "d"), ("settle", "b")]


def act(journal, kind, actor, ids):
    """One act of a kind; one that the journal refuses is none."""
    scope = by(actor)
    try:
        match kind:
            case "undo":
                journal.undo(scope)
            case "redo":
                journal.redo(scope)
            case "settle":
                journal.decide(scope, restore(*ids, settles=True))
            case "other":
                journal.decide(by(actor, "other corpus"), exclude(*ids))
            case "note":
                journal.decide(scope, note("hm", *ids))
            case "label" | "unlabel":
                journal.decide(scope, label("odd", *ids, kind=kind))
            case _:
                journal.decide(scope, {"flag": flag, "exclude": exclude, "restore": restore}[kind](*ids))
    except JournalError:
        return


def as_anew(location):
    with Journal(location) as fresh:
        return fresh.states(CORPUS), fresh.conflicts(CORPUS), fresh.counts(CORPUS)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_states_that_followed_are_those_of_a_new_reader(acts, empty_journal, tmp_path_factory):
    location = empty_journal(tmp_path_factory.mktemp("journal") / "journal.sqlite")
    with Journal(location) as watcher, Journal(location) as writer:
        for kind, actor, ids, watches in acts:
            act(writer, kind, actor, ids)
            if watches:
                watcher.states(CORPUS)
        states, conflicts, counts = as_anew(location)
        assert watcher.states(CORPUS).equals(states)
        assert watcher.conflicts(CORPUS).equals(conflicts)
        assert watcher.counts(CORPUS) == counts
        for train_id in "xyz":
            found = states.filter(train_id=train_id)
            assert watcher.states(CORPUS, [train_id]).equals(found)
            with Journal(location) as fresh:
                assert fresh.states(CORPUS, [train_id]).equals(found)


@pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)
def test_what_another_process_decides_undoes_and_settles_is_seen_at_once(journal, location):
    processes = get_context("spawn")
    told, answers = processes.Queue(), processes.Queue()
    other = processes.Process(target=act_when_told, args=(location, told, answers))
    other.start()
    try:
        journal.decide(by("ada"), flag("b"))
        for kind, ids in ORDERS:
            told.put((kind, list(ids)))
            assert answers.get(timeout=30) == kind
            journal.decide(by("ada"), flag(f"own-{kind}"))
            assert journal.states(CORPUS).equals(as_anew(location)[0])
            assert journal.conflicts(CORPUS).equals(as_anew(location)[1])
    finally:
        told.put(None)
        other.join(60)


@pytest.fixture
def keeps_every_act(monkeypatch):
    monkeypatch.setattr(following, "WORTH_A_FILE", 1)


@pytest.mark.usefixtures("keeps_every_act")
def test_a_new_process_begins_with_the_states_that_the_last_one_kept(location, tmp_path, monkeypatch):
    with Journal(location, tmp_path / "states") as first:
        first.decide(by("ada"), exclude("a", "b"))
        first.states(CORPUS)
    monkeypatch.setattr(following, "read_states", None)  # would have to be called for a full read
    with Journal(location, tmp_path / "states") as second:
        second.decide(by("bo"), flag("b"))
        assert statuses(second) == {"a": "excluded", "b": "flagged"}


def cut(file):
    file.write_bytes(file.read_bytes()[:-9])


def garble(file):
    content = file.read_bytes()
    file.write_bytes(content.replace(b"excluded", b"restored"))


def empty(file):
    file.write_bytes(b"")


def of_another_corpus(file):
    file.write_bytes(file.read_bytes().replace(CORPUS.encode(), b"facta", 1))


def of_another_form(file):
    file.write_bytes(file.read_bytes().replace(kept_states.FORMAT.encode(), b"lorif-states-9", 1))


@pytest.mark.usefixtures("keeps_every_act")
@pytest.mark.parametrize("harm", [cut, garble, empty, of_another_corpus, of_another_form])
def test_kept_states_that_were_harmed_are_as_good_as_none(location, tmp_path, harm):
    with Journal(location, tmp_path / "states") as first:
        first.decide(by("ada"), exclude("a"))
        first.states(CORPUS)
    (file,) = (tmp_path / "states").iterdir()
    harm(file)
    with Journal(location, tmp_path / "states") as second:
        assert statuses(second) == {"a": "excluded"}


@pytest.mark.usefixtures("keeps_every_act")
def test_a_backup_that_is_put_back_does_not_show_the_states_of_the_journal_before(location, tmp_path):
    folder, backup = tmp_path / "states", tmp_path / "backup.sqlite"
    with Journal(location) as journal:
        journal.decide(by("ada"), exclude("a"))
    shutil.copy(location, backup)
    with Journal(location, folder) as journal:
        journal.decide(by("ada"), exclude("lost"))
        journal.decide(by("ada"), exclude("lost too"))
        assert set(statuses(journal)) == {"a", "lost", "lost too"}
    shutil.copy(backup, location)
    with Journal(location, folder) as journal:
        assert statuses(journal) == {"a": "excluded"}
        journal.decide(by("ada"), flag("x"))
        journal.decide(by("ada"), flag("y"))  # as many acts as there were, others
    with Journal(location, folder) as journal:
        assert statuses(journal) == {"a": "excluded", "x": "flagged", "y": "flagged"}


@pytest.mark.usefixtures("keeps_every_act")
def test_states_that_cannot_be_kept_cost_nothing_but_time(location, tmp_path):
    (tmp_path / "states").write_text("a file where the folder would be")
    with Journal(location, tmp_path / "states") as journal:
        journal.decide(by("ada"), exclude("a"))
        assert statuses(journal) == {"a": "excluded"}


def test_acts_are_streamed_up_to_the_revision_of_the_states(journal, monkeypatch):
    monkeypatch.setattr("lorif_core.journal.journal.REVISIONS_AT_ONCE", 2)
    for number in range(5):
        journal.decide(by("ada"), flag(f"a{number}"))
        journal.decide(by("ada", "other"), flag(f"a{number}"))
    snapshot = journal.snapshot(CORPUS)
    journal.decide(by("ada"), flag("later"))
    assert [act["num_events"] for act in snapshot.iter_acts()] == [1] * 5
    assert snapshot.batches == [entry.batch for entry in journal.history(CORPUS)][1:]


def test_more_examples_than_are_looked_up_are_found(journal, monkeypatch):
    monkeypatch.setattr("lorif_core.journal.reads.MOST_LOOKED_UP", 2)
    journal.decide(by("ada"), flag("a", "b", "c", "d"))
    assert journal.states(CORPUS, ["a", "b", "c", "no"])["train_id"].to_list() == ["a", "b", "c"]
