"""Modules that are not called with (B, T, width), positionally, for one tensor: right, or left out with a reason."""

import warnings

import pytest
import torch
import transformers as hf
from captures import captured, state_of
from odd_models import RIGHT, OddModel, ReadsAsWell, ReadsWeights, Routed, TimeFirst, Twins, Unused
from oracles import close, token_gradients, weight_gradients
from tiny_models import ROTARY, random_examples, tiny_model
from torch import nn

from lorif_core.capture.hooks import capture_gradients, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.capture.probe import probe_modules
from lorif_core.data.batches import pad_batch
from lorif_core.linalg.maps import ModuleMaps, random_maps
from lorif_core.models.modules import list_modules
from lorif_core.shapes import ModuleShape

EXAMPLES = random_examples([11, 7, 4])
BATCH = pad_batch(EXAMPLES[:2], 1)
SILENT = "never called, or no gradient reaches it"


@pytest.mark.parametrize("f", [1, 3])
@pytest.mark.parametrize("kind", RIGHT)
def test_odd_uses_are_captured_with_the_gradient_of_the_weight(kind, f):
    model, tolerance = kind(), 1e-6  # one of them computes in float32
    inner = ModuleShape("inner", 8, 8, 8 // f, 8 // f)
    maps = {"inner": random_maps(inner, f=f, seed=0).to(torch.device("cpu"), torch.float64)}
    assert probe_modules(model, ["inner"], BATCH) == {}
    found = captured(model, maps, EXAMPLES)["inner"]
    for row, one in enumerate(EXAMPLES):
        wanted = weight_gradients(model, ["inner"], one.input_ids, one.is_target)["inner"]
        sides = maps["inner"].input_map, maps["inner"].output_map
        left, right = (torch.eye(8).double() if side is None else side for side in sides)
        close(found[row], left.T @ wanted @ right, relative=tolerance)


@pytest.mark.parametrize("kind", [kind for kind in RIGHT if kind is not Twins])
def test_odd_uses_split_over_the_tokens_that_they_are_of(kind):
    """A token's part is what the gradient is of the objective at targets that follow no other token."""
    model, maps, found = kind(), {"inner": ModuleMaps(None, None)}, {}
    with frozen(model):
        capture_gradients(
            model, maps, pad_batch(EXAMPLES, 1), summed_cross_entropy, found.__setitem__, keeps_tokens=True
        )
    pair = found["inner"]
    by_token = torch.einsum("bti,bto->btio", pair.inputs, pair.output_grads).unflatten(1, (-1, 11)).sum(1)
    reference = OddModel()
    reference.load_state_dict(model.state_dict())
    assert len(by_token) == len(EXAMPLES)
    for row, one in enumerate(EXAMPLES):
        whole = weight_gradients(model, ["inner"], one.input_ids, one.is_target)["inner"]
        close(by_token[row].sum(0), whole, relative=1e-6)
        assert not by_token[row, len(one.input_ids) :].any()
        if kind.__name__ in ("Keyword", "Packed"):  # the same function as the plain model
            wanted = token_gradients(reference, ["inner"], one.input_ids, one.is_target)["inner"]
            close(by_token[row, : len(one.input_ids)], wanted, relative=1e-10)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Unused, SILENT),
        (ReadsWeights, "its weights are read without a call that can be watched: this influence is missing"),
        (Routed, "an input of shape (11, 8) cannot be told apart by example: this influence is missing"),
    ],
)
def test_what_cannot_be_right_is_left_out_with_its_reason(kind, reason):
    assert probe_modules(kind(), ["inner", "head"], BATCH) == {"inner": reason}


@pytest.mark.parametrize("kind", [ReadsAsWell, TimeFirst])
def test_a_gradient_that_is_not_the_weights_own_is_found_by_its_size(kind):
    (reason,) = probe_modules(kind(), ["inner"], BATCH).values()
    assert reason.startswith("what its calls give differs from its gradient by ")
    assert reason.endswith("%: this influence is missing")


def test_a_module_that_is_never_called_is_left_out():
    assert probe_modules(OddModel(), ["inner", "other"], BATCH) == {"other": SILENT}


class Infinite(OddModel):
    """The root of zero has an infinite slope."""

    def use_inner(self, hidden):
        return self.inner(hidden) + (0 * self.other(hidden)).abs().sqrt()


def test_a_gradient_that_is_not_finite_is_none():
    reasons = probe_modules(Infinite(), ["inner", "other", "head"], BATCH)
    assert reasons == {"other": "its gradient is not finite: this influence is missing"}


