"""Which share of a model an index says that it sees."""

from dataclasses import replace

import pytest
from peft import IA3Config, LoraConfig, VeraConfig
from safetensors import safe_open
from saved_adapters import save_adapter, save_base
from tiny_models import tiny_model, tiny_tokenizer
from tiny_workspace import copy_of, indexed

import lorif_core as lf
from lorif_core.config import ModelConfig
from lorif_core.errors import ArtefactError
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.method_settings import IndexConfig, KroneckerConfig
from lorif_core.models.load import LoadedModel, load_model
from lorif_core.workspace.indexes.engine import build_engine
from lorif_core.workspace.indexes.model_share import keep_share, read_share, share_of, share_sentence
from lorif_core.workspace.indexes.take_statistics import reached_moments


def engine_of(architecture, **choice):
    return engine_from(LoadedModel(tiny_model(architecture), tiny_tokenizer(), "tiny", "m", "t"), **choice)


def engine_from(loaded, **choice):
    return build_engine(loaded, IndexConfig(model=ModelConfig(model="tiny", **choice), method=KroneckerConfig()))


@pytest.mark.parametrize("architecture", ["llama", "llama_tied", "gpt2", "qwen3_moe"])
def test_the_share_counts_matrices_over_all_weights_shared_ones_once(architecture):
    engine = engine_of(architecture)
    model = engine.loaded.model
    special = ("embed", "wte", "wpe", "attn", "norm", "ln_", "bias", ".gate.")
    matrices = {
        id(weight): weight.numel()
        for name, weight in model.named_parameters(remove_duplicate=False)
        if not any(word in name for word in special)
    }
    everything = {id(weight): weight.numel() for weight in model.parameters()}
    found = share_of(engine)
    assert (found.num_seen, found.num_weights) == (sum(matrices.values()), sum(everything.values()))
    assert found.sentence == f"the index sees {found.share:.1%} of the model's weights"
    assert found.left_out == {}


def test_of_adapters_only_their_own_weights_count():
    found = share_of(engine_of("llama_lora"))
    assert found.share == 1
    assert found.sentence == "the index sees 100.0% of the adapters' weights; the model under them is frozen"


OTHER_ADAPTERS = {
    "IA3": IA3Config(
        target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"
    ),
    "VeRA": VeraConfig(r=4, target_modules=["q_proj", "k_proj"], task_type="CAUSAL_LM"),
    "trained biases": LoraConfig(r=2, target_modules=["q_proj"], lora_bias=True, task_type="CAUSAL_LM"),
}


@pytest.mark.parametrize("kind", OTHER_ADAPTERS)
def test_the_weights_of_any_adapter_are_those_that_were_trained(kind, tmp_path):
    folder = save_adapter(save_base(tmp_path / "base"), tmp_path / "adapter", OTHER_ADAPTERS[kind])
    with safe_open(folder / "adapter_model.safetensors", "pt") as weights:
        sizes = {name: weights.get_tensor(name).numel() for name in weights.keys()}
    trained = {name: size for name, size in sizes.items() if "vera_A" not in name and "vera_B" not in name}
    engine = engine_from(load_model(ModelConfig(model=str(folder), device="cpu")))
    found = share_of(engine)
    biases = sum(size for name, size in trained.items() if name.endswith("bias"))
    assert (found.num_seen, found.num_weights) == (sum(trained.values()) - biases, sum(trained.values()))
    assert (found.share < 1) == (kind == "trained biases")
    some = share_of(engine.with_ranks({engine.modules[0].name: 1}))
    assert 0 < some.num_seen < found.num_seen
    assert some.num_weights == found.num_weights


def test_modules_that_a_budget_left_out_are_not_seen():
    engine = engine_of("llama")
    some = engine.with_ranks({engine.modules[0].name: 1})
    assert share_of(some).num_seen == engine.modules[0].in_features * engine.modules[0].out_features


def test_what_a_trial_left_out_is_kept_beside_the_index_with_its_reason(tmp_path):
    engine = engine_of("llama")
    entries = [
        replace(one, reason="never called", failed_trial=True) if one.name.endswith("0.mlp.up_proj") else one
        for one in engine.entries
    ]
    keep_share(tmp_path, share_of(replace(engine, entries=entries)))
    kept = read_share(tmp_path)
    assert kept is not None
    assert kept.left_out == {"model.layers.0.mlp.up_proj": "never called"}


@pytest.fixture
def indexed_copy(tmp_path):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    (path,) = workspace.path.glob("indexes/*/coverage.json")
    return workspace, path


def test_a_record_that_is_gone_is_counted_from_the_modules(indexed_copy):
    workspace, path = indexed_copy
    (record,) = workspace.files.catalog.indexes()
    kept = share_sentence(workspace.files, record)
    path.unlink()
    assert share_sentence(workspace.files, record) == kept
    assert "% of the model's weights" in kept


def test_what_cannot_be_told_is_said(indexed_copy, monkeypatch):
    workspace, path = indexed_copy
    path.unlink()
    (record,) = workspace.files.catalog.indexes()
    monkeypatch.setattr("lorif_core.workspace.indexes.model_share.share_of_index", lambda *_: None)
    assert share_sentence(workspace.files, record) == "which share of the model the index sees was not kept"


def test_another_file_in_its_place_is_named(indexed_copy):
    _, path = indexed_copy
    path.write_bytes((path.parent / "manifest.json").read_bytes())
    with pytest.raises(ArtefactError, match=r"coverage\.json' does not say which share"):
        read_share(path.parent)


def test_an_expert_that_no_text_of_the_samplereached_moments_has_the_moments_of_the_others():
    names = [f"layers.0.experts.{number}.down_proj" for number in range(3)] + ["layers.1.experts.0.down_proj"]
    moments = {name: Moments.zeros(2, 3) for name in names}
    for scale, name in enumerate([names[0], names[1], names[3]], start=1):
        moments[name].inputs += scale
        moments[name].output_grads += 10 * scale
        moments[name].num_tokens = scale
    found = reached_moments(names[2], moments)
    assert (float(found.inputs[0, 0]), float(found.output_grads[0, 0]), found.num_tokens) == (3, 30, 3)
    assert reached_moments(names[0], moments) is moments[names[0]]
