"""Why a review queue is as short as it is."""

import pytest
from tiny_workspace import copy_of, imported

import lorif_core as lf
from lorif_core.workspace.curation import choice as choices
from lorif_core.workspace.curation.choice import Choice, review_queue, review_report

EVERYTHING = Choice("condition", where='train_id != "nothing"')


@pytest.fixture
def opened(tmp_path):
    return lf.open_workspace(copy_of(imported(), tmp_path))


def test_what_was_decided_is_left_out_and_counted_by_status(opened):
    ids = review_queue(opened.decisions, EVERYTHING)
    opened.flag(ids[:2])
    opened.exclude([ids[2]], reason="spam")
    opened.restore([ids[3]])
    opened.flag([ids[4]])
    opened.undo()  # as if nobody had decided
    report = review_report(opened.decisions, EVERYTHING)
    assert report.ids == ids[4:]
    assert report.num_decided == {"flagged": 2, "excluded": 1, "kept": 1}
    assert report.num_chosen == len(ids)
    assert report.num_beyond == 0


def test_decided_texts_come_in_on_demand(opened):
    ids = review_queue(opened.decisions, EVERYTHING)
    opened.flag(ids[:2])
    report = review_report(opened.decisions, EVERYTHING, with_decided=True)
    assert (report.ids, report.num_decided) == (ids, {})


def test_what_a_queue_does_not_hold_is_counted(opened, monkeypatch):
    ids = review_queue(opened.decisions, EVERYTHING)
    monkeypatch.setattr(choices, "MAX_QUEUE", 3)
    report = review_report(opened.decisions, EVERYTHING)
    assert (report.ids, report.num_beyond) == (ids[:3], len(ids) - 3)


def test_the_first_text_of_an_act_is_the_first_that_it_was_given(opened):
    ids = review_queue(opened.decisions, EVERYTHING)
    one, other = opened.flag([ids[3], ids[1]]), opened.flag([ids[0]])
    taken_back = opened.undo(one.batch_id)
    batches = [one.batch_id, other.batch_id, taken_back.batch_id, "none"]
    assert opened.journal.first_examples(batches) == {
        batch: opened.journal.examples_of(one.corpus_id, batch)[0] for batch in batches[:3]
    }
    assert opened.journal.first_examples(batches)[one.batch_id] == ids[3]
