import pytest
import torch
from retrainings import fact, recipe, start, texts

from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.brittleness import greedy_tokens, measure_brittleness
from lorif_core.evaluation.retraining import RetrainingStopped
from lorif_core.evaluation.trial import Trial

RIVER, TOWER = fact([10, 11, 12], [20, 21]), fact([30, 31, 32], [40, 41])
EXAMPLES = [RIVER, TOWER, *texts(4), RIVER, TOWER, *texts(4, seed=3)]
"""Two facts, each told twice (rows 0 and 6, 1 and 7) and nowhere else."""
QUERIES = [RIVER, TOWER]
TEACHES = recipe(epochs=12, learning_rate=3e-3)
"""Small steps until the facts are known by heart, so that neither rounding nor the order of batches decides: with 10
seeds both facts were learnt each time, both were lost without their copies, and none was without two other texts."""


def ranking(*rows_of_query):
    scores = torch.zeros(len(rows_of_query), len(EXAMPLES))
    for query, rows in enumerate(rows_of_query):
        scores[query, list(rows)] = 1.0
    return scores


RIGHT, WRONG = ranking((0, 6), (1, 7)), ranking((2, 3), (4, 5))


def measure(scores, *, k=2, seeds=(0, 1), **options):
    trial = Trial(start(), EXAMPLES, QUERIES, TEACHES)
    return measure_brittleness(trial, scores, k=k, seeds=seeds, **options)


def test_an_answer_goes_with_the_texts_that_alone_teach_it():
    right, wrong, chance = measure({"right": RIGHT, "wrong": WRONG})
    assert (right.name, wrong.name, chance.name) == ("right", "wrong", "random")
    assert (right.num_correct, wrong.num_correct) == (4, 4)  # 2 queries · 2 seeds: the facts were learnt
    assert (right.share_flipped, right.share_changed) == (1.0, 1.0)
    assert (wrong.share_flipped, wrong.share_changed) == (0.0, 0.0)
    assert right.loss_change > 1
    assert abs(wrong.loss_change) < 0.5
    assert right.loss_change_low <= right.loss_change <= right.loss_change_high
    assert float(right.per_query.mean()) == pytest.approx(right.loss_change)
    assert chance.loss_change < right.loss_change


def test_one_of_two_copies_is_not_missed():
    one, _ = measure({"one copy": RIGHT}, k=1, seeds=(0,))
    assert one.share_flipped == 0.0


def test_without_a_correct_answer_nothing_can_flip():
    trial = Trial(start(), EXAMPLES[2:6], QUERIES, recipe())
    untaught = measure_brittleness(trial, {"m": torch.zeros(2, 4)}, k=1, seeds=(0,))
    assert (untaught[0].num_correct, untaught[0].share_flipped) == (0, None)


def test_a_stopped_run_goes_on_with_what_it_kept(tmp_path):
    whole = measure({"right": RIGHT}, seeds=(0,))
    calls = iter(range(10_000))
    with pytest.raises(RetrainingStopped):
        measure({"right": RIGHT}, seeds=(0,), folder=tmp_path, should_stop=lambda: next(calls) > 80)
    kept = len(list(tmp_path.iterdir()))
    assert kept > 0
    steps = []
    parts = measure({"right": RIGHT}, seeds=(0,), folder=tmp_path, should_stop=lambda: bool(steps.append(1)))
    assert torch.equal(parts[0].per_query, whole[0].per_query)
    assert torch.equal(parts[1].per_query, whole[1].per_query)
    assert len(list(tmp_path.iterdir())) == 5  # full, two removals of the method, two at random
    assert len(steps) == (5 - kept) * 36  # 10 texts in 3 batches, 12 epochs, as many with 12


def test_greedy_tokens_are_the_likeliest_at_each_target():
    model = start().model
    logits = model(torch.tensor([RIVER.input_ids])).logits[0].detach()
    assert greedy_tokens(model, RIVER) == [int(logits[place].argmax()) for place in (2, 3)]


@pytest.mark.parametrize(
    ("scores", "options", "error", "message"),
    [
        ({"random": RIGHT}, {}, ConfigError, "another name"),
        ({"m": RIGHT[:, 1:]}, {}, DataError, "must have the shape"),
        ({"m": RIGHT}, {"k": 12}, ConfigError, "k must leave some"),
        ({"m": RIGHT}, {"k": 0}, ConfigError, "k must leave some"),
        ({"m": RIGHT}, {"seeds": ()}, ConfigError, "at least one"),
        ({"m": RIGHT}, {"seeds": (1, 1)}, ConfigError, "different seeds"),
    ],
)
def test_a_bad_request_is_refused(scores, options, error, message):
    with pytest.raises(error, match=message):
        measure(scores, **options)
