import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.errors import ConfigError, DataError
from lorif_core.metrics.detection import auc, precision_at_k

items = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=15)


@given(items.filter(lambda pairs: len({flag for _, flag in pairs}) == 2))
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs):
    wins = [
        1.0 if positive > negative else 0.5 if positive == negative else 0.0
        for positive, flag in pairs
        if flag
        for negative, other in pairs
        if not other
    ]
    scores = torch.tensor([float(score) for score, _ in pairs])
    got = auc(scores, torch.tensor([flag for _, flag in pairs]))
    assert got == pytest.approx(sum(wins) / len(wins), abs=1e-12)


@pytest.mark.parametrize("flag", [True, False])
def test_auc_without_both_kinds_is_refused(flag):
    with pytest.raises(DataError, match="both must be there"):
        auc(torch.arange(3.0), torch.full((3,), flag))


@pytest.mark.parametrize(("k", "expected"), [(1, 1.0), (2, 0.5), (3, 2 / 3), (4, 0.5)])
def test_precision_is_the_share_of_positives_among_the_first_k(k, expected):
    scores = torch.tensor([0.1, 0.9, 0.5, 0.3])
    is_positive = torch.tensor([False, True, False, True])
    assert precision_at_k(scores, is_positive, k) == pytest.approx(expected)


def test_k_beyond_the_items_is_refused():
    with pytest.raises(ConfigError, match="k must be between 1 and the 2"):
        precision_at_k(torch.zeros(2), torch.tensor([True, False]), 3)


@pytest.mark.usefixtures("unchecked_types")
def test_flags_that_do_not_fit_the_scores_are_refused():
    with pytest.raises(DataError, match="every score needs one true or false"):
        precision_at_k(torch.zeros(2), torch.tensor([True]), 1)
