"""Capture against one backward pass per example with the weights as leaves, over the architectures people have."""

import pytest
import torch
from architectures import CONFIGS, one_layer_model
from captures import captured
from oracles import close, weight_gradients
from tiny_models import random_examples

from lorif_core.capture.probe import probe_modules
from lorif_core.data.batches import pad_batch
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.models.modules import list_modules

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
