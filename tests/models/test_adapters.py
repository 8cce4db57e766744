"""Adapters as PEFT saves them: loaded whole, tracked right against PEFT's own model, or refused in one sentence."""

import json
import sys

import pytest
import torch
from captures import captured, maps_of
from oracles import close, example_loss
from peft import AdaLoraConfig, IA3Config, LNTuningConfig, VeraConfig
from safetensors.torch import load_file, save_file
from saved_adapters import by_peft, lora, save_adapter, save_base
from tiny_models import random_examples

from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.models.adapter_weights import adapter_coverage
from lorif_core.models.load import load_model
from lorif_core.models.modules import list_modules

EXAMPLES = random_examples([9, 4, 7])

KINDS = {
    "LoRA": lora(),
    "rsLoRA": lora(use_rslora=True),
    "DoRA": lora(use_dora=True),
    "dropout": lora(lora_dropout=0.4),
    "bias of B": lora(lora_bias=True),
    "ranks by pattern": lora(rank_pattern={"down_proj": 3}, alpha_pattern={"q_proj": 5}),
    "PiSSA": lora(init_lora_weights="pissa"),
    "OLoRA": lora(init_lora_weights="olora"),
    "embedding": lora(target_modules=["q_proj", "embed_tokens"]),
    "single tokens": lora(trainable_token_indices=[3, 5]),
    "module trained whole": lora(modules_to_save=["embed_tokens"]),
    "AdaLoRA": AdaLoraConfig(
        init_r=3, target_r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", total_step=10
    ),
    "VeRA": VeraConfig(r=4, target_modules=["q_proj", "k_proj"], task_type="CAUSAL_LM"),
    "all linear modules": lora(target_modules="all-linear"),
    "LoRA on the head": lora(target_modules=["q_proj", "lm_head"]),
    "DoRA on the head": lora(target_modules=["lm_head"], use_dora=True),
    "norms trained whole": lora(modules_to_save=["input_layernorm"]),
    "IA3": IA3Config(
        target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"
    ),
    "LN tuning": LNTuningConfig(target_modules=["input_layernorm", "norm"], task_type="CAUSAL_LM"),
}
ADAPTER_PARTS = ("lora_", "vera_lambda_", "ia3_l", "ln_tuning_layers", "modules_to_save")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("adapters") / "base")


@pytest.fixture(scope="module", params=KINDS)
def kind(request, base):
    return save_adapter(base, base.parent / request.param, KINDS[request.param])


@pytest.fixture
def adapter(base, tmp_path):
    """A plain LoRA adapter that a test may change."""
    return save_adapter(base, tmp_path / "adapter", lora())


def loaded(folder, **settings):
    return load_model(ModelConfig(model=str(folder), device="cpu", **settings))


def change(folder, **settings):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def coverage(found):
    reasons = {entry.name: entry.reason for entry in list_modules(found.model)}
    return adapter_coverage(found.adapter, found.model, reasons)


def test_a_loaded_adapter_computes_what_peft_computes(kind, base):
    ids = torch.tensor([EXAMPLES[0].input_ids])
    with torch.no_grad():
        found = loaded(kind).model.double()(input_ids=ids).logits
        wanted = by_peft(base, kind)(input_ids=ids).logits
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_captured_gradients_are_those_of_pefts_own_weights(kind, base):
    model = loaded(kind).model.double()
    maps = maps_of(model, 1)
    found = captured(model, maps, EXAMPLES)
    oracle = by_peft(base, kind).requires_grad_(True)
    weights = {name.removeprefix("base_model.model."): one for name, one in oracle.named_parameters()}
    assert len(maps) >= 2
    for row, example in enumerate(EXAMPLES):
        oracle.zero_grad()
        example_loss(oracle, example.input_ids, example.is_target).backward()
        for name in maps:
            # What PEFT keeps as bare parameters are modules here; a vector is a map from one number.
            weight = weights.get(f"{name.removesuffix('.scale')}.weight", weights.get(name))
            gradient = weight.grad if "embed" in name or weight.ndim == 1 else weight.grad.T
            close(found[name][row], gradient.reshape(found[name][row].shape), relative=1e-5)


