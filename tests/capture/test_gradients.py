from functools import cache

import pytest
import torch
from captures import captured, maps_of
from oracles import close, example_loss, example_margin, project, weight_gradients
from tiny_models import ARCHITECTURES, TOLERANCE, gpt2_config, random_examples, tiny_model, with_checkpointing
from torch import nn
from transformers import AutoModelForCausalLM

from lorif_core.capture.hooks import capture_gradients, evaluate_objective, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch
from lorif_core.errors import CaptureError, NumericalError
from lorif_core.linalg.gradients import SequenceGradient
from lorif_core.linalg.maps import ModuleMaps

EXAMPLES = random_examples([9, 3, 13, 6])
"""Shorter and longer than min(d_in, d_out) of the projected modules, so both forms of a gradient occur."""


@cache
def model_of(architecture):
    return tiny_model(architecture)


@cache
def expected_gradients(architecture, objective):
    """Per example, the weight gradients of all tracked modules."""
    model = model_of(architecture)
    names = list(maps_of(model, 1))
    value = {"loss": example_loss, "margin": example_margin}[objective]
    return [weight_gradients(model, names, one.input_ids, one.is_target, value) for one in EXAMPLES]


def assert_equals_oracle(found, architecture, objective, maps):
    expected = expected_gradients(architecture, objective)
    assert set(found) == set(maps)
    for name, gradients in found.items():
        for row in range(len(EXAMPLES)):
            wanted = project(expected[row][name], maps[name].input_map, maps[name].output_map)
            close(gradients[row], wanted, relative=TOLERANCE[architecture])


@pytest.mark.parametrize("f", [1, 4])
@pytest.mark.parametrize("objective", ["loss", "margin"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_captured_gradients_equal_one_backward_per_example(architecture, objective, f):
    model = model_of(architecture)
    maps = maps_of(model, f)
    found = captured(model, maps, EXAMPLES, objective=objective)
    assert_equals_oracle(found, architecture, objective, maps)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_oracle_sees_a_gradient_in_every_tracked_module(architecture):
    expected = expected_gradients(architecture, "loss")
    assert len(expected) == 4
    for gradients in expected:
        assert len(gradients) >= 6
        everywhere = [gradient for name, gradient in gradients.items() if ".experts." not in name]
        assert all(gradient.abs().max() > 1e-6 for gradient in everywhere)
    for name in expected[0]:  # an example is routed to some experts only
        assert any(gradients[name].abs().max() > 1e-6 for gradients in expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_left_padding_gives_the_gradients_of_right_padding(architecture):
    model = model_of(architecture)
    maps = maps_of(model, 4)
    right = captured(model, maps, EXAMPLES)
    left = captured(model, maps, EXAMPLES, padding_side="left")
    assert len(maps) >= 6
    for name in maps:
        close(left[name], right[name], relative=TOLERANCE[architecture])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_of_one_gives_the_gradients_of_a_batch_of_many(architecture):
    model = model_of(architecture)
    maps = maps_of(model, 4)
    together = captured(model, maps, EXAMPLES)
    assert {len(gradients) for gradients in together.values()} == {4}
    for row, example in enumerate(EXAMPLES):
        alone = captured(model, maps, [example])
        for name in maps:
            if name not in alone:  # none of its tokens was routed to this expert
                assert not together[name][row].any()
                continue
            close(alone[name][0], together[name][row], relative=TOLERANCE[architecture])


def test_the_order_of_a_batch_moves_no_gradient_between_examples():
    model = model_of("llama")
    maps = maps_of(model, 4)
    found = captured(model, maps, EXAMPLES)
    reversed_ = captured(model, maps, EXAMPLES[::-1])
    assert len(maps) == 14
    for name in maps:
        close(reversed_[name].flip(0), found[name], relative=2e-5)


@pytest.mark.parametrize("f", [1, 2, 4, 16, 100])
@pytest.mark.parametrize("lengths", [[2], [2, 30], [40, 33]])
def test_neither_length_nor_projection_changes_what_is_captured(f, lengths):
    model = model_of("gpt2")
    maps = maps_of(model, f)
    examples = random_examples(lengths, seed=1)
    found = captured(model, maps, examples)
    assert {len(gradients) for gradients in found.values()} == {len(lengths)}
    for row, example in enumerate(examples):
        whole = weight_gradients(model, maps, example.input_ids, example.is_target)
        for name, side in maps.items():
            close(found[name][row], project(whole[name], side.input_map, side.output_map), relative=1e-11)


def test_the_returned_objectives_are_those_of_each_example():
    model = model_of("gpt2")
    with frozen(model):
        values = capture_gradients(model, {}, pad_batch(EXAMPLES, 1), summed_cross_entropy, lambda *_: None)
    expected = [example_loss(model, one.input_ids, one.is_target).item() for one in EXAMPLES]
    assert values.tolist() == pytest.approx(expected, rel=1e-12)
    assert not values.requires_grad


def test_an_example_without_targets_has_a_zero_gradient():
    model = model_of("llama")
    silent = EXAMPLES[0]._replace(is_target=[False] * len(EXAMPLES[0].input_ids))
    found = captured(model, maps_of(model, 4), [silent, EXAMPLES[1]])
    assert len(found) == 14
    assert all(not gradient[0].any() and gradient[1].any() for gradient in found.values())


def test_kept_tokens_add_up_to_the_gradient():
    model = model_of("llama")
    maps = maps_of(model, 4)
    found = {}
    with frozen(model):
        capture_gradients(
            model, maps, pad_batch(EXAMPLES, 1), summed_cross_entropy, found.__setitem__, keeps_tokens=True
        )
    whole = captured(model, maps, EXAMPLES)
    assert len(found) == 14
    for name, pair in found.items():
        assert isinstance(pair, SequenceGradient)
        by_token = torch.einsum("bti,bto->btio", pair.inputs, pair.output_grads)
        close(by_token.sum(1), whole[name], relative=1e-12)


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradient_checkpointing_changes_no_gradient(architecture, use_reentrant):
    model = with_checkpointing(tiny_model(architecture), use_reentrant=use_reentrant)
    maps = maps_of(model, 4)
    calls = count_calls(model, next(iter(maps)))
    found = captured(model, maps, EXAMPLES)
    # OPT's layers draw dropout themselves in training mode, so they are rather not checkpointed.
    assert calls.count == (1 if architecture == "opt" else 2), "a checkpointed layer is computed a second time"
    assert_equals_oracle(found, architecture, "loss", maps)


class count_calls:
    """Counts how often a module is computed."""

    def __init__(self, model, name):
        self.count = 0
        model.get_submodule(name).register_forward_pre_hook(self)

    def __call__(self, *_):
        self.count += 1


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "opt", "llama_lora"])
def test_training_mode_with_dropout_gives_the_gradients_of_evaluation_mode(architecture):
    model = tiny_model(architecture).train()
    set_dropout(model, 0.5)
    assert_equals_oracle(captured(model, maps_of(model, 4), EXAMPLES), architecture, "loss", maps_of(model, 4))


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "opt", "llama_lora"])
def test_dropout_under_gradient_checkpointing_changes_no_gradient(architecture, use_reentrant):
    model = with_checkpointing(tiny_model(architecture), use_reentrant=use_reentrant)
    set_dropout(model, 0.5)
    assert_equals_oracle(captured(model, maps_of(model, 4), EXAMPLES), architecture, "loss", maps_of(model, 4))


