import re

import pytest
import torch
from tiny_models import ARCHITECTURES, tiny_model
from torch import nn

from lorif_core.errors import TargetError
from lorif_core.models.modules import check_patterns, linear_widths, list_modules, tracked_shapes

ROTARY = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"}
GATED = ROTARY | {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}
TRACKED_OF_A_LAYER = dict.fromkeys(ARCHITECTURES, GATED) | {
    "gpt2": {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"},
    "gpt2_untied": {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"},
    "gpt_neox": {"attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"},
    "opt": {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "fc1", "fc2"},
    "qwen3_moe": ROTARY | {f"mlp.experts.{n}.{one}" for n in range(4) for one in ("gate_up_proj", "down_proj")},
    "llama_lora": {
        f"{module}.{side}.default"
        for module in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
        for side in ("lora_A", "lora_B")
    },
}
TIED = {"gpt2", "llama_tied", "qwen3", "gemma", "gemma2", "gemma3", "opt"}


def after_layer(name, layer):
    """The part of a module's name that follows the number of its layer."""
    number, _, rest = re.split(r"\.(?=\d)", name, maxsplit=1)[-1].partition(".")
    return rest if number == str(layer) else ""


def entry_of(entries, ending):
    (found,) = (entry for entry in entries if entry.name.endswith(ending))
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_linear_maps_of_attention_and_mlp_are_tracked(architecture):
    tracked = [entry.name for entry in list_modules(tiny_model(architecture)) if entry.is_tracked]
    for layer in (0, 1):
        assert {after_layer(name, layer) for name in tracked} - {""} == TRACKED_OF_A_LAYER[architecture]
    assert len(tracked) == 2 * len(TRACKED_OF_A_LAYER[architecture])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_module_with_weights_is_listed_once(architecture):
    model = tiny_model(architecture)
    entries = list_modules(model)
    owners = [name for name, module in model.named_modules() if list(module.parameters(recurse=False))]
    is_expert = {entry.name: ".experts." in entry.name for entry in entries}
    assert [name for name in is_expert if not is_expert[name]] == [name for name in owners if "experts" not in name]
    for entry in entries:
        assert entry.is_tracked == (entry.reason is None)
        if not is_expert[entry.name]:
            weights = model.get_submodule(entry.name).parameters(recurse=False)
            assert entry.num_parameters == sum(weight.numel() for weight in weights)
    distinct = {entry.name: entry for entry in entries}
    everything = sum(weight.numel() for _, weight in model.named_parameters(remove_duplicate=False))
    assert sum(entry.num_parameters for entry in distinct.values()) == everything


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"llama_lora"}))
def test_the_head_is_not_tracked_and_says_whether_it_is_tied(architecture):
    model = tiny_model(architecture)
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert is_tied == (architecture in TIED)
    found = entry_of(list_modules(model), "lm_head" if hasattr(model, "lm_head") else "embed_out").reason
    assert found == ("output head, tied to the input embedding" if is_tied else "output head")


@pytest.mark.parametrize(
    ("architecture", "ending", "reason"),
    [
        ("gpt2", "transformer.wte", "embedding"),
        ("gpt2", "transformer.wpe", "embedding"),
        ("gpt2", "h.0.ln_1", "normalisation"),
        ("llama", "embed_tokens", "embedding"),
        ("llama", "layers.0.input_layernorm", "normalisation"),
        ("gemma3", "embed_tokens", "embedding"),
        ("gemma3", "layers.1.self_attn.q_norm", "normalisation"),
        ("gpt_neox", "final_layer_norm", "normalisation"),
        ("qwen3_moe", "layers.0.mlp.gate", "not covered: not a linear module"),
        ("llama_lora", "layers.0.self_attn.k_proj", "frozen under the adapters"),
        ("llama_lora", "layers.0.self_attn.q_proj.base_layer", "frozen under the adapters"),
        ("llama_lora", "embed_tokens", "embedding"),
        ("llama_lora", "lm_head", "output head"),
    ],
)
def test_a_module_that_is_not_tracked_says_why(architecture, ending, reason):
    assert entry_of(list_modules(tiny_model(architecture)), ending).reason == reason


def test_widths_are_inputs_and_outputs_in_both_layouts_of_weights():
    gpt2, llama = tiny_model("gpt2"), tiny_model("llama")
    assert linear_widths(gpt2.get_submodule("transformer.h.0.mlp.c_fc")) == (32, 128)
    assert linear_widths(llama.get_submodule("model.layers.0.mlp.down_proj")) == (48, 32)
    assert linear_widths(llama.get_submodule("model.norm")) is None


def test_an_include_pattern_keeps_only_its_matches():
    entries = list_modules(tiny_model("llama"), include=("*.0.mlp.*", "*.q_proj"))
    assert {entry.name for entry in entries if entry.is_tracked} == {
        "model.layers.0.mlp.gate_proj",
        "model.layers.0.mlp.up_proj",
        "model.layers.0.mlp.down_proj",
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
    }
    assert entry_of(entries, "layers.1.mlp.up_proj").reason == "not in --include"


def test_an_exclude_pattern_wins_over_an_include_pattern():
    entries = list_modules(tiny_model("llama"), include=("*.mlp.*",), exclude=("*.1.*", "*.gate_proj"))
    tracked = {entry.name for entry in entries if entry.is_tracked}
    assert tracked == {"model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"}
    assert entry_of(entries, "layers.0.mlp.gate_proj").reason == "--exclude *.gate_proj"


