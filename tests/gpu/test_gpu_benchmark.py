"""``python -m benchmarks.gpu`` with tiny models."""

import json
import math

import pytest

from benchmarks.gpu import COMPARED, STEPS, default_path, main

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
    assert [model["model"] for model in report["models"]] == ["gpt2 tiny", "llama tiny"]
    printed = capsys.readouterr().out
    for model in report["models"]:
        assert [one["step"] for one in model["steps"]] == list(STEPS)
        for one in model["steps"]:
            assert f"{model['model']:<12} {one['step']}" in printed
            assert one["texts_per_s"] == pytest.approx(4 / one["seconds"])
            assert one["tokens_per_s"] == pytest.approx(4 * 32 / one["seconds"])
            on_gpu = device.type == "cuda"
            assert ((one["peak_bytes"] or 0) > 0) == on_gpu
            assert (one["num_host_syncs"] is not None) == on_gpu
        for other in ("rate_over_training_step", "rate_over_floor"):
            assert list(model[other]) == COMPARED
            assert all(math.isfinite(rate) and rate > 0 for rate in model[other].values())


def test_a_benchmark_without_time_says_what_it_left_out(device, tmp_path, capsys):
    report = benchmark(device, tmp_path / "gpu.json", "--seconds", "0")
    assert report["models"] == []
    assert report["left_out"] == ["gpt2 tiny: no time was left.", "llama tiny: no time was left."]
    assert "left out: gpt2 tiny: no time was left." in capsys.readouterr().out


def test_a_step_that_does_not_fit_is_left_out_and_said(device, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu.SHARE_OF_MEMORY", 0.0)
    report = benchmark(device, tmp_path / "gpu.json")
    for model in report["models"]:
        assert [one["step"] for one in model["steps"]] == ["training step", "floor", "training step again"]
        assert model["rate_over_floor"] == {}
    reasons = [reason for reason in report["left_out"] if reason.startswith("llama tiny")]
    assert [reason.split(": ")[0] for reason in reasons] == [f"llama tiny, {step}" for step in COMPARED]
    assert all("GB that are free." in reason for reason in reasons)


def test_results_go_to_the_folder_that_comes_back_from_a_lent_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("OUT", str(tmp_path))
    assert default_path("NVIDIA H100 80GB HBM3") == tmp_path / "gpu-nvidia-h100-80gb-hbm3.json"
    monkeypatch.delenv("OUT")
    assert default_path("x86_64").parts[-3:] == ("benchmarks", "results", "gpu-x86-64.json")
