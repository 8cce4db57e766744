"""The score that knows no model: target tokens in common, each ÷ the number of texts that predict it."""

import pytest
import torch
from tiny_models import example_of

from lorif_core.methods.references.shared_tokens import shared_token_scores

TEXTS = [
    example_of([9, 1, 1, 2], [False, True, True, True]),
    example_of([9, 1, 3], [False, True, True]),
    example_of([9, 3, 3, 7], [False, True, True, False]),
    example_of([1, 2], [False, False]),
]


def slow_scores(queries, texts):
    """Over every pair of equal targets of a query and a text: 1 ÷ the number of texts with that target."""

    def targets(text):
        return [token for token, is_target in zip(text.input_ids, text.is_target, strict=True) if is_target]

    return [
        [
            sum(
                1 / sum(token in targets(other) for other in texts)
                for token in targets(query)
                for found in targets(text)
                if token == found
            )
            for text in texts
        ]
        for query in queries
    ]


def test_shared_tokens_are_counted_over_pairs_and_divided_by_their_texts():
    query = example_of([9, 1, 2, 1], [False, True, True, True])
    # 1 is a target of 2 texts, 2 of one: 2·2/2 + 1·1/1, 2·1/2, nothing, nothing.
    assert shared_token_scores([query], TEXTS).tolist() == [[3.0, 1.0, 0.0, 0.0]]


def test_scores_equal_the_loop_over_all_pairs_of_targets(rng):
    def drawn(count):
        ids = torch.randint(12, (count, 9), generator=rng).tolist()
        masks = (torch.rand(count, 9, generator=rng) < 0.6).tolist()
        return [example_of(one, [False, *mask[1:]]) for one, mask in zip(ids, masks, strict=True)]

    queries, texts = drawn(5), drawn(20)
    expected = torch.tensor(slow_scores(queries, texts), dtype=torch.float64)
    torch.testing.assert_close(shared_token_scores(queries, texts), expected)


def test_a_token_that_no_text_predicts_shares_nothing():
    assert shared_token_scores([example_of([9, 8], [False, True])], TEXTS).abs().sum() == 0


def test_a_preference_pair_counts_its_rejected_side_against_it():
    chosen, rejected = TEXTS[0], TEXTS[1]._replace(weight=-1.0)
    query = example_of([9, 1, 3], [False, True, True])
    (row,) = shared_token_scores([query], [(chosen, rejected), TEXTS[2]]).tolist()
    # 1: twice chosen, once rejected, in one text of two; 3: once rejected there, twice in the other.
    assert row == pytest.approx([(2 - 1) / 1 - 1 / 2, 2 / 2])
