"""Model folders from anybody: whatever their files say, the answer is one sentence."""

import json
import os

import pytest
import torch
from saved_adapters import lora, save_adapter
from tiny_models import tiny_model, tiny_tokenizer

from lorif_core.config import ModelConfig
from lorif_core.errors import DataError, LorifError, ModelError
from lorif_core.models.load import load_model
from lorif_core.models.model_folder import find_model_folder


@pytest.fixture
def folder(tmp_path):
    tiny_model("llama", dtype=torch.bfloat16).save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def load(folder):
    return load_model(ModelConfig(model=str(folder), device="cpu"))


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DEEP = b"[" * 100_000 + b"]" * 100_000
NO_JSON = [b"", b"{", b"\xff\xfe{}", b'{"a": ' + DEEP + b"}", b'{"n": ' + b"9" * 1_000_000 + b"}", b"[]", b"null"]


@pytest.mark.parametrize("content", NO_JSON, ids=lambda content: str(content[:8]))
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "adapter_config.json"])
def test_settings_that_are_no_json_object_are_named(folder, name, content):
    (folder / name).write_bytes(content)
    if name == "adapter_config.json":
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=rf"{name}' (is not JSON|must hold a JSON object)") as refused:
        load(folder)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("setting", ["vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size"])
@pytest.mark.parametrize("value", [10**9, 10**400, -1, 1.5, "many", [10**12], True])
def test_a_number_that_the_weights_contradict_builds_nothing(folder, setting, value):
    change(folder / "config.json", **{setting: value})
    with pytest.raises(ModelError, match=rf"`{setting}` (in|is) .*config.json"):
        load(folder)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("num_attention_heads", 0),
        ("rms_norm_eps", "small"),
        ("rope_parameters", {"rope_type": "unheard of"}),
        ("architectures", 7),
        ("model_type", "unheard of"),
        ("model_type", 7),
        ("hidden_act", "__import__"),
        ("torch_dtype", "object"),
        ("dtype", [1]),
    ],
)
def test_a_setting_of_the_wrong_kind_is_one_sentence_or_unused(folder, setting, value):
    change(folder / "config.json", **{setting: value})
    try:
        found = load(folder)
    except LorifError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a setting that nothing reads may stand there
    else:
        assert found.num_parameters


@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"version": "9", "model": 7}', b'{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": 3}}'],
)
def test_a_tokenizer_that_is_none_is_one_sentence(folder, content):
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match="has no usable tokenizer"):
        load(folder)


@pytest.mark.parametrize(
    "place", ["../model.safetensors", "/etc/passwd", "sub/model.safetensors", "model.bin", 7, None]
)
def test_an_index_of_weights_names_only_safetensors_beside_it(folder, place):
    index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": place}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"names \.safetensors files beside it"):
        load(folder)


def test_remote_code_of_a_configuration_is_not_run(folder):
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\n")
    names = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    change(folder / "config.json", auto_map=names, model_type="evil")
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", "evil.T"]}, tokenizer_class="Evil")
    with pytest.raises(ModelError):
        load(folder)
    assert not (folder / "ran").exists()


def header(length, content):
    return length.to_bytes(8, "little") + content


ENTRY = b'{"a":{"dtype":"%s","shape":[%s],"data_offsets":[%s]}}'
WEIGHTS = {
    "length beyond the file": header(1 << 40, b"{}"),
    "largest length": header((1 << 64) - 1, b"{}"),
    "negative": header(52, ENTRY % (b"F32", b"1", b"-4,0")) + bytes(8),
    "lie about the type": header(53, ENTRY % (b"F99", b"1", b"0,4")) + bytes(8),
    "deep": header(len(DEEP), DEEP),
    "not UTF-8": header(4, b"\xff\xff\xff\xff"),
    "a pickle": b"\x80\x04\x95csubprocess",
}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=list(WEIGHTS))
@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_hostile_weights_are_one_sentence(folder, tmp_path, kind, content):
    where, name = folder, "model.safetensors"
    if kind == "adapter":
        where, name = save_adapter(folder, tmp_path / "adapter", lora()), "adapter_model.safetensors"
    (where / name).write_bytes(content)
    with pytest.raises(ModelError) as refused:
        load(where)
    assert "\n" not in str(refused.value)


def test_a_pipe_for_a_configuration_is_refused_without_waiting(folder):
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(DataError, match="is a pipe"):
        find_model_folder(ModelConfig(model=str(folder)))
