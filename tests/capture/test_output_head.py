"""An output head that is tracked as one: Σ_t h_t (p_t - onehot(y_t))ᵀ, whatever shares its weights."""

import pytest
import torch
from captures import captured
from oracles import close, weight_gradients
from tiny_models import random_examples, tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.capture.probe import probe_modules
from lorif_core.data.batches import pad_batch
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import HEAD_ALPHA, whitened_maps
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.second_moments import add_moments, empty_moments
from lorif_core.shapes import Tracked

EXAMPLES = random_examples([9, 4, 12, 6, 3], seed=7)
WITH_HEAD = Tracked(attention=False, head=True)
ARCHITECTURES = ["gpt2", "llama", "llama_tied"]
FLOAT32 = 2e-5


def head_of(model):
    (shape,) = [one for one in tracked_shapes(list_modules(model, default=WITH_HEAD), 1) if one.form == "columns"]
    return shape


def states_and_errors(model, example):
    """Last hidden states h (T, d) and p - onehot(y) (T, V) at the places that predict a target, float64."""
    ids = torch.tensor(example.input_ids)
    with torch.no_grad():
        outputs = model.double()(input_ids=ids[None], output_hidden_states=True)
    errors = outputs.logits[0].softmax(1)[:-1]
    errors[torch.arange(len(ids) - 1), ids[1:]] -= 1
    targets = torch.tensor(example.is_target[1:])
    return outputs.hidden_states[-1][0][:-1][targets], errors[targets]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradient_is_that_of_the_heads_own_use(architecture):
    model = tiny_model(architecture)
    shape = head_of(model)
    maps = {shape.name: ModuleMaps(None, torch.ones(shape.out_features))}
    found = captured(model, maps, EXAMPLES)[shape.name]
    oracle = tiny_model(architecture)
    pairs = [states_and_errors(oracle, example) for example in EXAMPLES]
    close(found, torch.stack([states.T @ errors for states, errors in pairs]), relative=FLOAT32)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_trial_finds_nothing_wrong_with_it(architecture):
    model = tiny_model(architecture)
    shape = head_of(model)
    assert probe_modules(model, [shape.name], pad_batch(EXAMPLES[:2], 1), heads={shape.name}) == {}
    assert model.get_output_embeddings().weight is tiny_tie(model, architecture)


def test_named_by_a_pattern_for_another_method_a_tied_head_is_all_uses_of_its_weight():
    model = tiny_model("llama_tied")
    (shape,) = tracked_shapes(list_modules(model, include=("lm_head",)), 1)
    assert (shape.name, shape.form) == ("lm_head", "factors")
    found = captured(model, {shape.name: ModuleMaps(None, None)}, EXAMPLES[:1])[shape.name]
    expected = weight_gradients(tiny_model("llama_tied"), ["lm_head"], EXAMPLES[0].input_ids, EXAMPLES[0].is_target)
    close(found[0], expected["lm_head"], relative=FLOAT32)


def tiny_tie(model, architecture):
    """The parameter that the head has to hold after a trial."""
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    return head if architecture == "llama" else embedding


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tokens_per_batch", [1, 10_000])
def test_its_moments_are_a_matrix_of_states_and_a_diagonal_of_errors(architecture, tokens_per_batch):
    model = tiny_model(architecture)
    shape = head_of(model)
    moments = empty_moments([shape])
    with frozen(model):
        add_moments(model, moments, EXAMPLES, pad_id=1, tokens_per_batch=tokens_per_batch)
    oracle, found = tiny_model(architecture), moments[shape.name]
    pairs = [states_and_errors(oracle, example) for example in EXAMPLES]
    states, errors = (torch.cat(side) for side in zip(*pairs, strict=True))
    close(found.inputs, states.T @ states, relative=FLOAT32)
    close(found.output_grads, errors.square().sum(0), relative=FLOAT32)
    assert found.num_tokens == sum(len(one.input_ids) for one in EXAMPLES)
    assert found.num_inputs == len(states)


def test_the_product_of_two_whitened_gradients_is_their_influence():
    model = tiny_model("llama")
    shape = head_of(model)
    moments = empty_moments([shape])
    with frozen(model):
        add_moments(model, moments, EXAMPLES, pad_id=1, tokens_per_batch=10_000)
    maps = whitened_maps(shape, moments[shape.name], alpha=0.003, seed=0)
    one, other = captured(model, {shape.name: maps}, EXAMPLES)[shape.name][:2].double()
    oracle = tiny_model("llama")
    pairs = [states_and_errors(oracle, example) for example in EXAMPLES]
    states, errors = (torch.cat(side) for side in zip(*pairs, strict=True))
    num_tokens = sum(len(example.input_ids) for example in EXAMPLES)
    left, diagonal = states.T @ states / len(states), errors.square().sum(0) / num_tokens
    left = left + HEAD_ALPHA * left.diagonal().mean() * torch.eye(len(left), dtype=left.dtype)
    right = torch.diag(diagonal + HEAD_ALPHA * diagonal.mean())
    whole = [x.T @ y for x, y in pairs[:2]]
    influence = (torch.linalg.solve(left, whole[0]) @ torch.linalg.inv(right) * whole[1]).sum()
    close((one * other).sum(), influence, relative=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_tracked_where_a_method_asks_and_no_pattern_says_otherwise(architecture):
    model = tiny_model(architecture)

    def names(**patterns):
        return {one.name for one in list_modules(model, default=WITH_HEAD, **patterns) if one.is_tracked}

    everything = {one.name for one in list_modules(model) if one.is_tracked}
    assert "lm_head" in names()
    assert "lm_head" not in everything
    assert not any("attn" in name for name in names())
    assert names() - {"lm_head"} == {name for name in everything if "attn" not in name}
    assert names(exclude=("lm_head",)) == names() - {"lm_head"}
    assert names(include=("*attn*",)) == {name for name in everything if "attn" in name}
    assert names(include=("*",)) == everything | {"lm_head"}
