"""Any sequence of acts of two people gives the state that a list of batches gives."""

from itertools import pairwise

import pytest
from acting import by, exclude, flag, restore
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from lorif_core.errors import JournalError
from lorif_core.journal.database import reading

PEOPLE = st.sampled_from(["ada", "bo"])
REQUESTS = {"flagged": flag, "excluded": exclude, "kept": restore}
DECIDE = st.tuples(
    st.just("decide"),
    PEOPLE,
    st.sampled_from(sorted(REQUESTS)),
    st.sets(st.sampled_from("xyz"), min_size=1).map(sorted),
    st.integers(0, 5).map(lambda number: number == 0),
)
TAKE_BACK = st.tuples(st.sampled_from(["undo", "redo"]), PEOPLE, st.none() | st.integers(0, 9))
ACTS = st.lists(DECIDE | TAKE_BACK, max_size=14)


class Refused(Exception):
    """The list says no."""


class ListOfBatches:
    """The definition, written out: every decision in order, and which of them are crossed out."""

    def __init__(self):
        self.batches = []
        self.diary = []

    def decide(self, who, status, examples, settles):
        batch = {"who": who, "status": status, "examples": examples, "settles": settles, "crossed_out": False}
        self.batches.append(batch)
        self.diary.append(("decide", who, batch))

    def undo(self, who, number):
        if number is None:
            own = [batch for batch in self.batches if batch["who"] == who and not batch["crossed_out"]]
            if not own:
                raise Refused
            batch = own[-1]
        else:
            batch = self.numbered(number)
        self.cross(who, batch, "undo")

    def redo(self, who, number):
        if number is None:
            batch = self.last_undone_by(who)
        else:
            batch = self.numbered(number)
        self.cross(who, batch, "redo")

    def numbered(self, number):
        if number >= len(self.batches):
            raise Refused
        return self.batches[number]

    def last_undone_by(self, who):
        for position in range(len(self.diary) - 1, -1, -1):
            act, actor, batch = self.diary[position]
            if actor != who:
                continue
            if act == "decide":
                raise Refused
            answered = any(later is batch for _, _, later in self.diary[position + 1 :])
            if act == "undo" and not answered:
                return batch
        raise Refused

    def cross(self, who, batch, act):
        if batch["crossed_out"] != (act == "redo"):
            raise Refused
        place = next(place for place, other in enumerate(self.batches) if other is batch)
        for later in self.batches[place + 1 :]:
            if later["who"] != who and not later["crossed_out"] and set(later["examples"]) & set(batch["examples"]):
                raise Refused
        batch["crossed_out"] = act == "undo"
        self.diary.append((act, who, batch))

    def states(self):
        touched = {example for batch in self.batches for example in batch["examples"]}
        return {example: self.state_of(example) for example in touched}

    def state_of(self, example):
        status, opinions = "kept", {}
        for batch in self.batches:
            if example in batch["examples"] and not batch["crossed_out"]:
                if batch["settles"]:
                    opinions = {}
                status = opinions[batch["who"]] = batch["status"]
        return status, len(set(opinions.values())) > 1, opinions


def perform(journal, corpus_id, act, batch_ids):
    kind, who, *rest = act
    if kind == "decide":
        status, examples, settles = rest
        batch = journal.decide(by(who, corpus_id), REQUESTS[status](*examples, settles=settles))
        batch_ids.append(batch.batch_id)
        return
    [number] = rest
    batch_id = None if number is None else batch_ids[number] if number < len(batch_ids) else "unknown"
    getattr(journal, kind)(by(who, corpus_id), batch_id)


@pytest.fixture
def new_corpus(journal):
    """One journal for all examples of a property; each has a corpus of its own."""
    return (f"corpus-{number}" for number in range(10**9))


def played(journal, corpus_id, acts):
    """The list after these acts, having checked that journal and list refuse the same ones."""
    model, batch_ids = ListOfBatches(), []
    for act in acts:
        kind, *rest = act
        try:
            getattr(model, kind)(*rest)
        except Refused:
            with pytest.raises(JournalError):
                perform(journal, corpus_id, act, batch_ids)
        else:
            perform(journal, corpus_id, act, batch_ids)
    return model


def states_of(journal, corpus_id):
    frame = journal.states(corpus_id)
    opinions = {}
    for example, who, status in journal.conflicts(corpus_id).select("train_id", "actor", "status").rows():
        opinions.setdefault(example, {})[who] = status
    return {
        example: (status, disputed, opinions.get(example))
        for example, status, disputed in frame.select("train_id", "status", "has_conflict").rows()
    }


def states_in_sql(journal, corpus_id):
    query = text("SELECT train_id, status, has_conflict FROM example_state WHERE corpus_id = :corpus_id")
    with reading(journal.engine) as connection:
        rows = connection.execute(query, {"corpus_id": corpus_id}).all()
    return {example: (status, bool(disputed)) for example, status, disputed in rows}


@pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)
def test_any_acts_of_two_people_give_the_state_of_the_list(journal, new_corpus):
    @given(acts=ACTS)
    @settings(max_examples=60)
    def check(acts):
        corpus_id = next(new_corpus)
        expected = played(journal, corpus_id, acts).states()
        assert states_of(journal, corpus_id) == {
            example: (status, disputed, opinions if disputed else None)
            for example, (status, disputed, opinions) in expected.items()
        }
        assert states_in_sql(journal, corpus_id) == {
            example: (status, disputed) for example, (status, disputed, opinions) in expected.items() if opinions
        }
        counted = [status for status, _, opinions in expected.values() if opinions]
        assert journal.counts(corpus_id) == {
            status: counted.count(status) for status in ("kept", "flagged", "excluded")
        }

    check()


def test_redo_takes_back_an_undo_and_undo_a_redo(journal, new_corpus):
    times_undone = 0

    @given(acts=ACTS, who=PEOPLE)
    def check(acts, who):
        nonlocal times_undone
        corpus_id = next(new_corpus)
        played(journal, corpus_id, acts)
        before = journal.states(corpus_id), journal.conflicts(corpus_id)
        try:
            undo = journal.undo(by(who, corpus_id))
        except JournalError:
            return
        times_undone += 1
        undone = journal.states(corpus_id), journal.conflicts(corpus_id)
        assert journal.redo(by(who, corpus_id)).of_batch == undo.of_batch
        redone = journal.states(corpus_id), journal.conflicts(corpus_id)
        assert all(one.equals(other) for one, other in zip(redone, before, strict=True))
        assert journal.undo(by(who, corpus_id), undo.of_batch).of_batch == undo.of_batch
        again = journal.states(corpus_id), journal.conflicts(corpus_id)
        assert all(one.equals(other) for one, other in zip(again, undone, strict=True))

    check()
    assert times_undone >= 10


def test_the_life_of_every_example_ends_in_its_state(journal, new_corpus):
    num_lives = 0

    @given(acts=ACTS)
    def check(acts):
        nonlocal num_lives
        corpus_id = next(new_corpus)
        played(journal, corpus_id, acts)
        for example, status in journal.states(corpus_id).select("train_id", "status").rows():
            life = journal.events_of(corpus_id, example)
            assert life[0].status_after == status
            assert life[-1].status_before == "kept"
            assert all(newer.status_before == older.status_after for newer, older in pairwise(life))
            num_lives += 1

    check()
    assert num_lives >= 40