def test_a_trial_leaves_the_model_as_it_was_found():
    model = tiny_model("llama").train()
    for position, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(position % 2 == 0)
        parameter.grad = torch.ones_like(parameter) if position % 4 == 0 else None
    before = state_of(model)
    names = [entry.name for entry in list_modules(model) if entry.is_tracked]
    assert probe_modules(model, names, BATCH) == {}
    assert str(state_of(model)) == str(before)


def test_experts_that_the_trial_does_not_reach_are_judged_by_the_others():
    model = tiny_model("qwen3_moe")
    names = [entry.name for entry in list_modules(model) if ".experts." in entry.name]
    short = pad_batch([one._replace(input_ids=[5, 9, 9], is_target=[False, False, True]) for one in EXAMPLES[:2]], 1)
    found = {}
    with frozen(model):
        capture_gradients(
            model, {n: ModuleMaps(None, None) for n in names}, short, summed_cross_entropy, found.__setitem__
        )
    assert 0 < len(found) < len(names)
    assert probe_modules(model, names, short) == {}


def test_capturing_experts_puts_the_models_own_implementation_back():
    model = tiny_model("qwen3_moe")
    names = {"model.layers.0.mlp.experts.1.down_proj": ModuleMaps(None, None)}
    assert model.config._experts_implementation == "eager"
    captured(model, names, EXAMPLES)
    assert model.config._experts_implementation == "eager"


def test_grouped_experts_are_captured_with_the_gradients_of_the_loop():
    """The usual implementation, whose products are not seen one by one, in the widest dtype that it has."""
    model = tiny_model("qwen3_moe", dtype=torch.float32)
    names = [entry.name for entry in list_modules(model) if ".experts." in entry.name]
    model.set_experts_implementation("grouped_mm")
    found = captured(model, {name: ModuleMaps(None, None) for name in names}, EXAMPLES)
    assert len(names) == 16
    for row, one in enumerate(EXAMPLES):
        for name, wanted in weight_gradients(model, names, one.input_ids, one.is_target).items():
            close(found[name][row] if name in found else torch.zeros_like(wanted), wanted, relative=1e-4)


def test_kept_tokens_of_an_expert_stand_at_their_places():
    model = tiny_model("qwen3_moe")
    names = [entry.name for entry in list_modules(model) if ".experts." in entry.name]
    maps = {name: ModuleMaps(None, None) for name in names}
    apart, whole = captured(model, maps, EXAMPLES, keeps_tokens=True), captured(model, maps, EXAMPLES)
    assert apart.keys() == whole.keys()
    for name, gradient in apart.items():
        close(gradient, whole[name], relative=1e-10)


def test_an_adapter_on_the_output_head_sees_fewer_positions_and_is_right():
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft 0.21 reads an attribute that transformers 5.23 renames
        torch.manual_seed(0)
        base = hf.AutoModelForCausalLM.from_config(hf.LlamaConfig(**ROTARY)).double()
        config = LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
        model = get_peft_model(base, config, autocast_adapter_dtype=False).eval()
    names = [entry.name for entry in list_modules(model) if entry.is_tracked]
    assert any("lm_head.lora_A" in name for name in names)
    assert probe_modules(model, names, BATCH) == {}
    for keeps_tokens in (False, True):
        found = captured(model, {n: ModuleMaps(None, None) for n in names}, EXAMPLES, keeps_tokens=keeps_tokens)
        for row, one in enumerate(EXAMPLES):
            for name, wanted in weight_gradients(model, names, one.input_ids, one.is_target).items():
                close(found[name][row], wanted, relative=1e-5)


def test_the_vision_part_of_a_model_for_texts_is_left_out():
    sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    text = {**ROTARY, "head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 8}
    vision = {**sizes, "image_size": 14, "patch_size": 14}
    model = hf.AutoModelForCausalLM.from_config(
        hf.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1)
    ).eval()
    names = [entry.name for entry in list_modules(model) if entry.is_tracked]
    reasons = probe_modules(model, names, BATCH)
    assert reasons == {name: SILENT for name in names if "vision" in name}
    assert 0 < len(reasons) < len(names)


def test_a_padding_ids_embedding_gets_no_gradient():
    model = OddModel()
    model.embed = nn.Embedding(64, 8, padding_idx=5, dtype=torch.float64)
    example = EXAMPLES[0]._replace(input_ids=[5, 9, 5, 7, 5, 11, 13, 5, 9, 8, 7])
    found = captured(model, {"embed": ModuleMaps(None, None)}, [example, EXAMPLES[1]])["embed"]
    close(found[0], weight_gradients(model, ["embed"], example.input_ids, example.is_target)["embed"], relative=1e-10)
    assert not found[0, 5].any()
