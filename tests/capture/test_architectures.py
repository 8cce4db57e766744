"""Capture against one backward pass per example with the weights as leaves, over the architectures people have."""

import gc

import pytest
import torch
from architectures import CONFIGS, one_layer_model
from captures import captured
from oracles import close, project, weight_gradients
from tiny_models import random_examples

from lorif_core.capture.probe import probe_modules
from lorif_core.data.batches import pad_batch
from lorif_core.linalg.maps import ModuleMaps, random_maps
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.weights import locate_weight

EXAMPLES = [
    one._replace(input_ids=[2 + token % 46 for token in one.input_ids]) for one in random_examples([7, 4], seed=2)
]

READ_APART = "its weights are read without a call that can be watched: this influence is missing"
LEFT_OUT = {
    "mamba": {"backbone.layers.0.mixer.dt_proj": READ_APART},
    "jamba": {"model.layers.0.mamba.dt_proj": READ_APART},
    # In evaluation mode the weights of the two experts are constants of the routing.
    "phimoe": {"model.layers.0.mlp.router": "never called, or no gradient reaches it"},
}


@pytest.mark.parametrize("family", CONFIGS)
def test_what_is_captured_is_the_gradient_of_the_weight(family):
    model = one_layer_model(family)
    names = [entry.name for entry in list_modules(model) if entry.is_tracked]
    reasons = probe_modules(model, names, pad_batch(EXAMPLES, 1))
    assert reasons == LEFT_OUT.get(family, {})
    maps = {name: ModuleMaps(None, None) for name in names if name not in reasons}
    found = captured(model, maps, EXAMPLES)
    for row, example in enumerate(EXAMPLES):
        for name, wanted in weight_gradients(model, maps, example.input_ids, example.is_target).items():
            got = found[name][row] if name in found else torch.zeros_like(wanted)
            close(got, wanted, relative=1e-5)


SPECIAL = [
    "llama", "gpt2", "gemma2", "gemma3n", "opt", "bloom", "gpt_oss", "mixtral", "cohere", "mamba2", "zamba2",
]  # fmt: skip


@pytest.mark.parametrize("keeps_tokens", [False, True])
@pytest.mark.parametrize("family", SPECIAL)
def test_embeddings_head_norms_and_routers_can_be_tracked(family, keeps_tokens):
    model = one_layer_model(family)
    special = tuple(one.name for one in list_modules(model) if one.in_features is not None and not one.is_tracked)
    shapes = tracked_shapes(list_modules(model, include=special), 3)
    assert {"norm", "embedding"} <= {locate_weight(model, shape.name).kind for shape in shapes}
    assert not probe_modules(model, [shape.name for shape in shapes], pad_batch(EXAMPLES, 1))
    maps = {one.name: random_maps(one, f=3, seed=1) for one in shapes}
    found = captured(model, maps, EXAMPLES, keeps_tokens=keeps_tokens)
    for row, example in enumerate(EXAMPLES):
        for name, wanted in weight_gradients(model, maps, example.input_ids, example.is_target).items():
            close(found[name][row], project(wanted, maps[name].input_map, maps[name].output_map), relative=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "mamba2"])
def test_nothing_of_a_batch_stays_in_memory(family, seen_outputs):
    model = one_layer_model(family)
    names = [one.name for one in list_modules(model) if one.in_features is not None]
    reasons = probe_modules(model, names, pad_batch(EXAMPLES, 1))
    captured(model, {name: ModuleMaps(None, None) for name in names if name not in reasons}, EXAMPLES)
    gc.collect()
    assert seen_outputs
    assert [one for one in seen_outputs if one() is not None] == []
