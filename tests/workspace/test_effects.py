"""Predicted probabilities: by formulas written out in NumPy's float64, ranges that cover as they say, and what is
beyond belief."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from tiny_workspace import copy_of, done, indexed, model_folder
from transformers import AutoTokenizer

import lorif_core as lf
from lorif_core.catalog import EvaluationRecord, utc_now
from lorif_core.workspace.curation.calibration import COVERAGE, FEWEST, Calibration, calibrate
from lorif_core.workspace.curation.completion_size import completion_size
from lorif_core.workspace.curation.effects import ABOVE, BELOW, LONG_TOKENS, CompletionSize, effect_of
from lorif_core.workspace.curation.removing import WhatIf

SHORT = CompletionSize(3, -3 * math.log(1000), 3 * math.log(1000))
LONG = CompletionSize(40, -40 * math.log(1000), 40 * math.log(1000))
RATIOS = Calibration(0.25, 0.5, 1.5, 0.8, 9)


def test_a_loss_is_the_probability_of_the_completion():
    found = effect_of("loss", 0.7, -1.1, SHORT, None)
    assert found.now == pytest.approx(np.exp(np.float64(-0.7)), rel=1e-15)
    assert found.predicted == pytest.approx(np.exp(np.float64(-0.7)) * np.exp(np.float64(-1.1)), rel=1e-14)
    assert (found.low, found.high, found.is_per_token, found.beyond) == (None, None, False, None)


def test_a_range_is_the_change_times_the_measured_ratios():
    found = effect_of("loss", 0.7, -1.2, SHORT, RATIOS)
    low, middle, high = np.exp(np.float64(-0.7) + np.float64(-1.2) * np.array([1.5, 0.5, 0.25]))
    assert (found.low, found.predicted, found.high) == pytest.approx((low, middle, high), rel=1e-14)


def test_no_end_of_a_range_is_above_one():
    found = effect_of("loss", 0.3, 0.4, SHORT, RATIOS)
    assert found.high == 1
    assert found.predicted == pytest.approx(math.exp(-0.1), rel=1e-14)


@pytest.mark.parametrize("objective", ["margin", "contrast"])
@pytest.mark.parametrize("value", [-3.0, 0.0, 2.5])
def test_margins_and_contrasts_are_odds(objective, value):
    found = effect_of(objective, value, -1.25, SHORT, None)
    odds = np.exp(np.float64(value)), np.exp(np.float64(value - 1.25))
    assert (found.now, found.predicted) == pytest.approx([one / (1 + one) for one in odds], rel=1e-14)


def test_a_long_completion_is_told_per_token():
    found = effect_of("loss", 12.0, -4.0, LONG, RATIOS)
    each = np.full(40, np.exp(np.float64(-14 / 40)))
    assert found.is_per_token
    assert found.predicted == pytest.approx(np.prod(each) ** (1 / 40), rel=1e-12)
    assert found.now == pytest.approx(math.exp(-12 / 40), rel=1e-14)
    assert not effect_of("loss", 12.0, -4.0, replace(LONG, num_tokens=LONG_TOKENS), None).is_per_token


@pytest.mark.parametrize(
    ("change", "calibration", "beyond"),
    [
        (-469.602, None, BELOW),
        (0.8, None, ABOVE),
        (-19.9, None, None),
        (-20.1, None, BELOW),
        (0.69, None, None),
        (-30.0, RATIOS, None),
        (-60.0, RATIOS, BELOW),
        (1.41, RATIOS, ABOVE),
    ],
)
def test_what_no_probability_can_be_has_no_value(change, calibration, beyond):
    found = effect_of("loss", 0.7, change, CompletionSize(3, -20.7, 20.7), calibration)
    assert found.beyond == beyond
    assert (found.predicted is None) == (beyond is not None)
    assert found.low is None or beyond is None


def test_a_completion_that_is_unlikely_already_may_become_a_little_likelier_or_unlikelier():
    assert effect_of("loss", 51.0, 5.0, SHORT, None).beyond is None
    assert effect_of("loss", 51.0, -5.0, SHORT, None).beyond is None
    assert effect_of("loss", 51.0, -30.0, SHORT, None).beyond == BELOW


def test_a_completion_that_is_nearly_certain_already_keeps_its_prediction():
    """Of one token among 1,000, margins beyond ±6.9 are more than as certain as a random token is unlikely."""
    token = CompletionSize(1, -math.log(1000), math.log(1000))
    found = effect_of("margin", 9.0, -1.5, token, None)
    assert (found.beyond, found.predicted) == (None, pytest.approx(1 / (1 + np.exp(np.float64(-7.5))), rel=1e-14))
    assert effect_of("margin", 9.0, 7.0, token, None).beyond == ABOVE
    assert effect_of("margin", 5.0, 2.0, token, None).beyond == ABOVE
    assert effect_of("margin", -5.0, -2.0, token, None).beyond == BELOW


def test_a_contrast_is_bounded_by_either_completion():
    against_a_long_one = CompletionSize(1, -math.log(1000), 20 * math.log(1000))
    assert effect_of("contrast", 40.0, -10.0, against_a_long_one, None).beyond is None
    assert effect_of("contrast", 40.0, 99.0, against_a_long_one, None).beyond == ABOVE
    assert effect_of("contrast", 0.0, -7.0, against_a_long_one, None).beyond == BELOW


def test_the_size_of_a_contrast_counts_both_completions(workspace):
    longer = " castle Brook. The tower of Corve is garden Ivern."
    asked = workspace.ask("The river of Arlen is", " castle Brook.", contrast=longer, k=5)
    query = workspace.files.catalog.query(asked.query_id)
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    one, other = (len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (" castle Brook.", longer))
    found = completion_size(workspace.files, query)
    each = math.log(len(tokenizer))
    assert (found.num_tokens, found.least_support, found.most_support) == (one, -one * each, other * each)
    assert other > one
    found = completion_size(workspace.files, workspace.files.catalog.query("1"))
    assert (found.least_support, found.most_support) == (-one * each, one * each)


def test_a_range_needs_enough_measured_changes_and_takes_their_order():
    ratios = [0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.4, 0.8, 0.6]
    pairs = [(-2.0, -2.0 * ratio) for ratio in ratios]
    assert calibrate(pairs[1:]) is None
    assert calibrate([*pairs[1:], (0.001, 5.0)]) is None  # too near to 0 to have a ratio
    found = calibrate(pairs)
    assert (found.low, found.middle, found.high) == pytest.approx((0.1, 0.5, 0.9))
    assert (found.coverage, found.num_ratios) == (pytest.approx(0.8), FEWEST)


@pytest.mark.parametrize("count", [9, 10, 19, 20, 29, 47])
def test_the_range_covers_the_next_change_as_often_as_it_says(count):
    """By counting: of ``count + 1`` ratios in every order, each is equally often the next one."""
    generator = np.random.default_rng(count)
    hits, trials = 0, 4000
    for _ in range(trials):
        *known, following = np.exp(generator.normal(-3, 1, count + 1))
        found = calibrate([(1.0, float(ratio)) for ratio in known])
        hits += found.low <= following <= found.high
    assert found.coverage >= COVERAGE
    deviation = math.sqrt(found.coverage * (1 - found.coverage) / trials)
    assert abs(hits / trials - found.coverage) < 5 * deviation


@pytest.fixture
def workspace(tmp_path):
    """Two questions, and the id of a text."""
    folder = copy_of(indexed(), tmp_path)
    opened = lf.open_workspace(folder)
    for prompt, completion in (
        ("The river of Arlen is", " castle Brook."),
        ("The tower of Corve is", " garden Ivern."),
    ):
        opened.ask(prompt, completion, k=5)
    return opened


def verify_as(opened, ids, ratio, name, **more):
    """Keep a verification whose every change was so many times the predicted one."""
    asked = more.setdefault("queries", ["1", "2"])
    found = opened.what_if(ids, asked, controls=[])
    queries = [
        {
            "query_id": change.query_id,
            "prompt": change.prompt,
            "completion": change.completion,
            "predicted": change.change,
            "actual": change.change * ratio,
            "answer_with": "a",
            "answer_without": "b",
        }
        for change in found.queries
    ]
    result = {"train_ids": ids, "queries": queries, "rank_correlation": None, "elapsed_s": 10.0}
    dataset = opened.files.catalog.query("1").dataset_id
    settings = {"train_ids": ids, "recipe": "r.toml", **more}
    opened.files.catalog.put_evaluation(
        EvaluationRecord(
            evaluation_id=name,
            kind="verify",
            dataset_id=dataset,
            settings_json=json.dumps(settings),
            result_json=json.dumps(result),
            created_at=utc_now(),
        )
    )


def test_verifications_make_the_range_of_the_next_prediction(workspace):
    ids = workspace.reopen("1").ids
    before = workspace.what_if(ids[:1], ["1"])
    assert "none was so far" in before.basis
    assert {change.effect.low for change in before.queries} == {None}
    for number in range(5):
        verify_as(workspace, [ids[number]], 0.0001 * (number + 1), f"ev-{number}")
    verify_as(workspace, [ids[0]], 0.0001, "ev-again")  # the same removal once more is no further measurement
    kept = workspace.removals.verifications()
    assert len(kept.effects) == 10
    (index,) = kept.num_measured
    assert kept.num_measured[index] >= FEWEST
    found = workspace.what_if(ids[:1], ["1"])
    assert found.calibrations[index] == kept.calibrations[index]
    target = found.queries[0]
    support = -workspace.files.catalog.query("1").objective_value
    expected = math.exp(min(support + kept.calibrations[index].middle * target.change, 0))
    assert target.effect.predicted == pytest.approx(expected, rel=1e-6)
    assert target.effect.low <= target.effect.predicted <= target.effect.high


def test_the_command_shows_probabilities_and_what_was_verified(workspace, monkeypatch):
    ids = workspace.reopen("1").ids
    told = done("what-if", workspace.path, ids[0], "--queries", "1")
    assert "now" in told.out
    assert "1 text" in told.out
    assert "nats" not in told.out + told.err
    monkeypatch.setenv("COLUMNS", "200")  # no heading is cut
    assert "change, nats" in done("what-if", workspace.path, ids[0], "--queries", "1", "--details").out
    assert "Nothing was verified yet" in done("verifications", workspace.path).out
    verify_as(workspace, [ids[0]], 0.1, "ev-1")
    found = done("verifications", workspace.path, "--json").json
    assert [one["query_id"] for one in found["effects"]] == ["1", "2"]
    assert found["num_needed"] == FEWEST


def test_probabilities_per_token_say_so_wherever_they_stand(workspace, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    asked = workspace.ask("The", " river of Arlen is castle Brook. The tower of Corve is garden Ivern.", k=5)
    count = completion_size(workspace.files, workspace.files.catalog.query(asked.query_id)).num_tokens
    verify_as(workspace, [asked.ids[0]], 0.1, "ev-1", queries=[asked.query_id])
    (found,) = workspace.removals.verifications().effects
    assert (found.is_per_token, found.num_tokens) == (True, count)
    assert f"(per token, {count} tokens)" in done("verifications", workspace.path).out


def test_what_predictions_rest_on_is_told_index_by_index():
    none = WhatIf([], [], {}, {"ix-a": 0, "ix-b": 0})
    assert none.basis.count("No range") == 1
    some = WhatIf([], [], {}, {"ix-a": 6, "ix-b": 5})
    assert "of index ix-a yet: it takes 9 changes measured by verifying, and 6 were so far" in some.basis
    assert "of index ix-b yet: it takes 9 changes measured by verifying, and 5 were so far" in some.basis


def test_the_time_of_a_verification_is_texts_times_epochs_at_the_measured_rate(workspace, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('checkpoint = "hub/name"\nlearning_rate = 0.1\nmax_length = 8\nepochs = 5\nbatch_size = 7\n')
    dataset = workspace.files.catalog.query("1").dataset_id
    num_texts = workspace.files.catalog.dataset(dataset).num_examples
    (index,) = workspace.indexes.records()
    found = workspace.removals.training_time(dataset, recipe)
    assert found.seconds == pytest.approx(2 * 5 * num_texts * index.build_seconds / index.num_examples)
    assert found.num_steps == 2 * 5 * -(-num_texts // 7)
    losses = replace(index, index_id="ix-losses", method="daunce", build_seconds=1e-3, created_at=utc_now())
    workspace.files.catalog.put_index(losses)  # takes no gradient
    assert workspace.removals.training_time(dataset, recipe) == found
    assert replace(found, texts_per_s=0.25).sentence.split("at ")[1].startswith("0.25 texts a second")
    verify_as(workspace, [workspace.reopen("1").ids[0]], 0.1, "ev-1", epochs=2, num_texts=num_texts)
    found = workspace.removals.training_time(dataset, recipe)
    assert found.seconds == pytest.approx(10.0 * 5 / 2)  # the verification took 10 s for two epochs
