"""Quantised bases, by their shape and with linear modules of packed weights: no quantising package is here."""

import json

import pytest
import torch
from captures import captured, maps_of, state_of
from oracles import close, example_loss
from saved_adapters import lora, save_adapter, save_base
from tiny_models import random_examples, tiny_model
from torch import nn

from lorif_core.capture.hooks import frozen
from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.models import load
from lorif_core.models.load import load_model
from lorif_core.models.modules import list_modules
from lorif_core.models.quantised import count_weights, num_weights, packed_widths, takes_float32

EXAMPLES = random_examples([9, 4, 7])


class PackedLinear(nn.Module):
    """As GPTQ's and AWQ's: whole numbers and scales in buffers, no weight, unpacked in every forward."""

    def __init__(self, linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        scales = linear.weight.detach().abs().amax(1, keepdim=True) / 127
        self.register_buffer("qweight", (linear.weight.detach() / scales).round().add(128).to(torch.uint8))
        self.register_buffer("scales", scales)

    def forward(self, x):
        return x @ ((self.qweight.to(x.dtype) - 128) * self.scales.to(x.dtype)).T


def pack(model, *, but=()):
    """Replace the linear modules of attention and MLP by packed ones."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Linear and "layers" in name and not any(part in name for part in but):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, PackedLinear(module))
    model.is_quantized = True
    return model


@pytest.fixture
def model():
    """A LoRA adapter over packed linear modules."""
    return pack(tiny_model("llama_lora"), but=("lora_",))


def test_gradients_of_the_adapter_go_through_the_packed_base(model):
    maps = maps_of(model, 1)
    found = captured(model, maps, EXAMPLES)
    model.requires_grad_(True)
    for row, example in enumerate(EXAMPLES):
        model.zero_grad()
        example_loss(model, example.input_ids, example.is_target).backward()
        for name in maps:
            close(found[name][row], model.get_submodule(name).weight.grad.T, relative=2e-5)
    assert len(maps) == 12


def test_packed_modules_are_listed_with_the_weights_they_stand_for(model):
    entries = {entry.name.rpartition("layers.")[2]: entry for entry in list_modules(model)}
    for name, weights in (("0.self_attn.q_proj.base_layer", 32 * 32), ("1.mlp.up_proj", 32 * 48)):
        found = entries[name]
        assert (found.kind, found.num_parameters) == ("PackedLinear", weights)
        assert found.reason == "frozen under the adapters"


def test_packed_modules_are_not_tracked_themselves():
    entries = list_modules(pack(tiny_model("llama")))
    assert not any(entry.is_tracked for entry in entries)
    assert {entry.reason for entry in entries if entry.kind == "PackedLinear"} == {
        "quantised: only an adapter on it could be tracked"
    }


def test_weights_are_counted_as_if_they_were_not_packed(model):
    assert count_weights(model) == sum(parameter.numel() for parameter in tiny_model("llama_lora").parameters())


def test_freezing_leaves_a_packed_model_as_it_was(model):
    before = state_of(model)
    with frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert state_of(model) == before


def test_a_linear_module_with_a_packed_weight_is_counted_by_its_widths():
    linear = nn.Linear(8, 6)
    linear.weight = nn.Parameter(torch.zeros(24, 1, dtype=torch.uint8), requires_grad=False)  # two numbers a byte
    assert (packed_widths(linear), num_weights(linear)) == ((8, 6), 8 * 6 + 6)


def test_ordinary_modules_are_not_packed():
    for module in (nn.Linear(3, 4), nn.Embedding(3, 4), nn.BatchNorm1d(4)):
        assert packed_widths(module) is None
        assert num_weights(module) == sum(one.numel() for one in module.parameters())


def quantise_config(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": settings}))
    return folder


@pytest.mark.parametrize(
    ("settings", "method", "packages"),
    [
        ({"load_in_4bit": True, "quant_method": "bitsandbytes"}, "bitsandbytes", "bitsandbytes"),
        ({"load_in_8bit": True}, "bitsandbytes", "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "gptq", "gptqmodel optimum"),
        ({"quant_method": "awq", "bits": 4}, "awq", "gptqmodel"),
        ({"quant_method": "hqq"}, "hqq", "hqq"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors", "compressed-tensors"),
        ({"quant_method": "torchao"}, "torchao", "torchao"),
        ({"quant_method": "quanto"}, "quanto", "optimum-quanto"),
    ],
)
def test_a_missing_package_is_named_with_the_alternative(settings, method, packages, tmp_path):
    base = save_base(tmp_path / "base")
    folder = save_adapter(base, tmp_path / "adapter", lora())
    quantise_config(base, **settings)
    with pytest.raises(
        ModelError, match=rf"quantised with {method}, which needs .*`pip install {packages}`\. Or give"
    ):
        load_model(ModelConfig(model=str(folder), device="cpu"))


def test_what_has_kernels_of_its_own_keeps_the_stored_dtype():
    assert [takes_float32({"quant_method": name}) for name in ("bitsandbytes", "torchao", "gptq", "awq")] == [
        True, True, False, False,
    ]  # fmt: skip


@pytest.fixture
def base(tmp_path):
    """A model whose files say that it is quantised."""
    return quantise_config(save_base(tmp_path / "base"), quant_method="bitnet")


@pytest.fixture
def asked(monkeypatch):
    """What transformers is asked for, where it gives a packed model that refuses to be moved."""
    settings = {}

    def from_pretrained(folder, **given):
        settings.update(given)
        model = pack(
            tiny_model("llama", dtype=torch.float32), but=("q_proj", "down_proj")
        )  # PEFT knows no PackedLinear
        model.to = None
        return model, {"missing_keys": []}

    monkeypatch.setattr(load.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    return settings


@pytest.fixture
def adapter(tmp_path):
    """An adapter on a model that was quantised after it."""
    folder = save_adapter(save_base(tmp_path / "base"), tmp_path / "adapter", lora())
    quantise_config(tmp_path / "base", quant_method="bitnet")
    return folder


def test_a_quantised_base_is_loaded_to_its_place_and_not_moved(adapter, asked):
    found = load_model(ModelConfig(model=str(adapter), device="cpu"))
    assert asked["device_map"] == {"": torch.device("cpu")}
    assert asked["dtype"] == "auto"
    assert found.device == torch.device("cpu")
    assert found.num_parameters == count_weights(tiny_model("llama")) + 576


def test_a_quantised_model_without_an_adapter_is_refused_with_what_can_be_tracked(base, asked):
    with pytest.raises(ModelError, match=r"only an adapter on it could be tracked.*dequantize\(\)\.save_pretrained"):
        load_model(ModelConfig(model=str(base), device="cpu"))
    assert asked
