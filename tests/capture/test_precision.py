"""bfloat16 on a CPU: gradients beside those of float64, what is chosen where, and that nothing stays behind."""

import pytest
import torch
from captures import captured, maps_of, state_of
from oracles import close, project, weight_gradients
from tiny_models import random_examples, tiny_model
from transformers import LlamaConfig, LlamaForCausalLM

from lorif_core.capture import precision
from lorif_core.capture.precision import compute_in, possible_precisions, processor_gains

EXAMPLES = random_examples([9, 3, 13, 6])
BFLOAT16 = 32 * 2**-8
"""Some ten products, each rounded to 2⁻⁸, there and back, and maps that are rounded as well."""


@pytest.fixture(params=[True, False], ids=["gains", "does not gain"])
def gains(request, monkeypatch):
    monkeypatch.setattr(precision, "processor_gains", lambda: request.param)
    return request.param


def llama(width, **changes):
    torch.manual_seed(0)
    sizes = {"intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, hidden_size=width, **sizes, **changes))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox", "qwen2"])
def test_gradients_are_those_of_float64_up_to_bfloat16(architecture):
    model = tiny_model(architecture, dtype=torch.float32)
    maps = maps_of(model, 2)
    narrow = {name: one.to(torch.device("cpu"), torch.bfloat16) for name, one in maps.items()}
    with compute_in(model, "bfloat16"):
        found = captured(model, narrow, EXAMPLES)
    assert set(found) == set(maps)
    oracle = tiny_model(architecture)
    for row, one in enumerate(EXAMPLES):
        wanted = weight_gradients(oracle, list(maps), one.input_ids, one.is_target)
        for name, gradient in found.items():
            assert gradient.dtype == torch.float32
            projected = project(wanted[name], maps[name].input_map, maps[name].output_map)
            close(gradient[row], projected, relative=BFLOAT16)
            assert not torch.allclose(gradient[row].double(), projected, rtol=1e-4)  # as float32 would be


def test_products_are_in_bfloat16_while_the_block_runs_and_nothing_stays_behind():
    model = llama(16)
    ids, before = torch.tensor([[1, 2, 3]]), state_of(model)
    with compute_in(model, "bfloat16"):
        assert model(ids).logits.dtype == torch.bfloat16
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.tensor([[99]]))  # no such token
        assert not torch.is_autocast_enabled("cpu")
    assert state_of(model) == before
    assert model(ids).logits.dtype == torch.float32


def test_a_block_within_a_block_leaves_autocast_off():
    model = llama(16)
    with compute_in(model, "bfloat16"), compute_in(model, "bfloat16"):
        assert model(torch.tensor([[1, 2, 3]])).logits.dtype == torch.bfloat16
        assert not torch.is_autocast_enabled("cpu")


def test_a_wide_float32_model_gets_what_the_processor_gains_by(gains):
    wanted = ["bfloat16", None] if gains else [None, "bfloat16"]
    assert possible_precisions("auto", llama(256)) == wanted


@pytest.mark.parametrize("model", [llama(128), llama(256).bfloat16()], ids=["narrow", "bfloat16 weights"])
def test_other_models_stay_as_they_are(model, monkeypatch):
    monkeypatch.setattr(precision, "processor_gains", lambda: True)
    assert possible_precisions("auto", model)[0] is None


def test_a_model_with_experts_stays_in_float32(monkeypatch):
    monkeypatch.setattr(precision, "processor_gains", lambda: True)
    model = llama(256)
    model.config.num_local_experts = 4
    assert possible_precisions("auto", model)[0] is None


def test_a_named_precision_is_taken_and_no_other(gains):
    assert possible_precisions("float32", llama(256)) == [None]
    assert possible_precisions("bfloat16", llama(16)) == ["bfloat16"]


def test_the_processor_is_timed_once():
    assert processor_gains() == processor_gains()
    assert processor_gains.cache_info().misses == 1