def set_dropout(model, rate):
    """Dropout everywhere: as modules, and as the numbers that layers hand to ``functional.dropout``."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        for name in ("dropout", "attention_dropout", "layerdrop"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)


class SharedLinears(nn.Module):
    """A causal model whose first map is used twice, whose second never, and whose third has no effect."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.embed = nn.Embedding(64, 8)
            self.twice, self.never, self.idle = (nn.Linear(8, 8) for _ in range(3))
            self.head = nn.Linear(8, 64)

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, attention_mask=None, use_cache=False):
        hidden = self.twice(torch.tanh(self.twice(self.embed(input_ids))))
        self.idle(hidden)
        return LogitsOnly(self.head(hidden))


class LogitsOnly:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize("lengths", [[3, 2], [12, 9]])
def test_a_shared_module_has_the_sum_of_its_calls(lengths):
    model = SharedLinears().double()
    examples = random_examples(lengths)
    found = captured(model, {"twice": ModuleMaps(None, None)}, examples)
    assert len(found["twice"]) == 2
    for row, example in enumerate(examples):
        wanted = weight_gradients(model, ["twice"], example.input_ids, example.is_target)["twice"]
        close(found["twice"][row], wanted, relative=1e-12)


@pytest.mark.parametrize("name", ["never", "idle"])
def test_a_module_that_no_gradient_reaches_is_not_handed_over(name):
    maps = {name: ModuleMaps(None, None), "head": ModuleMaps(None, None)}
    assert list(captured(SharedLinears().double(), maps, EXAMPLES)) == ["head"]


