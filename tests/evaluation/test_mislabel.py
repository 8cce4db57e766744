from collections import Counter

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lorif_core.data.examples import Example
from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.mislabel import mislabel_report, swap_completions


def examples_of(completions):
    return [
        Example(f"t{number}", prompt=f"question {number}", completion=completion)
        for number, completion in enumerate(completions)
    ]


@given(st.lists(st.sampled_from("abcde"), min_size=4, max_size=30), st.integers(0, 99))
def test_no_corrupted_example_keeps_the_wording_of_its_completion(completions, seed):
    examples = examples_of(completions)
    try:
        changed, is_corrupted = swap_completions(examples, 0.5, seed)
    except DataError:
        assume(False)
    assert int(is_corrupted.sum()) == round(0.5 * len(examples))
    for before, after, flag in zip(examples, changed, is_corrupted.tolist(), strict=True):
        assert (before.completion != after.completion) is flag
        assert before._replace(completion=None) == after._replace(completion=None)
    assert Counter(one.completion for one in changed) == Counter(completions)


def test_half_of_all_sharing_a_completion_can_still_be_swapped():
    changed, is_corrupted = swap_completions(examples_of("aaabbc"), 1.0, 0)
    assert is_corrupted.all()
    assert [one.completion for one in changed[:3]] != ["a"] * 3
    assert "a" not in [one.completion for one in changed[:3]]


def test_the_choice_repeats_with_the_seed_and_moves_with_it():
    examples = examples_of([str(number) for number in range(40)])
    assert swap_completions(examples, 0.3, 1)[0] == swap_completions(examples, 0.3, 1)[0]
    assert swap_completions(examples, 0.3, 1)[0] != swap_completions(examples, 0.3, 2)[0]


def test_a_completion_that_most_share_cannot_be_swapped():
    with pytest.raises(DataError, match="3 of 4 share 'a'"):
        swap_completions(examples_of("aaab"), 1.0, 0)


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.1, 0.2])
def test_a_fraction_that_picks_no_pair_is_refused(fraction):
    with pytest.raises(ConfigError, match="at least 2 examples"):
        swap_completions(examples_of("abcd"), fraction, 0)


def test_texts_without_completions_are_refused():
    with pytest.raises(DataError, match="only prompts with completions"):
        swap_completions([Example("t", text="x")] * 4, 0.5, 0)


def test_a_report_of_a_perfect_and_a_reversed_ranking():
    is_corrupted = torch.tensor([True, False, True, False])
    scores = torch.tensor([4.0, 2.0, 3.0, 1.0])
    best, worst = (mislabel_report(one, is_corrupted, [1, 2, 4]) for one in (scores, -scores))
    assert (best.auc, best.precision, best.share_corrupted) == (1.0, {1: 1.0, 2: 1.0, 4: 0.5}, 0.5)
    assert (worst.auc, worst.precision) == (0.0, {1: 0.0, 2: 0.0, 4: 0.5})
