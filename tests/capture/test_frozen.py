import pytest
import torch
from captures import captured, maps_of, state_of
from tiny_models import random_examples, tiny_model, with_checkpointing

from lorif_core.capture.hooks import capture_gradients, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch

EXAMPLES = random_examples([7, 4])


def mixed_model(architecture="llama"):
    """Some submodules train and some parameters are frozen, so that a blanket restore would show."""
    model = tiny_model(architecture).train()
    for position, module in enumerate(model.modules()):
        module.training = position % 3 != 0
    for position, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(position % 2 == 0)
    return model


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "llama_lora"])
def test_capturing_leaves_the_model_as_it_was_found(architecture):
    model = mixed_model(architecture)
    before = state_of(model)
    captured(model, maps_of(model, 4), EXAMPLES)
    assert state_of(model) == before


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_capturing_a_checkpointed_model_leaves_it_as_it_was_found(use_reentrant):
    model = with_checkpointing(mixed_model(), use_reentrant=use_reentrant)
    before = state_of(model)
    captured(model, maps_of(model, 4), EXAMPLES)
    assert state_of(model) == before


@pytest.mark.parametrize("use_reentrant", [None, True, False])
def test_an_error_in_the_sink_leaves_the_model_as_it_was_found(use_reentrant):
    model = mixed_model()
    if use_reentrant is not None:
        with_checkpointing(model, use_reentrant=use_reentrant)
    before = state_of(model)
    handed_over = []

    def sink(name, gradient):
        handed_over.append(name)
        if len(handed_over) == 3:
            raise KeyError("the sink failed")

    with pytest.raises(KeyError, match="the sink failed"), frozen(model):
        capture_gradients(model, maps_of(model, 4), pad_batch(EXAMPLES, 1), summed_cross_entropy, sink)
    assert state_of(model) == before


def test_a_capture_after_one_that_failed_gives_the_same_gradients():
    model = tiny_model("llama")
    maps = maps_of(model, 4)
    wanted = captured(model, maps, EXAMPLES)

    def failing(name, gradient):
        raise KeyError(name)

    with pytest.raises(KeyError), frozen(model):
        capture_gradients(model, maps, pad_batch(EXAMPLES, 1), summed_cross_entropy, failing)
    found = captured(model, maps, EXAMPLES)
    assert all(torch.equal(found[name], wanted[name]) for name in maps)


def test_inside_frozen_no_parameter_needs_a_gradient_and_nothing_trains():
    model = mixed_model()
    assert any(parameter.requires_grad for parameter in model.parameters())
    assert any(module.training for module in model.modules())
    with frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not any(module.training for module in model.modules())


def test_no_weight_gradient_is_formed():
    model = tiny_model("llama")
    names = []

    def sink(name, gradient):
        names.append(name)
        assert all(parameter.grad is None for parameter in model.parameters())

    with frozen(model):
        capture_gradients(model, maps_of(model, 4), pad_batch(EXAMPLES, 1), summed_cross_entropy, sink)
        assert all(parameter.grad is None for parameter in model.parameters())
    assert len(names) == 14


def test_modules_are_handed_over_in_the_order_of_the_backward_pass():
    model = tiny_model("llama")
    layers = [int(name.split(".")[2]) for name in captured(model, maps_of(model, 4), EXAMPLES)]
    assert layers == sorted(layers, reverse=True)


def test_capturing_works_inside_no_grad_and_does_not_enable_gradients_outside():
    model = tiny_model("llama")
    wanted = captured(model, maps_of(model, 4), EXAMPLES)
    with torch.no_grad():
        found = captured(model, maps_of(model, 4), EXAMPLES)
        assert not torch.is_grad_enabled()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