def test_only_the_adapter_is_tracked(kind):
    tracked = [entry.name for entry in list_modules(loaded(kind).model) if entry.is_tracked]
    assert tracked
    assert all(any(part in name for part in ADAPTER_PARTS) for name in tracked)


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (lora(), {}),
        (lora(use_dora=True), {}),
        (lora(lora_bias=True), {"biases": 2 * (32 + 32)}),
        (lora(modules_to_save=["embed_tokens"]), {}),
        (lora(target_modules=["q_proj", "embed_tokens"]), {"low-rank terms of an embedding": 2 * (64 + 32)}),
        (lora(trainable_token_indices=[3, 5]), {"rows of single tokens": 2 * 32}),
    ],
)
def test_what_of_an_adapter_is_not_tracked_is_counted(config, missing, base, tmp_path):
    folder = save_adapter(base, tmp_path / "adapter", config)
    found = coverage(loaded(folder))
    tracked = 2 * (2 * (32 + 32)) if "embed_tokens" in config.target_modules else 2 * (2 * (32 + 32) + 2 * (48 + 32))
    tracked += 2 * (32 + 32) * config.use_dora + 64 * 32 * (config.modules_to_save is not None)
    assert found.left_out == missing
    assert (found.num_parameters, found.num_tracked) == (tracked + sum(missing.values()), tracked)


def test_a_sentence_says_kind_rank_base_and_what_is_missing(base, tmp_path):
    config = lora(lora_bias=True, rank_pattern={"down_proj": 3})
    assert coverage(loaded(save_adapter(base, tmp_path / "adapter", config))).sentence() == (
        f"LoRA adapter of rank 2 to 3 on {str(base)!r}, which is frozen: 85.2% of the adapter's 864 weights are "
        "tracked; the influence is missing through 14.8% (biases)."
    )


def test_a_very_wide_module_that_was_trained_whole_is_tracked_only_by_name(base, tmp_path, monkeypatch):
    monkeypatch.setattr("lorif_core.models.adapter_weights.WIDE", 64)
    found = loaded(save_adapter(base, tmp_path / "adapter", lora(modules_to_save=["embed_tokens"])))
    reason = "a module that was trained whole, too wide to be tracked unless `--include` names it"
    assert coverage(found).left_out == {reason: 64 * 32}
    meant = list_modules(found.model, include=("*lora*", "*embed_tokens.modules_to_save*"))
    assert [entry.reason for entry in meant if entry.name.endswith("modules_to_save.default")] == [None]


def test_the_frozen_base_is_not_tracked_even_if_a_pattern_means_it(adapter):
    entries = list_modules(loaded(adapter).model, include=("*base_layer", "*.o_proj", "lm_head", "*norm*"))
    assert [entry.name for entry in entries if entry.is_tracked] == []


def test_what_a_person_leaves_out_is_missing_too(base, adapter):
    found = loaded(adapter)
    reasons = {entry.name: entry.reason for entry in list_modules(found.model, exclude=("*lora_A*",))}
    assert coverage(found).left_out == {}
    assert adapter_coverage(found.adapter, found.model, reasons).left_out == {"--exclude *lora_A*": 2 * 2 * (32 + 48)}


def test_trained_biases_of_the_base_are_counted(tmp_path):
    gpt2 = save_base(tmp_path / "gpt2", "gpt2")
    for setting, biases in (("lora_only", 2 * 96), ("all", 2 * (96 + 32 + 128 + 32 + 2 * 32) + 32)):
        config = lora(target_modules=["c_attn"], bias=setting, fan_in_fan_out=True)
        found = loaded(save_adapter(gpt2, tmp_path / setting, config))
        assert coverage(found).left_out == {"biases": biases}


def test_further_adapters_in_the_folder_are_named(base, adapter):
    save_adapter(base, adapter / "checkpoint-5", lora())
    assert (
        coverage(loaded(adapter))
        .sentence()
        .endswith("Further adapters in its folder are not part of it: checkpoint-5.")
    )


