"""A LoRA adapter over bitsandbytes' own quantised modules, loaded as a person would, against autograd per example.

``tests/models/test_quantised.py`` is the twin that needs no package: linear modules of packed weights.
"""

import json
import warnings

import pytest
import torch
from captures import captured
from devices import distance, float32_maps
from oracles import example_loss
from tiny_models import random_examples, tiny_model, tiny_tokenizer
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from lorif_core.config import ModelConfig
from lorif_core.models.load import load_model

peft = pytest.importorskip("peft")
pytest.importorskip("bitsandbytes")
pytest.importorskip("xxhash")
pytestmark = pytest.mark.gpu

EXAMPLES = random_examples([9, 4, 7])
QUANTISED = {
    "4 bit": (BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32), 2e-5),
    "nf4, twice": (
        BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        ),
        2e-5,
    ),
    # Activations are rounded to 8 bits as well, a batch's otherwise than a single example's.
    "8 bit": (BitsAndBytesConfig(load_in_8bit=True), 0.1),
}
BFLOAT16 = 0.2
"""On a GPU the engine computes under autocast, the oracle here does not."""


@pytest.mark.parametrize("how", QUANTISED)
def test_gradients_of_an_adapter_go_through_the_quantised_base(how, device, tmp_path):
    settings, tolerance = QUANTISED[how]
    oracle = saved_adapter(settings, device, tmp_path).eval()
    found = load_model(ModelConfig(model=str(tmp_path / "adapter"), device=device.type))
    assert found.device.type == device.type
    assert found.num_parameters == sum(one.numel() for one in tiny_model("llama").parameters()) + 2 * 2 * 2 * 32
    maps = float32_maps(found.model, 1)
    gradients = captured(found.model, maps, EXAMPLES)
    weights = {name.removeprefix("base_model.model."): one for name, one in oracle.named_parameters()}
    assert len(maps) == 4
    for row, example in enumerate(EXAMPLES):
        oracle.zero_grad()
        example_loss(oracle, example.input_ids, example.is_target).backward()
        for name in maps:
            wanted = weights[f"{name}.weight"].grad.T
            assert distance(gradients[name][row], wanted) < (BFLOAT16 if device.type == "cuda" else tolerance)


def saved_adapter(settings, device, folder) -> nn.Module:
    """The model that is saved: a quantised base, and an adapter of random weights in a folder beside it."""
    tiny_model("llama", dtype=torch.float32).save_pretrained(folder / "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = AutoModelForCausalLM.from_pretrained(
            folder / "plain", dtype=torch.float32, quantization_config=settings, device_map={"": device}
        )
        base.save_pretrained(folder / "base")
        torch.manual_seed(1)
        config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
        model = peft.get_peft_model(base, config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(folder / "adapter")
    for name in ("base", "adapter"):
        tiny_tokenizer().save_pretrained(folder / name)
    path = folder / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "../base"}))
    return model
