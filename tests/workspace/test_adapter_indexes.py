"""An adapter is indexed and asked, and said to be one wherever its modules, its cost or its index are shown."""

import json
import warnings
from functools import cache

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_workspace import SMALL, copy_of, done, imported, model_folder, root
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorif_core.store.plan import read_plan
from lorif_core.workspace.workspace import open_workspace

KIND = "DoRA adapter of rank 2 on"


@cache
def adapter_folder():
    """A DoRA adapter on the tiny model, whose base is named relative to it."""
    folder = root() / "adapter"
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(model_folder(), dtype=torch.float32)
    settings = LoraConfig(r=2, target_modules=["c_attn"], use_dora=True, fan_in_fan_out=True, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(model, settings)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder()).save_pretrained(folder)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text()) | {"base_model_name_or_path": f"../{model_folder().name}"}
    path.write_text(json.dumps(settings))
    return folder


def test_the_list_of_modules_says_what_the_adapter_is_and_what_of_it_is_tracked():
    listed = done("index", "--model", adapter_folder(), "--list-modules", "--json").json
    tracked = [module["name"] for module in listed["modules"] if module["is_tracked"]]
    assert tracked == [
        f"transformer.h.{layer}.attn.c_attn.lora_{part}"
        for layer in range(2)
        for part in ("A.default", "B.default", "magnitude_vector.default.scale")
    ]
    (width,) = {module["out_features"] for module in listed["modules"] if module["name"].endswith("lora_B.default")}
    assert listed["adapter"]["left_out"] == {}
    assert listed["adapter"]["num_tracked"] == 2 * (2 * (width // 3 + width) + width)
    said = " ".join(done("index", "--model", adapter_folder(), "--list-modules").out.split())
    assert "which is frozen: 100% of the adapter's" in said


def test_an_index_of_an_adapter_is_built_asked_and_described(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    estimate = done("index", workspace, "--model", adapter_folder(), *SMALL, "--dry-run", "--json").json["estimate"]
    assert estimate["adapter"].startswith(KIND)
    done("index", workspace, "--model", adapter_folder(), *SMALL)
    asked = done("ask", workspace, "--prompt", "The river of Arlen is", "--completion", " a castle", "--json").json
    assert asked["supports"]
    ((index_id, sentence),) = open_workspace(workspace).indexes.adapters().items()
    assert sentence == (
        f"{KIND} '../{model_folder().name}': 6 modules are tracked, "
        "c_attn.lora_A, c_attn.lora_B, lora_magnitude_vector.scale."
    )
    assert f"{index_id}: {KIND}" in " ".join(done("doctor", workspace).out.split())
    assert done("doctor", workspace, "--json").json["workspace"]["adapters"] == {index_id: sentence}


@pytest.mark.parametrize("method", ["graddot", "kronecker"])
def test_a_projected_adapter_keeps_its_rank_and_answers(tmp_path, method):
    workspace = copy_of(imported(), tmp_path)
    record = done("index", workspace, "--model", adapter_folder(), "--method", method, "--f", 3, "--json").json
    (plan,) = [read_plan(place) for place in (workspace / "indexes").glob(record["index_id"])]
    by_name = {one.name.rpartition(".h.0.attn.c_attn.")[2]: one for one in plan.modules}
    up, down = by_name["lora_B.default"], by_name["lora_A.default"]
    assert (up.in_features, up.d_in, up.d_out) == (2, 2, up.out_features // 3)
    assert (down.out_features, down.d_out, down.d_in) == (2, 2, down.in_features // 3)
    asked = done("ask", workspace, "--prompt", "The river of Arlen is", "--completion", " a castle", "--json").json
    assert asked["supports"]