def test_a_folder_of_several_adapters_names_them(base, tmp_path):
    for name in ("a", "b"):
        save_adapter(base, tmp_path / "run" / name, lora())
    with pytest.raises(
        ModelError, match=r"is no model folder itself, but folders in it are: 'a', 'b'\. Give one .*run/a"
    ):
        loaded(tmp_path / "run")


@pytest.mark.parametrize(
    "kind",
    "PROMPT_TUNING P_TUNING PREFIX_TUNING MULTITASK_PROMPT_TUNING CPT CARTRIDGE ADAPTION_PROMPT LOHA LOKR "
    "OFT BOFT HRA TRAINABLE_TOKENS XLORA POLY NEWER".split(),
)
def test_a_kind_that_cannot_be_tracked_is_refused_by_name(kind, adapter):
    change(adapter, peft_type=kind)
    with pytest.raises(
        ModelError, match=r"of kind \S+.* (nothing of it could|cannot|can) be tracked|LLaMA|only adapters"
    ) as refused:
        loaded(adapter)
    assert str(refused.value).count("\n") == 0


@pytest.mark.parametrize(
    ("setting", "label"),
    [
        ({"use_qalora": True}, "QALoRA"),
        ({"use_bdlora": {"nblocks": 2}}, "BD-LoRA"),
        ({"alora_invocation_tokens": [3]}, "aLoRA"),
        ({"arrow_config": {"top_k": 2}}, "Arrow"),
        ({"kasa_config": {"beta": 1}}, "KaSA"),
        ({"monteclora_config": {"num_samples": 2}}, "MonteCLoRA"),
    ],
)
def test_a_variant_of_lora_that_does_not_apply_its_matrices_is_refused(setting, label, adapter):
    with pytest.raises(ModelError, match=f"of kind {label}"):
        loaded(change(adapter, **setting))


def test_an_adapter_of_another_task_is_refused(adapter):
    with pytest.raises(ModelError, match="for the task SEQ_CLS, not for a causal language model"):
        loaded(change(adapter, task_type="SEQ_CLS"))


def test_an_adapter_without_a_task_is_loaded(adapter):
    assert loaded(change(adapter, task_type=None)).adapter.kind == "LoRA"


def test_a_setting_that_peft_does_not_know_is_refused(adapter):
    with pytest.raises(ModelError, match=r"sets 'use_future', which peft .* does not know.*pip install -U peft"):
        loaded(change(adapter, use_future=True))


def test_without_peft_one_sentence_says_how_to_install_it(adapter, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        ModelError, match=r"needs the package peft to be loaded: `pip install 'lorif-studio\[peft\]'`"
    ):
        loaded(adapter)


def test_weights_in_a_pickle_are_refused_and_the_way_to_convert_works(adapter, monkeypatch):
    weights = load_file(adapter / "adapter_model.safetensors")
    (adapter / "adapter_model.safetensors").unlink()
    torch.save(weights, adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model\.bin, a format that can run code when read") as refused:
        loaded(adapter)
    import safetensors.torch  # noqa: F401 - what the sentence's code needs

    monkeypatch.chdir(adapter)
    exec(str(refused.value).split("`")[1])
    assert loaded(adapter).adapter.kind == "LoRA"


def test_an_adapter_without_weights_is_refused(adapter):
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"but no adapter_model\.safetensors\. Save the adapter again"):
        loaded(adapter)


def test_damaged_adapter_weights_are_refused(adapter):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ModelError, match=r"cannot be read: .* Save the adapter again"):
        loaded(adapter)


def edit(folder, change_weights):
    path = folder / "adapter_model.safetensors"
    save_file(change_weights(load_file(path)), path)
    return folder


def test_a_weight_that_the_file_lacks_is_refused(adapter):
    edit(adapter, lambda weights: {name: tensor for name, tensor in weights.items() if "layers.1.mlp" not in name})
    with pytest.raises(
        ModelError, match=r"is incomplete: .* 2 parameters, such as 'model\.layers\.1\.mlp\.down_proj"
    ):
        loaded(adapter)


