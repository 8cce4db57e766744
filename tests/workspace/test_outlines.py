"""A dry run of a model whose weights are not there: told from shapes, checked by hand, nothing large allocated."""

import json
import shutil
import subprocess
import sys

import pytest
from tiny_workspace import done, imported, lorif, model_folder

from benchmarks.big_models import CONFIGS, write_config
from lorif_core.config import ModelConfig
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.models.outline import outline_model
from lorif_core.workspace.indexes import estimate_outline
from lorif_core.workspace.indexes.estimate_outline import outline_estimate

EXPECTED = {
    # numbers of the model, matrices of the MLPs and the head, f
    "Llama-3-8B": (8_030_261_248, 97, 16),
    "Qwen2.5-7B": (7_615_616_512, 85, 16),
    "Llama-3-70B": (70_553_706_496, 241, 32),
    "Mixtral-8x7B": (46_702_792_704, 32 * 8 * 2 + 1, 32),
}


def settings_of(folder):
    return IndexConfig(model=ModelConfig(model=str(folder), device="cpu"))


@pytest.mark.parametrize("name", ["Llama-3-8B", "Mixtral-8x7B"])
def test_a_configuration_says_what_its_index_takes(tmp_path, name):
    num_parameters, num_modules, f = EXPECTED[name]
    settings = settings_of(write_config(tmp_path, name))
    assert outline_model(settings.model).num_parameters == num_parameters
    found = outline_estimate(settings, 1000, 1 << 50)
    assert found.num_modules == num_modules
    assert found.size is not None
    assert found.size.startswith(f"f = {f} with rank 1")
    assert found.memory_bytes > 4 * num_parameters + found.maps_bytes + 2 * found.statistics_bytes - 10**8
    assert (found.seconds, found.tokens_per_second) == (None, None)
    assert found.num_passes == 1
    assert outline_estimate(settings, 1000, 0).num_passes == (97 if name == "Llama-3-8B" else 65)


def test_maps_statistics_and_bytes_of_llama_are_those_of_a_count_by_hand(tmp_path):
    found = outline_estimate(settings_of(write_config(tmp_path, "Llama-3-8B")), 1000, 1 << 50)
    narrow, wide, vocabulary = 4096, 14336, 128256
    assert found.maps_bytes == 4 * (96 * (narrow**2 + wide**2) // 16 + narrow**2 // 16 + vocabulary)
    triangles = {width: width * (width + 1) // 2 for width in (narrow, wide)}
    assert found.statistics_bytes == 4 * (96 * sum(triangles.values()) + triangles[narrow] + vocabulary)
    per_text = 96 * (narrow // 128 + 2 + wide // 128 + 2) + 8 * (narrow // 128 + 2 + 4)
    assert abs(found.bytes_per_example - 8 - per_text) <= 96 * 2  # a codec may keep one scale per term
    assert found.shard_bytes == 1000 * (found.bytes_per_example + 4)


ALLOCATED = """
import sys
from pathlib import Path
from lorif_core.config import ModelConfig
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.workspace.indexes.estimate_outline import outline_estimate
from lorif_core.workspace.indexes.timed_batches import watched_memory
import transformers.models.llama.modeling_llama, transformers.models.mixtral.modeling_mixtral
with watched_memory() as peak:
    before = peak.bytes
    for folder in sys.argv[1:]:
        outline_estimate(IndexConfig(model=ModelConfig(model=folder, device="cpu")), 1000, 10**10)
print(peak.bytes - before)
"""


def test_nothing_large_is_allocated_for_the_largest_models(tmp_path):
    folders = [str(write_config(tmp_path, name)) for name in ("Llama-3-70B", "Mixtral-8x7B")]
    run = subprocess.run([sys.executable, "-c", ALLOCATED, *folders], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 200_000_000


def test_a_dry_run_needs_neither_weights_nor_tokenizer(tmp_path):
    place = write_config(tmp_path, "Llama-3-8B")
    run = done("index", imported(), "--model", place, "--dry-run")
    said = " ".join((run.out + run.err).replace("│", " ").split())  # where a row is broken depends on its figures
    for one in ("maps", "statistics", "f = 16 with rank 1", "is unknown without weights", "over the sample"):
        assert one in said
    told = done("index", imported(), "--model", place, "--dry-run", "--json").json
    assert told["index_id"] is None
    assert told["estimate"]["seconds"] is None


def test_shapes_of_an_outline_are_those_of_the_loaded_model(tmp_path):
    """The same bytes, maps and statistics with and without the weights."""
    shutil.copy(model_folder() / "config.json", tmp_path / "config.json")
    outlined = done("index", imported(), "--model", tmp_path, "--dry-run", "--json").json["estimate"]
    loaded = done("index", imported(), "--model", model_folder(), "--dry-run", "--json").json["estimate"]
    same = (
        "bytes_per_example",
        "shard_bytes",
        "maps_bytes",
        "statistics_bytes",
        "num_modules",
        "size",
        "model_share",
    )
    assert {name: outlined[name] for name in same} == {name: loaded[name] for name in same}
    assert loaded["untold"] is None


def test_a_build_without_weights_is_refused_as_ever(tmp_path):
    run = lorif("index", imported(), "--model", write_config(tmp_path, "Llama-3-8B"))
    assert run.code == 2
    assert "holds no .safetensors file" in run.err


def test_weights_that_do_not_fit_are_refused_before_they_are_loaded(monkeypatch):
    monkeypatch.setattr(estimate_outline, "free_bytes", lambda device: 1000)
    run = lorif("index", imported(), "--model", model_folder())
    assert run.code == 2
    assert "a model must fit into memory" in run.err
    told = done("index", imported(), "--model", model_folder(), "--dry-run", "--json").json
    assert told["estimate"]["untold"] is not None


@pytest.mark.parametrize(
    ("setting", "value"),
    [("num_hidden_layers", 10**6), ("hidden_size", 10**12), ("num_hidden_layers", "many"), ("vocab_size", -1)],
)
def test_numbers_that_no_model_has_are_refused(tmp_path, setting, value):
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["Llama-3-8B"] | {setting: value}))
    run = lorif("index", imported(), "--model", tmp_path, "--dry-run")
    assert run.code == 2
    assert f"`{setting}` is a whole number" in run.err


def test_a_configuration_of_something_else_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nothing of the kind"}')
    run = lorif("index", imported(), "--model", tmp_path, "--dry-run")
    assert run.code == 2
    assert "is no configuration of a causal language model" in " ".join(run.err.split())
