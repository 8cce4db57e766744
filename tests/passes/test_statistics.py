"""The statistics pass against one unbatched forward and backward per example."""

import pytest
import torch
from oracles import close, second_moments
from tiny_models import random_examples, tiny_model
from torch import nn

from lorif_core.capture.hooks import frozen
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.second_moments import add_moments, empty_moments, sample_positions
from lorif_core.shapes import ModuleShape

FLOAT32 = 2e-5
"""Sums of some hundred products in float32 (2⁻²⁴ each); the rotary families round in float32 inside, too."""

EXAMPLES = random_examples([9, 3, 12, 6, 2, 7, 12, 5], seed=4)
NUM_TOKENS = 56


def shapes_of(model):
    return tracked_shapes(list_modules(model), 1)


def summed(model, examples, *, tokens_per_batch=24, shapes=None, pad_id=1, groups=1):
    shapes = shapes or shapes_of(model)
    moments = empty_moments(shapes)
    step = -(-len(examples) // groups)
    with frozen(model):
        for start in range(0, len(examples), step):
            part = examples[start : start + step]
            add_moments(model, moments, part, pad_id=pad_id, tokens_per_batch=tokens_per_batch)
    return moments


def sequences(examples):
    return [(one.input_ids, one.is_target) for one in examples]


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, (inputs, output_grads, count) in wanted.items():
        close(found[name].inputs, inputs, relative=FLOAT32)
        close(found[name].output_grads, output_grads, relative=FLOAT32)
        assert found[name].num_tokens == count, name


def as_tuples(moments):
    return {name: (one.inputs, one.output_grads, one.num_tokens) for name, one in moments.items()}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_sums_are_those_of_every_token_of_one_pass_per_example(architecture):
    model = tiny_model(architecture)
    names = [shape.name for shape in shapes_of(model)]
    assert_same(summed(model, EXAMPLES), second_moments(tiny_model(architecture), names, sequences(EXAMPLES)))


@pytest.mark.parametrize("tokens_per_batch", [1, 12, 31, 10_000])
def test_the_batch_budget_changes_nothing(tokens_per_batch):
    model = tiny_model("llama")
    found = summed(model, EXAMPLES, tokens_per_batch=tokens_per_batch)
    assert_same(found, as_tuples(summed(model, EXAMPLES)))


def test_the_padding_token_changes_nothing():
    model = tiny_model("gpt2")
    found = summed(model, EXAMPLES, tokens_per_batch=10_000, pad_id=40)
    assert_same(found, as_tuples(summed(model, EXAMPLES, tokens_per_batch=10_000, pad_id=1)))


def test_several_groups_of_examples_add_up():
    model = tiny_model("gpt2")
    assert_same(summed(model, EXAMPLES, groups=3), as_tuples(summed(model, EXAMPLES)))


def test_only_real_tokens_are_counted_and_prompts_are_among_them():
    assert sum(len(one.input_ids) for one in EXAMPLES) == NUM_TOKENS
    counts = {one.num_tokens for one in summed(tiny_model("gpt2"), EXAMPLES, tokens_per_batch=10_000).values()}
    assert counts == {NUM_TOKENS}


def test_an_example_without_targets_adds_its_inputs_and_no_gradient():
    model = tiny_model("gpt2")
    silent = [one._replace(is_target=[False] * len(one.input_ids)) for one in EXAMPLES]
    found = summed(model, silent)
    assert len(found) == len(shapes_of(model)) == 8
    for one in found.values():
        assert one.num_tokens == NUM_TOKENS
        assert bool((one.output_grads == 0).all())
        assert float(one.inputs.trace()) > 0


class Logits:
    def __init__(self, logits):
        self.logits = logits


class Twice(nn.Module):
    """Uses one linear map twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(64, 8)
        self.shared = nn.Linear(8, 8)
        self.head = nn.Linear(8, 64)

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, attention_mask=None, use_cache=False):
        return Logits(self.head(self.shared(torch.tanh(self.shared(self.embed(input_ids))))))


def test_both_calls_of_a_shared_module_are_counted():
    shapes = [ModuleShape("shared", 8, 8, 8, 8), ModuleShape("head", 8, 64, 8, 64)]
    with torch.random.fork_rng(devices=[]):
        model = Twice().double()
    found = summed(model, EXAMPLES, shapes=shapes, tokens_per_batch=10_000)
    assert (found["shared"].num_tokens, found["head"].num_tokens) == (2 * NUM_TOKENS, NUM_TOKENS)
    assert_same(found, second_moments(model, ["shared", "head"], sequences(EXAMPLES)))


@pytest.mark.parametrize(("num_examples", "size"), [(5, 5), (5, 6), (1, 1), (0, 3)])
def test_a_small_set_is_sampled_whole(num_examples, size):
    assert sample_positions(num_examples, size, seed=0) == list(range(num_examples))


def test_a_sample_is_sorted_without_repeats_and_within_the_set():
    found = sample_positions(1000, 50, seed=0)
    assert found == sorted(set(found))
    assert len(found) == 50
    assert 0 <= found[0] <= found[-1] < 1000


def test_a_sample_is_repeatable_and_depends_on_the_seed():
    torch.manual_seed(1)
    first = sample_positions(1000, 50, seed=3)
    torch.manual_seed(2)
    assert sample_positions(1000, 50, seed=3) == first
    assert sample_positions(1000, 50, seed=4) != first


def test_a_sample_is_spread_over_the_whole_set():
    counts = torch.histc(torch.tensor(sample_positions(10_000, 1000, seed=0)).float(), bins=10, min=0, max=10_000)
    assert bool(((counts - 100).abs() < 50).all())  # five standard deviations
