"""Agreement against definitions written out pair by pair, and against the worked example of the literature."""

import itertools
import random

import pytest

from lorif_core.errors import DataError
from lorif_core.metrics.agreement import cohen_kappa, krippendorff_alpha, percent_agreement

STATUSES = ("kept", "flagged", "excluded")


def slow_kappa(one, other):
    """From the table of both: what is on its diagonal, against what its margins put there."""
    n = float(len(one))
    observed, by_chance = 0.0, 0.0
    for status in set(one) | set(other):
        observed += sum(1 for a, b in zip(one, other, strict=True) if a == status and b == status) / n
        by_chance += (sum(1 for a in one if a == status) / n) * (sum(1 for b in other if b == status) / n)
    return (observed - by_chance) / (1 - by_chance)


def slow_alpha(judged):
    """Mean disagreement of pairs within a text, over that of pairs among all values, each pair looked at."""
    units = [values for values in judged if len(values) > 1]
    everything = [value for values in units for value in values]
    within = 0.0
    for values in units:
        for a, b in itertools.permutations(values, 2):
            within += (a != b) / (len(values) - 1)
    among = [a != b for a, b in itertools.permutations(everything, 2)]
    return 1 - (within / len(everything)) / (sum(among) / len(among))


def drawn(seed, num_people, num_texts):
    """Judgements that agree more often than chance, with gaps."""
    random.seed(seed)
    texts = []
    for _ in range(num_texts):
        truth = random.choice(STATUSES)
        said = [truth if random.random() < 0.6 else random.choice(STATUSES) for _ in range(num_people)]
        texts.append([value for value in said if random.random() < 0.8])
    return texts


@pytest.mark.parametrize("seed", range(8))
def test_kappa_is_what_the_table_says(seed):
    random.seed(seed)
    one = random.choices(STATUSES, (5, 2, 1), k=40)
    other = [a if random.random() < 0.7 else random.choice(STATUSES) for a in one]
    assert cohen_kappa(one, other) == pytest.approx(slow_kappa(one, other), abs=1e-12)
    assert percent_agreement(one, other) == pytest.approx(
        100 * len([1 for place in range(40) if one[place] == other[place]]) / 40
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("num_people", [2, 3, 5])
def test_alpha_is_what_the_pairs_say(seed, num_people):
    judged = drawn(seed, num_people, 30)
    assert krippendorff_alpha(judged) == pytest.approx(slow_alpha(judged), abs=1e-12)


def test_the_worked_example_of_the_literature():
    """Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C: nominal data, 0.743."""
    people = (
        (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
        (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
    )
    judged = [[value for value in values if value is not None] for values in zip(*people, strict=True)]
    assert krippendorff_alpha(judged) == pytest.approx(0.743, abs=5e-4)


def test_who_always_agrees_has_one_and_who_never_does_has_less_than_chance():
    assert cohen_kappa(["kept", "flagged"], ["kept", "flagged"]) == 1
    assert krippendorff_alpha([["kept", "kept"], ["flagged", "flagged"]]) == 1
    assert cohen_kappa(["kept", "flagged"], ["flagged", "kept"]) == -1
    assert krippendorff_alpha([["kept", "flagged"], ["flagged", "kept"]]) == pytest.approx(-0.5)


def test_where_only_one_thing_was_said_there_is_no_chance_to_compare_with():
    assert cohen_kappa(["kept"] * 3, ["kept"] * 3) is None
    assert krippendorff_alpha([["kept", "kept"], ["kept", "kept", "kept"]]) is None
    assert krippendorff_alpha([["kept"], ["flagged"], []]) is None


@pytest.mark.parametrize(("one", "other"), [([], []), (["kept"], ["kept", "kept"])])
def test_texts_that_only_one_judged_are_refused(one, other):
    with pytest.raises(DataError, match="agreement is about texts that both judged"):
        cohen_kappa(one, other)
    with pytest.raises(DataError, match="agreement is about texts that both judged"):
        percent_agreement(one, other)
