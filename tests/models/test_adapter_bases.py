"""The base of an adapter: found from what the adapter's file names, resized to its vocabulary, or refused."""

import json
import shutil
import warnings

import pytest
import torch
from saved_adapters import by_peft, lora, save_adapter, save_base
from tiny_models import tiny_tokenizer

from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.models.load import load_model

IDS = torch.tensor([[5, 9, 3, 21, 7]])


@pytest.fixture
def base(tmp_path):
    return save_base(tmp_path / "models" / "base")


@pytest.fixture
def adapter(base, tmp_path):
    return save_adapter(base, tmp_path / "models" / "adapter", lora())


def loaded(folder):
    return load_model(ModelConfig(model=str(folder), device="cpu"))


def names(folder, base):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base}))
    return folder


def logits(model, ids=IDS):
    with torch.no_grad():
        return model(input_ids=ids).logits.double()


def test_a_relative_base_counts_from_the_adapters_folder(adapter, tmp_path, monkeypatch):
    expected = logits(loaded(adapter).model)
    monkeypatch.chdir(tmp_path)
    for relative in ("../base", "./../base"):
        assert torch.equal(logits(loaded(names(adapter, relative)).model), expected)


def test_a_relative_base_may_count_from_the_current_folder(adapter, base, tmp_path, monkeypatch):
    expected = logits(loaded(adapter).model)
    monkeypatch.chdir(tmp_path)
    assert torch.equal(logits(loaded(names(adapter, "models/base")).model), expected)
    monkeypatch.chdir(base.parent)
    assert torch.equal(logits(loaded(names(adapter, "base")).model), expected)


def test_an_adapter_can_be_given_by_a_relative_path(adapter, monkeypatch):
    expected = logits(loaded(adapter).model)
    monkeypatch.chdir(adapter.parent)
    assert torch.equal(logits(loaded("adapter").model), expected)


def test_a_base_path_that_leads_nowhere_is_refused_with_the_file_that_names_it(adapter):
    with pytest.raises(
        ModelError, match=r"adapter_config\.json' names the base model '\./gone', but there is no folder"
    ) as e:
        loaded(names(adapter, "./gone"))
    assert "Correct `base_model_name_or_path` in that file" in str(e.value)


def test_a_base_that_no_hub_gives_is_refused_with_the_file_that_names_it(adapter):
    with pytest.raises(
        ModelError,
        match=r"adapter_config\.json' names the base model 'nobody/gone', but .* neither a folder .*that file",
    ):
        loaded(names(adapter, "nobody/gone"))


def test_an_adapter_that_names_no_base_is_refused(adapter):
    with pytest.raises(ModelError, match=r"names no base model\. Write its path into `base_model_name_or_path`"):
        loaded(names(adapter, None))


def test_a_base_that_is_an_adapter_itself_is_refused(adapter, base, tmp_path):
    second = save_adapter(base, tmp_path / "second", lora())
    with pytest.raises(ModelError, match="which is an adapter itself"):
        loaded(names(second, str(adapter)))


def test_a_folder_with_a_model_and_an_adapter_is_refused(adapter, base):
    for path in (base / "config.json", base / "model.safetensors"):
        shutil.copy(path, adapter)
    with pytest.raises(
        ModelError, match="holds a whole model and an adapter, and nothing says which of them is meant"
    ):
        loaded(adapter)


def test_a_configuration_beside_an_adapter_changes_nothing(adapter, base):
    expected = logits(loaded(adapter).model)
    shutil.copy(base / "config.json", adapter)
    assert torch.equal(logits(loaded(adapter).model), expected)


def test_an_adapter_without_a_tokenizer_has_its_bases(adapter):
    before = loaded(adapter)
    for path in adapter.glob("*token*"):
        path.unlink()
    found = loaded(adapter)
    assert found.tokenizer_fingerprint == before.tokenizer_fingerprint
    assert found.tokenizer("ab")["input_ids"] == tiny_tokenizer()("ab")["input_ids"]


@pytest.mark.parametrize(
    "settings",
    [{}, {"modules_to_save": ["embed_tokens", "lm_head"]}, {"trainable_token_indices": [65]}],
    ids=["embeddings kept", "embeddings trained", "one token trained"],
)
def test_an_adapter_saved_after_its_vocabulary_was_resized_computes_what_peft_computes(settings, base, tmp_path):
    folder = save_adapter(base, tmp_path / "resized", lora(**settings), rows=67)
    ids = torch.tensor([[5, 66, 3, 65, 7]])
    found = loaded(folder).model
    assert found.config.vocab_size == 67
    torch.testing.assert_close(logits(found, ids), logits(by_peft(base, folder, rows=67), ids), rtol=1e-4, atol=1e-4)


def test_new_tokens_whose_weights_are_in_no_file_are_refused(base, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = lora(target_modules=["q_proj", "lm_head"])
        folder = save_adapter(base, tmp_path / "resized", config, rows=67, save_embedding_layers=False)
    with pytest.raises(
        ModelError, match=r"was trained with 67 tokens, its base model .* has 64, .*save_embedding_layers=True"
    ):
        loaded(folder)