def test_a_module_trained_whole_that_the_file_lacks_is_refused(base, tmp_path):
    folder = save_adapter(base, tmp_path / "adapter", lora(modules_to_save=["lm_head"]))
    edit(folder, lambda weights: {name: tensor for name, tensor in weights.items() if "lm_head" not in name})
    with pytest.raises(ModelError, match=r"holds no weights for '(model\.)?lm_head\.weight'"):
        loaded(folder)


def test_a_weight_that_the_base_has_no_place_for_is_refused(adapter):
    edit(adapter, lambda weights: {name.replace("layers.1", "layers.7"): one for name, one in weights.items()})
    with pytest.raises(ModelError, match=r"holds 4 weights that have no place in it, such as 'model\.layers\.7"):
        loaded(adapter)


def test_an_adapter_of_another_architecture_is_refused(adapter, tmp_path):
    other = save_base(tmp_path / "gpt2", "gpt2")
    with pytest.raises(ModelError, match=r"does not fit its base model .*Target modules .* not found"):
        loaded(change(adapter, base_model_name_or_path=str(other)))


def test_an_adapter_of_another_width_is_refused(adapter):
    edit(adapter, lambda weights: {name: one[..., :-1].contiguous() for name, one in weights.items()})
    with pytest.raises(ModelError, match=r"does not fit its base model .*size mismatch for model\.layers\.0"):
        loaded(adapter)


def test_modules_trained_whole_are_read_under_the_names_of_older_files(base, tmp_path):
    folder = save_adapter(base, tmp_path / "adapter", lora(modules_to_save=["lm_head"]))
    wanted = loaded(folder).model.state_dict()
    edit(
        folder,
        lambda weights: {name.replace("lm_head.", "lm_head.modules_to_save."): one for name, one in weights.items()},
    )
    assert all(torch.equal(one, wanted[name]) for name, one in loaded(folder).model.state_dict().items())
    assert "modules_to_save" in " ".join(wanted)


@pytest.fixture(scope="module")
def dora_over_biases(tmp_path_factory):
    """DoRA on a model whose linear modules have biases and lie transposed, and its base."""
    folder = tmp_path_factory.mktemp("dora")
    gpt2 = save_base(folder / "gpt2", "gpt2")
    return save_adapter(
        gpt2, folder / "adapter", lora(target_modules=["c_attn"], use_dora=True, fan_in_fan_out=True)
    ), gpt2


def test_dora_computes_and_learns_what_pefts_does_over_biases(dora_over_biases):
    folder, base = dora_over_biases
    example, gradients = EXAMPLES[0], []
    for model in (loaded(folder).model.double(), by_peft(base, folder)):
        loss = example_loss(model.requires_grad_(True), example.input_ids, example.is_target)
        loss.backward()
        named = {name.removeprefix("base_model.model."): one.grad for name, one in model.named_parameters()}
        gradients.append((loss, {name: one for name, one in named.items() if "lora_A" in name or "lora_B" in name}))
    (loss, found), (wanted_loss, wanted) = gradients
    close(loss, wanted_loss, relative=1e-9)
    assert len(found) == 4
    for name, gradient in found.items():
        close(gradient, wanted[name], relative=1e-6)


@pytest.mark.parametrize("saved", ["embed_tokens", "lm_head"])
def test_tied_embeddings_that_were_trained_whole_are_one(saved, tmp_path):
    tied = save_base(tmp_path / "tied", "llama_tied")
    config = lora(modules_to_save=[saved], ensure_weight_tying=True)
    folder = save_adapter(tied, tmp_path / "adapter", config)
    ids = torch.tensor([EXAMPLES[0].input_ids])
    found = loaded(folder)
    with torch.no_grad():
        torch.testing.assert_close(
            found.model.double()(input_ids=ids).logits,
            by_peft(tied, folder)(input_ids=ids).logits,
            rtol=1e-6,
            atol=1e-6,
        )
    assert coverage(found).num_parameters == 64 * 32 + 2 * (2 * (32 + 32) + 2 * (48 + 32))
