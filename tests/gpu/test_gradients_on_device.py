"""Gradients captured on a device against one backward pass per example on the CPU."""

from functools import cache

import pytest
import torch
from captures import captured, maps_of, state_of
from devices import BFLOAT16, CASES, FLOAT32, distance, float32_maps, model_on, oracle_model
from oracles import close, projected_gradients
from tiny_models import ARCHITECTURES, TOLERANCE, random_examples, with_checkpointing

from lorif_core.capture.hooks import capture_gradients, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch

pytestmark = pytest.mark.gpu

EXAMPLES = random_examples([9, 3, 13, 6])
"""Shorter and longer than min(d_in, d_out) of the projected modules, so both forms of a gradient occur."""

F = 4


@cache
def expected(architecture, precision="widest"):
    """Per module, the projected gradients of all examples, on the CPU in the widest dtype."""
    model = oracle_model(architecture, precision)
    return projected_gradients(model, maps_of(model, F), [(one.input_ids, one.is_target) for one in EXAMPLES])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_in_the_widest_dtype_are_those_of_one_backward_per_example(architecture, device):
    model = model_on(device, architecture, "widest")
    found = captured(model, maps_of(model, F), EXAMPLES)
    wanted = expected(architecture)
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        assert gradient.device.type == device.type
        close(gradient, wanted[name], relative=TOLERANCE[architecture])


@pytest.mark.parametrize(("architecture", "precision"), CASES)
def test_gradients_in_fewer_bits_are_as_close_as_their_dtype_allows(architecture, precision, device):
    model = model_on(device, architecture, precision)
    found = captured(model, float32_maps(model, F), EXAMPLES)
    wanted = expected(architecture, precision)
    assert found.keys() == wanted.keys()
    tolerance = FLOAT32 if precision == "float32" else BFLOAT16[architecture]
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32
        assert distance(gradient, wanted[name]) <= tolerance, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_neither_padding_nor_order_nor_company_changes_a_gradient(architecture, device):
    model = model_on(device, architecture, "float32")
    maps = float32_maps(model, F)
    found = captured(model, maps, EXAMPLES)
    left = captured(model, maps, EXAMPLES, padding_side="left")
    backwards = captured(model, maps, EXAMPLES[::-1])
    alone = [captured(model, maps, [example]) for example in EXAMPLES]
    assert len(found) > 3
    for name, gradient in found.items():
        close(left[name], gradient, relative=FLOAT32)
        close(backwards[name].flip(0), gradient, relative=FLOAT32)
        # An expert that no token of an example was routed to is not handed over.
        rows = [one.get(name, torch.zeros_like(gradient[:1])) for one in alone]
        close(torch.cat(rows), gradient, relative=FLOAT32)


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_gradient_checkpointing_changes_no_gradient(architecture, use_reentrant, device):
    model = with_checkpointing(model_on(device, architecture, "widest"), use_reentrant=use_reentrant)
    found = captured(model, maps_of(model, F), EXAMPLES)
    assert found.keys() == expected(architecture).keys()
    for name, wanted in expected(architecture).items():
        close(found[name], wanted, relative=TOLERANCE[architecture])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_capturing_leaves_the_model_as_it_was_found(architecture, device):
    model = model_on(device, architecture, "autocast").train()
    before = state_of(model)
    captured(model, float32_maps(model, F), EXAMPLES)
    assert state_of(model) == before


def test_memory_that_runs_out_is_reported_and_leaves_the_model_as_it_was_found(device):
    model = model_on(device, "llama", "widest")
    maps = maps_of(model, F)
    wanted = captured(model, maps, EXAMPLES)
    before = state_of(model)
    sizes = []

    def take_too_much(name, gradient):
        sizes.append(gradient.dense().shape)
        if len(sizes) == 3:
            torch.empty(1 << 50, device=device)

    out_of_memory = torch.OutOfMemoryError if device.type == "cuda" else RuntimeError
    with pytest.raises(out_of_memory, match="allocate"), frozen(model):
        capture_gradients(model, maps, pad_batch(EXAMPLES, 1), summed_cross_entropy, take_too_much)
    assert len(sizes) == 3
    assert state_of(model) == before
    for name, gradient in captured(model, maps, EXAMPLES).items():
        close(gradient, wanted[name], relative=1e-12)
