import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.metrics.retrieval import recall_at_k, reciprocal_rank

RANKING = ["d", "a", "c", "b"]


@pytest.mark.parametrize(
    ("k", "relevant", "expected"),
    [
        (0, {"d"}, 0),
        (1, {"d"}, 1),
        (1, {"d", "a"}, 0.5),
        (2, {"a", "b"}, 0.5),
        (4, {"a", "x"}, 0.5),
        (9, {"a", "b"}, 1),
    ],
)
def test_recall_is_the_share_of_relevant_ids_among_the_first_k(k, relevant, expected):
    assert recall_at_k(RANKING, relevant, k) == expected


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1))
def test_recall_never_falls_with_k_and_ends_at_one(ranking, relevant):
    names = [str(one) for one in ranking]
    recalls = [recall_at_k(names, {str(one) for one in relevant}, k) for k in range(9)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1


def test_recall_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one relevant id"):
        recall_at_k(RANKING, set(), 3)


@pytest.mark.parametrize(("relevant", "expected"), [({"d"}, 1), ({"c"}, 1 / 3), ({"b", "c"}, 1 / 3), ({"x"}, 0)])
def test_the_reciprocal_rank_is_that_of_the_first_relevant_id(relevant, expected):
    assert reciprocal_rank(RANKING, relevant) == expected
