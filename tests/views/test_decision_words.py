"""Acts in words."""

from datetime import UTC, datetime
from typing import get_args

import pytest

from lorif_core.journal.entries import Batch, BatchKind
from lorif_core.views.decision_words import DONE_WORDS, counted_texts, done_words, kind_word


def batch(kind, num_events, reason=None):
    return Batch(
        batch_id="b",
        revision=1,
        corpus_id="c",
        dataset_id="d",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        actor="anna",
        kind=kind,
        reason=reason,
        text=None,
        query_id=None,
        rule=None,
        settles=False,
        of_batch=None,
        num_events=num_events,
    )


@pytest.mark.parametrize("kind", get_args(BatchKind))
def test_every_kind_of_act_has_words(kind):
    assert kind_word(kind)
    assert kind in DONE_WORDS


def test_a_restored_text_is_kept():
    assert kind_word("restore") == "keep"
    assert done_words(batch("restore", 1)) == "kept 1 text"


def test_an_exclusion_names_its_count_and_reason():
    assert done_words(batch("exclude", 1200, "spam")) == "excluded 1,200 texts as spam"


def test_one_is_1_text():
    assert [counted_texts(count) for count in (0, 1, 2)] == ["0 texts", "1 text", "2 texts"]