@pytest.mark.parametrize(
    ("pattern", "tracked"),
    [
        ("lm_head", {"lm_head"}),
        ("*embed_tokens", {"model.embed_tokens"}),
        ("*.0.*norm", {"model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"}),
    ],
)
def test_a_pattern_that_means_nothing_else_tracks_embedding_head_and_norms(pattern, tracked):
    entries = list_modules(tiny_model("llama"), include=(pattern,))
    assert {entry.name for entry in entries if entry.is_tracked} == tracked


@pytest.mark.parametrize("pattern", ["*", "model.layers.0.*"])
def test_a_pattern_that_matches_attention_and_mlp_means_only_these(pattern):
    entries = list_modules(tiny_model("llama"), include=(pattern,))
    assert {entry.kind for entry in entries if entry.is_tracked} == {"Linear"}


def test_no_pattern_tracks_a_frozen_head_under_adapters():
    entries = list_modules(tiny_model("llama_lora"), include=("*lm_head", "*lora_A*"))
    assert entry_of(entries, "lm_head").reason == "frozen under the adapters"


def test_an_embedding_takes_one_hot_tokens_and_a_norm_one_number():
    entries = list_modules(tiny_model("llama"))
    assert [entry_of(entries, end).in_features for end in ("embed_tokens", "model.norm")] == [64, 1]
    assert [entry_of(entries, end).out_features for end in ("embed_tokens", "model.norm")] == [32, 32]


def sharing_model():
    model = tiny_model("llama")
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    return model


def test_modules_that_share_a_weight_are_one_module():
    entries = list_modules(sharing_model())
    assert entry_of(entries, "layers.0.mlp.up_proj").is_tracked
    assert entry_of(entries, "layers.1.mlp.up_proj").reason == "one weight with model.layers.0.mlp.up_proj"


@pytest.mark.parametrize("pattern", ["*.1.mlp.up_proj", "*.0.mlp.up_proj"])
def test_a_shared_weight_is_meant_by_any_of_its_names(pattern):
    included = [one.name for one in list_modules(sharing_model(), include=(pattern,)) if one.is_tracked]
    assert included == ["model.layers.0.mlp.up_proj"]
    excluded = list_modules(sharing_model(), exclude=(pattern,))
    assert {entry_of(excluded, f"layers.{n}.mlp.up_proj").reason for n in (0, 1)} == {f"--exclude {pattern}"}


def test_experts_are_listed_one_by_one_with_their_widths():
    entries = list_modules(tiny_model("qwen3_moe"))
    found = entry_of(entries, "layers.0.mlp.experts.3.gate_up_proj")
    assert (found.in_features, found.out_features, found.num_parameters) == (32, 32, 32 * 32)
    found = entry_of(entries, "layers.1.mlp.experts.0.down_proj")
    assert (found.in_features, found.out_features, found.num_parameters) == (16, 32, 16 * 32)


@pytest.mark.parametrize("pattern", ["*.mlpp.*", "model.layers.0", "*rotary*", "*.Q_proj"])
def test_a_pattern_without_a_linear_match_is_refused_with_names(pattern):
    entries = list_modules(tiny_model("llama"))
    with pytest.raises(
        TargetError, match=r"no module matches .* Names look like \['model\.layers\.0\.self_attn\.q_proj'"
    ):
        check_patterns(entries, ("*.mlp.*", pattern))


def test_patterns_that_all_match_pass():
    check_patterns(list_modules(tiny_model("llama")), ("*.mlp.*", "model.layers.0.self_attn.q_proj"))


@pytest.mark.parametrize("f", [1, 4, 1000])
def test_shapes_are_projected_by_the_divisor_in_the_models_order(f):
    entries = list_modules(tiny_model("llama"), include=("*.0.mlp.*",))
    found = [
        (s.name.split(".")[-1], s.in_features, s.out_features, s.d_in, s.d_out, s.dim)
        for s in tracked_shapes(entries, f)
    ]
    narrow, wide = max(1, 32 // f), max(1, 48 // f)
    assert found == [
        ("gate_proj", 32, 48, narrow, wide, narrow * wide),
        ("up_proj", 32, 48, narrow, wide, narrow * wide),
        ("down_proj", 48, 32, wide, narrow, narrow * wide),
    ]


def test_the_narrow_side_of_an_adapter_keeps_its_width():
    shapes = tracked_shapes(list_modules(tiny_model("llama_lora")), 4)
    assert {one.name.split(".")[-2] for one in shapes} == {"lora_A", "lora_B"}
    for one in shapes:
        narrow = min(one.in_features, one.out_features)
        wide = max(one.in_features, one.out_features)
        assert sorted((one.d_in, one.d_out)) == sorted((narrow, wide // 4))
        assert (one.d_in == narrow) == (one.in_features == narrow)


def test_a_narrow_module_that_is_no_adapter_is_divided_on_both_sides():
    model = nn.Sequential(nn.Linear(64, 2048, bias=False))
    (shape,) = tracked_shapes(list_modules(model), 4)
    assert (shape.d_in, shape.d_out) == (16, 512)


def test_tracking_nothing_is_refused():
    with pytest.raises(TargetError, match=r"no module is left to track\. Linear modules are named like"):
        tracked_shapes(list_modules(tiny_model("llama"), exclude=("*",)), 4)


def test_a_plain_torch_model_is_listed_too():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2, bias=False), nn.LayerNorm(2))
    assert [(entry.kind, entry.reason) for entry in list_modules(model)] == [
        ("Embedding", "embedding"),
        ("Linear", None),
        ("LayerNorm", "normalisation"),
    ]


def test_listing_modules_leaves_the_model_alone():
    model = tiny_model("llama")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    list_modules(model, include=("*.mlp.*",))
    assert list(before) == list(model.state_dict())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
