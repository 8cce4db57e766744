"""The tables of docs/explanation/scale.md are what the benchmark prints, and that follows from what was measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale import MODELS, NUM_GPUS, cost_of, measured, question_rows, tables

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "scale.md"


def test_the_page_has_the_tables_that_are_computed():
    rates = measured()
    assert tables([cost_of(model, rates) for model in MODELS], rates) in PAGE.read_text(encoding="utf-8")


def test_gradients_take_four_operations_per_token_and_weight_at_the_measured_share():
    rates = replace(measured(), gradient_share=0.5, peak_flops=1e15)
    cost = cost_of(MODELS[0], rates)
    assert cost.gradients_hours == pytest.approx(512e6 * 4 * 7.5e9 / 0.5e15 / NUM_GPUS / 3600)
    assert cost.gathered_bytes == 0


def test_a_model_larger_than_a_gpu_gathers_the_others_weights_twice_a_batch():
    cost = cost_of(MODELS[1], measured())
    batches = 512e6 / 8192 / NUM_GPUS
    assert cost.gathered_bytes == pytest.approx(batches * 2 * 141.1e9 * 7, rel=1e-3)
    assert cost.gradients_hours >= cost.gathering_hours


def test_a_question_reads_all_bytes_from_as_many_gpus_as_hold_them():
    rates = replace(measured(), memory_bytes=100e9, resident_bytes_per_s=50e9)
    rows = question_rows(rates)
    assert len(rows) == 2 * len(MODELS)
    for _, num_texts, size, gpus, resident, _ in rows:
        assert size / num_texts in (14_520, 35_832)
        assert 50e9 * (gpus - 1) < size <= 50e9 * gpus
        assert resident == pytest.approx(size / max(gpus, NUM_GPUS) / 50e9)
