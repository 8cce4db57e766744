"""Texts with weights: their gradients are those of Σ w L by autograd in float64, and moments know no weights."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import EXACT, LOGRA, oracle_model, source_of
from oracles import close, project
from tiny_models import random_examples, tiny_tokenizer

from lorif_core.capture.hooks import frozen
from lorif_core.data.encoding import Encoder
from lorif_core.data.example import Example
from lorif_core.data.sequences import cut_windows, has_targets, sequences_of
from lorif_core.passes.second_moments import add_moments, empty_moments
from lorif_core.passes.shards import build_shard
from lorif_core.store.blocks import decode_block

LONG, SHORT, CHOSEN, REJECTED = random_examples([23, 7, 9, 6], seed=8)
TEXTS = [
    (SHORT,),
    cut_windows(LONG.input_ids, LONG.is_target, 8, 6),
    (CHOSEN, REJECTED._replace(weight=-1.0, is_rejected=True)),
]
weights = st.floats(-8, 8).filter(lambda weight: weight == 0 or abs(weight) > 1e-3)


def weighed(text, weight):
    return tuple(one._replace(weight=one.weight * weight) for one in sequences_of(text))


def stored(texts):
    """Per module, the stored gradients (n, d_in, d_out), of float32."""
    source = source_of(LOGRA, EXACT)
    with frozen(source.model):
        shard = build_shard(source, texts)
    return {
        module.name: decode_block(shard.tensors, module, EXACT, LOGRA.feature.layout).dense()
        for module in source.modules
    }


def by_autograd(texts, own_weights):
    """Per module, the projected gradient of Σ_n w_n L_n, one backward in float64."""
    model, maps = deepcopy(oracle_model()).double().requires_grad_(True), source_of(LOGRA).maps
    total = torch.zeros((), dtype=torch.float64)
    for text, weight in zip(texts, own_weights, strict=True):
        for one in text:
            ids = torch.tensor([one.input_ids])
            log_probs = torch.log_softmax(model(input_ids=ids).logits[0].double(), -1)
            losses = [-log_probs[t - 1, one.input_ids[t]] for t, is_target in enumerate(one.is_target) if is_target]
            total = total + weight * (-1 if one.is_rejected else 1) * torch.stack(losses).sum()
    total.backward()
    found = {}
    for name, own in maps.items():
        module = model.get_submodule(name)
        gradient = module.weight.grad
        is_out_first = isinstance(module, torch.nn.Linear)
        found[name] = project(gradient.T if is_out_first else gradient, own.input_map, own.output_map)
    return found


@settings(max_examples=12, deadline=None)
@given(own=st.tuples(weights, weights, weights))
def test_what_is_stored_adds_up_to_the_gradient_of_the_weighted_sum(own):
    found = stored([weighed(text, weight) for text, weight in zip(TEXTS, own, strict=True)])
    sizes = stored(TEXTS)
    assert len(sizes) == 7
    for name, wanted in by_autograd(TEXTS, own).items():
        scale = sum(abs(weight) * sizes[name][place].abs().max() for place, weight in enumerate(own))
        assert (found[name].double().sum(0) - wanted).abs().max() <= 1e-5 * float(scale) + 1e-12


@settings(max_examples=12, deadline=None)
@given(weight=weights)
def test_a_weight_multiplies_the_gradient_of_its_text_and_of_no_other(weight):
    plain, found = stored(TEXTS), stored([TEXTS[0], weighed(TEXTS[1], weight), TEXTS[2]])
    assert len(found) == 7
    for name in plain:
        close(found[name][1], weight * plain[name][1], relative=2e-6)
        close(found[name][0], plain[name][0], relative=2e-6)
        close(found[name][2], plain[name][2], relative=2e-6)


def test_a_text_of_weight_0_has_no_gradient_and_one_of_weight_minus_1_the_opposite_one():
    plain, found = stored(TEXTS), stored([weighed(TEXTS[0], 0.0), weighed(TEXTS[1], -1.0), TEXTS[2]])
    assert not has_targets(weighed(TEXTS[0], 0.0))
    for name in plain:
        assert not found[name][0].any()
        close(found[name][1], -plain[name][1], relative=1e-6)


def test_the_moments_of_weighted_texts_are_those_of_the_texts():
    source = source_of(LOGRA)
    found = []
    for own in ([1.0, 1.0, 1.0], [0.0, -3.5, 0.25]):
        moments = empty_moments(source.modules)
        with frozen(source.model):
            texts = [weighed(text, weight) for text, weight in zip(TEXTS, own, strict=True)]
            add_moments(source.model, moments, texts, pad_id=0, tokens_per_batch=64)
        found.append(moments)
    assert found[0]
    for name, one in found[0].items():
        assert torch.equal(one.inputs, found[1][name].inputs)
        assert torch.equal(one.output_grads, found[1][name].output_grads)
        assert one.output_grads.any()


@pytest.mark.parametrize("weight", [0.0, -2.0, 0.5])
def test_an_encoder_gives_every_sequence_the_weight_of_its_text(weight):
    encoder = Encoder(tiny_tokenizer(), 64)
    example = Example("a", prompt="the", completion=" cat", rejected=" dog", weight=weight)
    chosen, rejected = encoder.encode_windows(example)
    plain = encoder.encode_windows(example._replace(weight=1.0))
    assert (chosen.weight, rejected.weight, rejected.is_rejected) == (weight, -weight, True)
    assert [one._replace(weight=1.0) for one in (chosen, rejected)] == [one._replace(weight=1.0) for one in plain]
