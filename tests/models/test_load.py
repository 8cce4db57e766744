import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from saved_adapters import lora, save_adapter
from tiny_models import tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM

from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.models.load import choose_device, find_model_folder, load_model


def save_model(folder, seed=0, **tokenizer):
    tiny_model("llama", seed=seed, dtype=torch.bfloat16).save_pretrained(folder)
    tiny_tokenizer(**tokenizer).save_pretrained(folder)
    return folder


def loaded(folder, **settings):
    return load_model(ModelConfig(model=str(folder), device="cpu", **settings))


@pytest.fixture
def folder(tmp_path):
    return save_model(tmp_path / "model")


def test_a_saved_model_is_loaded_in_evaluation_mode_and_float32_on_the_cpu(folder):
    found = loaded(folder)
    assert found.architecture == "LlamaForCausalLM"
    assert not any(module.training for module in found.model.modules())
    assert {parameter.dtype for parameter in found.model.parameters()} == {torch.float32}
    assert found.device == torch.device("cpu")
    assert found.name == str(folder)
    assert found.tokenizer("ab", add_special_tokens=False)["input_ids"] == [3, 4]
    wanted = tiny_model("llama", dtype=torch.bfloat16).state_dict()
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, wanted[name].float()), name


def test_parameters_are_counted_once(folder):
    assert loaded(folder).num_parameters == sum(p.numel() for p in tiny_model("llama").parameters())


def test_fingerprints_follow_the_files_and_not_the_name_of_the_folder(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "other name")
    first, second = loaded(folder), loaded(moved)
    assert first.fingerprint == second.fingerprint
    assert first.tokenizer_fingerprint == second.tokenizer_fingerprint


def test_other_weights_have_another_fingerprint(folder, tmp_path):
    first, second = loaded(folder), loaded(save_model(tmp_path / "b", seed=1))
    assert first.fingerprint != second.fingerprint
    assert first.tokenizer_fingerprint == second.tokenizer_fingerprint


def test_another_configuration_has_another_fingerprint(folder):
    first = loaded(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    assert loaded(folder).fingerprint != first.fingerprint


def test_another_tokenizer_has_another_fingerprint_of_its_own(folder, tmp_path):
    first, second = loaded(folder), loaded(save_model(tmp_path / "b", adds_bos=True))
    assert first.fingerprint == second.fingerprint
    assert first.tokenizer_fingerprint != second.tokenizer_fingerprint


def test_files_that_a_model_does_not_read_leave_the_fingerprints_alone(folder):
    first = loaded(folder)
    (folder / "README.md").write_text("notes")
    (folder / "training_args.bin").write_bytes(b"x")
    second = loaded(folder)
    assert (first.fingerprint, first.tokenizer_fingerprint) == (second.fingerprint, second.tokenizer_fingerprint)


def test_a_folder_of_pickled_weights_only_is_refused(folder):
    weights = tiny_model("llama").state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"holds no \.safetensors file, and other weight formats \(pytorch_model\.bin\) can run code"
    ):
        loaded(folder)


def test_the_way_to_convert_pickled_weights_works(folder, tmp_path):
    wanted = loaded(folder).model.state_dict()
    weights = tiny_model("llama", dtype=torch.bfloat16).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="If you trust it") as refused:
        loaded(folder)
    exec(str(refused.value).split("`")[1], {"AutoModelForCausalLM": AutoModelForCausalLM, "OUT": tmp_path / "out"})
    tiny_tokenizer().save_pretrained(tmp_path / "out")
    for name, tensor in loaded(tmp_path / "out").model.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize("name", ["consolidated.00.pth", "model.pt", "model.ckpt"])
def test_other_pickles_are_named(name, folder):
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelError, match=rf"other weight formats \({name}\) can run code"):
        loaded(folder)


