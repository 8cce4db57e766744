import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import example_of

from lorif_core.data.batches import pad_batch, plan_batches

lengths_strategy = st.lists(st.integers(1, 50), max_size=40)


@given(lengths_strategy, st.integers(1, 200))
def test_every_position_is_in_exactly_one_batch(lengths, budget):
    batches = plan_batches(lengths, budget)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths_strategy, st.integers(1, 200))
def test_padded_batches_stay_within_the_budget_unless_one_sequence_exceeds_it(lengths, budget):
    batches = plan_batches(lengths, budget)
    assert bool(batches) == bool(lengths)
    for batch in batches:
        assert len(batch) * max(lengths[position] for position in batch) <= budget or len(batch) == 1


@given(lengths_strategy, st.integers(1, 200))
def test_batches_come_longest_first(lengths, budget):
    order = [lengths[position] for batch in plan_batches(lengths, budget) for position in batch]
    assert order == sorted(lengths, reverse=True)


@given(lengths_strategy, st.integers(1, 200))
def test_no_batch_could_take_in_the_next_sequence(lengths, budget):
    batches = plan_batches(lengths, budget)
    assert sum(map(len, batches)) == len(lengths)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * max(lengths[position] for position in batch) > budget


def test_equal_lengths_keep_their_order():
    assert plan_batches([3, 5, 3, 5], 10) == [[1, 3], [0, 2]]


EXAMPLES = [example_of([5, 6, 7], [False, False, True]), example_of([8], [False]), example_of([9, 4], [False, True])]


def test_right_padding_follows_the_tokens():
    batch = pad_batch(EXAMPLES, 1)
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 1, 1], [9, 4, 1]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert batch.target_mask.int().tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_left_padding_goes_before_the_tokens():
    batch = pad_batch(EXAMPLES, 1, padding_side="left")
    assert batch.input_ids.tolist() == [[5, 6, 7], [1, 1, 8], [1, 9, 4]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [0, 0, 1], [0, 1, 1]]
    assert batch.target_mask.int().tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_a_padded_batch_has_the_dtypes_that_a_model_reads(padding_side):
    batch = pad_batch(EXAMPLES, 1, padding_side=padding_side)
    assert [part.dtype for part in batch] == [torch.int64, torch.int64, torch.bool]


@given(lengths_strategy, st.integers(1, 200), st.lists(st.integers(1, 50), max_size=3))
def test_no_batch_holds_sequences_on_both_sides_of_a_boundary(lengths, budget, boundaries):
    batches = plan_batches(lengths, budget, boundaries)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        for boundary in boundaries:
            assert len({lengths[position] > boundary for position in batch}) == 1
