"""``python -m benchmarks.gpu`` with tiny models."""

import json
import math

import pytest
import torch
from devices import FLOAT32, distance
from transformers import AutoModelForCausalLM

from benchmarks.gpu import COMPARED, DIVISORS, STEPS, default_path, main
from benchmarks.gpu_models import build_workload, model_configs, peak_flops
from benchmarks.gpu_questions import MILLION, TINY, draw_index, plan_question
from lorif_core.passes.device_shards import ScoringDevice
from lorif_core.passes.scoring import iter_scores

pytestmark = pytest.mark.gpu


def benchmark(device, path, *arguments):
    main(["--device", str(device), "--tiny", "--out", str(path), *arguments])
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_benchmark_writes_every_figure_and_prints_a_line_for_each_step(device, tmp_path, capsys):
    report = benchmark(device, tmp_path / "new" / "gpu.json", "--commit", "c0ffee")
    assert report["commit"] == "c0ffee"
    assert report["left_out"] == []
    assert {"device", "device_memory_bytes", "python", "torch", "transformers"} <= report["machine"].keys()
    assert {"dtype": "bfloat16", "tiny": True, "texts": 4, "length": 32}.items() <= report["settings"].items()
    assert [model["model"] for model in report["models"]] == ["gpt2 tiny", "llama tiny", "llama small"]
    printed = capsys.readouterr().out
    for model in report["models"]:
        assert [one["step"] for one in model["steps"]] == list(STEPS)
        for one in model["steps"]:
            assert f"{model['model']:<12} {one['step']}" in printed
            assert one["texts_per_s"] == pytest.approx(4 / one["seconds"])
            assert one["tokens_per_s"] == pytest.approx(4 * 32 / one["seconds"])
            on_gpu = device.type == "cuda"
            assert ((one["peak_bytes"] or 0) > 0) == on_gpu
            assert (one["estimated_bytes"] is not None) == (one["step"] in DIVISORS)
            assert (one["num_host_syncs"] is not None) == on_gpu
        roots = model["roots"]
        assert roots["seconds"] > 0
        assert roots["modules"] * (3 if model["model"] == "llama small" else 2) == roots["of"]
        assert f"{roots['modules']} of {roots['of']} modules" in printed
        for other in ("rate_over_training_step", "rate_over_floor"):
            assert list(model[other]) == COMPARED
            assert all(math.isfinite(rate) and rate > 0 for rate in model[other].values())


def test_a_question_is_asked_resident_and_streamed(device, tmp_path, capsys):
    found = benchmark(device, tmp_path / "gpu.json")["question"]
    # Three modules, of each two columns of 24 signs and a scale.
    assert {
        "texts": 120,
        "bytes_per_text": 3 * 2 * (3 + 2),
        "modules": 3,
        "plan": "factored",
    }.items() <= found.items()
    printed = capsys.readouterr().out
    for name in ("resident", "streamed"):
        one = found[name]
        assert one["gb_per_s"] == pytest.approx(120 * 30 / one["seconds"] / 1e9)
        assert (one["resident_bytes"] == 120 * 30) == (name == "resident")
        assert one["num_host_syncs"] == (0 if device.type == "cuda" else None)
        assert f"120 texts of 30 bytes, {name}: " in printed


def test_what_is_asked_scores_as_the_processor_scores_it(device, tmp_path):
    reader = draw_index(tmp_path, TINY, device)
    ours, theirs = (
        torch.cat([scores for _, scores in iter_scores(plan_question(reader, TINY, place))], 1)
        for place in (ScoringDevice(device), None)
    )
    assert ours.shape == (1, TINY.num_texts)
    assert distance(ours, theirs) < FLOAT32


def test_a_million_texts_of_four_kilobytes_are_that():
    assert MILLION.num_texts == 1_000_000
    assert MILLION.bytes_per_text == 4096
    assert MILLION.num_texts % MILLION.texts_per_shard == 0


@pytest.mark.parametrize(
    ("name", "peak"), [("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA L40S", 362e12)]
)
def test_the_longest_name_on_a_data_sheet_counts(name, peak):
    assert peak_flops(name) == peak
    assert peak_flops("a device of tomorrow") is None


def test_every_token_is_multiplied_with_all_weights_but_embeddings(device):
    configs = model_configs(is_tiny=True)
    gpt2, llama, _ = (build_workload(name, one, device, 1, 4).num_multiplied for name, one in configs.items())
    # Per layer q, k, v and the output, up and down; the head. gpt2's head is its embedding, and counts once.
    assert gpt2 == 2 * (4 * 32 * 32 + 2 * 32 * 128) + 32 * 128
    assert llama == 2 * (4 * 32 * 32 + 3 * 32 * 64) + 32 * 128


def test_passes_are_counted_before_the_first_one_takes_memory(device, tmp_path, monkeypatch):
    free = {"bytes": 10**9}
    monkeypatch.setattr("benchmarks.gpu.free_bytes", lambda device: free["bytes"])
    taken = STEPS["statistics"]
    monkeypatch.setitem(STEPS, "statistics", lambda work: (taken(work), free.update(bytes=1))[0])
    report = benchmark(device, tmp_path / "gpu.json")
    step = report["models"][0]["steps"][-1]
    assert (step["step"], step["num_passes"]) == ("statistics", 1)
    # q, k and v together and the output, up and down, of two layers: both sides squared, four bytes each.
    assert step["moments_bytes"] == 2 * 4 * ((32**2 + 96**2) + 2 * 32**2 + 2 * (32**2 + 128**2))


def test_the_large_model_has_the_dimensions_of_eight_billion():
    config = model_configs(is_tiny=False)["llama 8B"]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(one.numel() for one in model.parameters()) == 8_030_261_248


def test_a_benchmark_without_time_says_what_it_left_out(device, tmp_path, capsys):
    report = benchmark(device, tmp_path / "gpu.json", "--seconds", "0")
    assert report["models"] == []
    names = ["gpt2 tiny", "llama tiny", "llama small", "question"]
    assert report["left_out"] == [f"{name}: no time was left." for name in names]
    assert report["question"] is None
    assert "left out: gpt2 tiny: no time was left." in capsys.readouterr().out


def test_a_step_that_does_not_fit_is_left_out_and_said(device, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu.SHARE_OF_MEMORY", 0.0)
    report = benchmark(device, tmp_path / "gpu.json")
    for model in report["models"]:
        done = ["training step", "floor", "training step again", "statistics"]  # which take a pass more
        assert [one["step"] for one in model["steps"]] == done
        assert list(model["rate_over_floor"]) == ["statistics"]
    reasons = [reason for reason in report["left_out"] if reason.startswith("llama tiny")]
    assert [reason.split(": ")[0] for reason in reasons] == [f"llama tiny, {step}" for step in DIVISORS]
    assert all("GB that are free." in reason for reason in reasons)


def test_results_go_to_the_folder_that_comes_back_from_a_lent_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("OUT", str(tmp_path))
    assert default_path("NVIDIA H100 80GB HBM3") == tmp_path / "gpu-nvidia-h100-80gb-hbm3.json"
    monkeypatch.delenv("OUT")
    assert default_path("x86_64").parts[-3:] == ("benchmarks", "results", "gpu-x86-64.json")