class RoutedLinears(SharedLinears):
    """Hands only some tokens to a map, as routed experts do."""

    def forward(self, input_ids, attention_mask=None, use_cache=False):
        hidden = self.embed(input_ids)
        routed = self.twice(hidden.flatten(0, 1)[::2])
        flat = hidden.flatten(0, 1).clone()
        flat[::2] = flat[::2] + routed
        return LogitsOnly(self.head(flat.view_as(hidden)))


def test_an_input_without_examples_is_refused_with_the_way_out():
    message = (
        r"module 'twice' received an input of shape \(26, 8\) for a batch of 4 examples of 13 tokens, so its "
        r"gradient cannot be told apart by example \(routed experts do this\)\. "
        r"Leave it out with `--exclude 'twice'`\."
    )
    model = RoutedLinears().double()
    with pytest.raises(CaptureError, match=message):
        captured(model, {"twice": ModuleMaps(None, None)}, EXAMPLES)


class FlattenedLinears(SharedLinears):
    """Hands all tokens to a map along one axis, as some models do."""

    def forward(self, input_ids, attention_mask=None, use_cache=False):
        hidden = self.embed(input_ids)
        return LogitsOnly(self.head(self.twice(hidden.flatten(0, 1)).view_as(hidden)))


def test_examples_and_tokens_flattened_into_one_axis_are_told_apart():
    model = FlattenedLinears().double()
    found = captured(model, {"twice": ModuleMaps(None, None)}, EXAMPLES)["twice"]
    assert len(found) == 4
    for row, example in enumerate(EXAMPLES):
        wanted = weight_gradients(model, ["twice"], example.input_ids, example.is_target)["twice"]
        close(found[row], wanted, relative=1e-12)


@pytest.mark.parametrize("module", ["lm_head", "model.layers.0.mlp.up_proj"])
def test_weights_that_are_not_finite_are_named_as_the_cause(module):
    model = tiny_model("llama")
    model.get_submodule(module).weight.data.fill_(float("nan"))
    with pytest.raises(NumericalError, match=r"the objective of an example is nan: .* check its weights"):
        captured(model, maps_of(model, 4), EXAMPLES)


def test_a_model_without_input_embeddings_is_refused():
    with (
        pytest.raises(CaptureError, match=r"must have input embeddings .*, Linear names none"),
        frozen(nn.Linear(2, 2)),
    ):
        pass


def test_evaluating_an_objective_needs_no_graph():
    model = model_of("llama")
    with torch.no_grad():
        values = evaluate_objective(model, pad_batch(EXAMPLES, 1), summed_cross_entropy)
    expected = [example_loss(model, one.input_ids, one.is_target).item() for one in EXAMPLES]
    assert values.tolist() == pytest.approx(expected, rel=1e-5)  # norms in float32, padded and not


def test_bfloat16_gradients_are_those_of_float64_to_bfloat16_accuracy():
    wanted = captured(model_of("gpt2"), maps_of(model_of("gpt2"), 4), EXAMPLES)
    model = tiny_model("gpt2", dtype=torch.bfloat16)
    found = captured(
        model,
        {name: maps.to(torch.device("cpu"), torch.float32) for name, maps in maps_of(model, 4).items()},
        EXAMPLES,
    )
    assert len(found) == 8
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32
        error = (gradient.double() - wanted[name]).norm() / wanted[name].norm()
        assert error < 0.05  # 8 bits of mantissa, some ten products deep: 10 · 2⁻⁸


def test_a_model_dispatched_by_accelerate_gives_the_same_gradients():
    from accelerate import dispatch_model

    model = dispatch_model(tiny_model("gpt2"), {"": "cpu"}, main_device="cpu", force_hooks=True)
    assert hasattr(model, "_hf_hook")
    assert_equals_oracle(captured(model, maps_of(model, 4), EXAMPLES), "gpt2", "loss", maps_of(model, 4))


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_an_adapter_around_learned_positions_is_independent_of_padding(padding_side):
    import warnings

    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_config(gpt2_config()).double()
        config = LoraConfig(r=2, target_modules=["c_attn"], init_lora_weights=False, fan_in_fan_out=True)
        model = get_peft_model(base, config, autocast_adapter_dtype=False).eval()
    maps = maps_of(model, 1)
    found = captured(model, maps, EXAMPLES, padding_side=padding_side)
    assert {len(gradients) for gradients in found.values()} == {4}
    for row, example in enumerate(EXAMPLES):
        wanted = weight_gradients(model, maps, example.input_ids, example.is_target)
        for name in maps:
            close(found[name][row], wanted[name], relative=1e-10)