def test_a_gguf_folder_is_refused_with_the_way_to_convert(tmp_path):
    (tmp_path / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    for given in (tmp_path, tmp_path / "model-Q4_K_M.gguf"):
        with pytest.raises(
            ModelError,
            match=rf"GGUF \('model-Q4_K_M.gguf'\), .*from_pretrained\('{tmp_path}', gguf_file='model-Q4_K_M.gguf', ",
        ):
            loaded(given)


def test_a_file_is_refused_with_its_folder(folder):
    with pytest.raises(ModelError, match=rf"is a file, but a model is a folder .*Give '{folder}'"):
        loaded(folder / "model.safetensors")


def test_pickled_weights_are_refused_beside_another_safetensors_file(folder):
    weights = tiny_model("llama").state_dict()
    (folder / "model.safetensors").rename(folder / "optimizer.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model"):
        loaded(folder)


def test_pickled_weights_beside_safetensors_are_not_read(folder):
    (folder / "pytorch_model.bin").write_bytes(b"this is no pickle")
    assert loaded(folder).architecture == "LlamaForCausalLM"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="neither a folder nor a model that the Hugging Face hub gives"):
        loaded(tmp_path / "nothing")


def test_a_folder_without_a_configuration_is_refused(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"is no model folder: it holds no config\.json"):
        loaded(folder)


def test_a_folder_without_a_tokenizer_is_refused_with_the_way_to_save_one(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match=r"has no usable tokenizer: .*tokenizer\.save_pretrained"):
        loaded(folder)


def test_a_model_of_another_kind_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "vit"}))
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model"):
        loaded(folder)


def test_damaged_weights_are_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model"):
        loaded(folder)


def test_weights_that_miss_a_layer_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(
        ModelError, match=r"is incomplete: its files hold no weights for 9 parameters, such as 'model\.layers\.2"
    ):
        loaded(folder)


def test_weights_of_another_width_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 40}))
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model"):
        loaded(folder)


def carry_code(folder):
    """Let the model bring a Python file that leaves a trace when it runs."""
    trace = folder / "code ran"
    (folder / "modeling_own.py").write_text(
        f"open({str(trace)!r}, 'w').close()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return trace


def test_code_that_comes_with_a_model_does_not_run_by_default(folder):
    trace = carry_code(folder)
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model"):
        loaded(folder)
    assert not trace.exists()


def test_code_runs_when_a_person_asked_for_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    trace = carry_code(folder)
    assert loaded(folder, trust_remote_code=True).architecture == "OwnModel"
    assert trace.exists()


@pytest.mark.parametrize("name", ["gpu", "cuda:x", ""])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(ModelError, match="device must be auto, cpu, cuda or cuda:N"):
        choose_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"sees no GPU\. Use `--device cpu`"):
        choose_device("cuda")
    assert choose_device("auto") == torch.device("cpu")


def test_the_given_folder_is_the_one_that_is_read(folder):
    assert find_model_folder(ModelConfig(model=str(folder))) == folder


@pytest.fixture
def adapter(folder, tmp_path):
    return save_adapter(folder, tmp_path / "adapter", lora(target_modules=["q_proj"]))


def test_an_adapter_is_loaded_on_its_base_model(adapter):
    names = [name for name, _ in loaded(adapter).model.named_modules()]
    assert any(name.endswith("layers.1.self_attn.q_proj.lora_A.default") for name in names)


def test_another_base_model_gives_its_adapter_another_fingerprint(adapter, folder):
    first = loaded(adapter)
    save_model(folder, seed=1)
    assert loaded(adapter).fingerprint != first.fingerprint


def test_other_adapter_weights_have_another_fingerprint(adapter, tmp_path):
    other = shutil.copytree(adapter, tmp_path / "other")
    path = other / "adapter_model.safetensors"
    tensors = {name: tensor + 1 for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    assert loaded(adapter).fingerprint != loaded(other).fingerprint


def test_an_adapter_whose_base_model_is_gone_is_refused(adapter, folder):
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(
        ModelError, match=r"adapter_config\.json' names the base model '.*model', but there is no folder"
    ):
        loaded(adapter)


def test_an_adapter_on_pickled_base_weights_is_refused(adapter, folder):
    weights = tiny_model("llama").state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"safetensors"):
        loaded(adapter)
