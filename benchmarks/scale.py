"""``python -m benchmarks.scale``: what a million texts cost on eight GPUs, and a question over ten million and more.

Computed, not measured: from rates that were measured on one GPU (``benchmarks/results/gpu-nvidia-h200.json``), sizes
that are arithmetic (``benchmarks/results/big-models-2026-11-29.json``) and the assumptions below. Prints the tables
of docs/explanation/scale.md.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

NUM_TEXTS, TOKENS_PER_TEXT, NUM_GPUS = 1_000_000, 512, 8

TOKENS_PER_DIMENSION = 128
"""Of the widest module, which the statistics are over at least."""

LINK_BYTES_PER_S = 450e9
"""Assumed: what one GPU receives from the others of its machine, by the data sheet of NVLink 4, one direction."""

STORE_BYTES_PER_S = 2e9
"""Assumed: what one machine reads from an object store."""

TOKENS_PER_BATCH = 8192
"""Of each GPU, where weights are gathered for every batch."""

SHARE_FOR_MOMENTS = 0.4
"""Of what is free on a GPU, for the moments of one pass (``indexes.build_memory``)."""

SHARE_FOR_INDEXES = 0.5
"""Of a GPU's memory, for codes that stay (``passes.device_shards``)."""


@dataclass(frozen=True)
class Model:
    """Dimensions that decide the costs."""

    name: str
    weights: float
    """That every token is multiplied with."""

    weights_bytes: float
    """In bfloat16, embeddings too."""

    layers: int
    hidden: int
    widest: int


MODELS = (
    Model("Llama-3-8B", 7.5e9, 16.1e9, 32, 4096, 14_336),
    Model("Llama-3-70B", 69.5e9, 141.1e9, 80, 8192, 28_672),
)


@dataclass(frozen=True)
class Measured:
    """Rates of one GPU."""

    device: str
    memory_bytes: float
    peak_flops: float
    gradient_share: float
    """Of the peak that forward and backward pass reach while gradients are taken at f = 16."""

    floor_share: float
    """The same for the two passes alone."""

    moments_s_per_number: float
    """Seconds that a token's share in one number of the moments takes."""

    roots_s_per_cube: float
    """Seconds per cubed dimension, from the roots of one layer of 8B."""

    resident_bytes_per_s: float
    """Codes that lie on the GPU, a question's whole time."""

    streamed_bytes_per_s: float


@dataclass(frozen=True)
class Cost:
    """Of an index of a million texts on eight GPUs."""

    model: str
    statistics_hours: float
    roots_hours: float
    gradients_hours: float
    gathering_hours: float
    """Of them, what gathering weights takes where no GPU holds the model; it runs beside the arithmetic."""

    gathered_bytes: float
    codes_bytes: float


def measured() -> Measured:
    """What the GPU benchmark found."""
    found = _read("gpu-nvidia-h200.json")
    model = next(one for one in found["models"] if one["model"] == "llama 8B")
    steps = {one["step"]: one for one in model["steps"]}
    # One layer of Llama-3-8B: q and output, k and v, gate, up and down. The benchmark tracks all of them.
    sides = [4096] * 4 + [4096, 1024] * 2 + [4096, 14_336] * 3
    cubes = sum(side**3 for side in sides)
    summed = steps["statistics"]["moments_bytes"] / 4
    return Measured(
        device=found["machine"]["device"],
        memory_bytes=found["machine"]["device_memory_bytes"],
        peak_flops=found["machine"]["peak_flops"],
        gradient_share=steps["kronecker f=16"]["share_of_peak"],
        floor_share=steps["floor"]["share_of_peak"],
        moments_s_per_number=(1 / steps["statistics"]["tokens_per_s"] - 1 / steps["floor"]["tokens_per_s"]) / summed,
        roots_s_per_cube=model["roots"]["seconds"] / cubes,
        resident_bytes_per_s=found["question"]["resident"]["gb_per_s"] * 1e9,
        streamed_bytes_per_s=found["question"]["streamed"]["gb_per_s"] * 1e9,
    )


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def bytes_per_text(model: Model) -> int:
    """Of the default method, by arithmetic."""
    sizes = _read("big-models-2026-11-29.json")["models"]
    return next(one["bytes_per_text"] for one in sizes if one["model"] == model.name)


def cost_of(model: Model, rates: Measured) -> Cost:
    """Of a million texts of 512 tokens on eight GPUs of one machine."""
    num_tokens = NUM_TEXTS * TOKENS_PER_TEXT
    flops_per_token = 4 * model.weights  # forward, and backward to the activations
    gradients = num_tokens * flops_per_token / (rates.gradient_share * rates.peak_flops) / NUM_GPUS
    is_shared = model.weights_bytes > 0.6 * rates.memory_bytes
    batches = math.ceil(num_tokens / TOKENS_PER_BATCH / NUM_GPUS)
    per_batch = 2 * model.weights_bytes * (NUM_GPUS - 1) / NUM_GPUS if is_shared else 0.0
    moments = model.layers * 3 * (model.hidden**2 + model.widest**2)  # of the MLP, which is tracked by default
    free = rates.memory_bytes - model.weights_bytes / (NUM_GPUS if is_shared else 1)
    passes = math.ceil(4 * moments / (SHARE_FOR_MOMENTS * free))
    sample = max(2048 * TOKENS_PER_TEXT, TOKENS_PER_DIMENSION * model.widest)
    per_token = (
        passes * flops_per_token / (rates.floor_share * rates.peak_flops) + moments * rates.moments_s_per_number
    )
    statistics = sample * per_token
    cubes = model.layers * 3 * (model.hidden**3 + model.widest**3)
    return Cost(
        model=model.name,
        statistics_hours=statistics / 3600,
        roots_hours=rates.roots_s_per_cube * cubes / 3600,
        gradients_hours=max(gradients, batches * per_batch / LINK_BYTES_PER_S) / 3600,
        gathering_hours=batches * per_batch / LINK_BYTES_PER_S / 3600,
        gathered_bytes=batches * per_batch * NUM_GPUS,
        codes_bytes=NUM_TEXTS * bytes_per_text(model),
    )


def question_rows(rates: Measured) -> list[tuple[str, int, float, int, float, float]]:
    """Model, texts, bytes, GPUs whose memory holds them, seconds there, seconds of eight GPUs that read a store."""
    rows: list[tuple[str, int, float, int, float, float]] = []
    for model in MODELS:
        for num_texts in (10_000_000, 1_000_000_000):
            size = float(num_texts * bytes_per_text(model))
            gpus = math.ceil(size / (SHARE_FOR_INDEXES * rates.memory_bytes))
            resident = size / max(gpus, NUM_GPUS) / rates.resident_bytes_per_s
            stored = size / min(STORE_BYTES_PER_S, NUM_GPUS * rates.streamed_bytes_per_s)
            rows.append((model.name, num_texts, size, gpus, resident, stored))
    return rows


def tables(costs: Sequence[Cost], rates: Measured) -> str:
    """Both tables in Markdown."""
    lines = [
        f"| 1,000,000 texts of 512 tokens, 8 × {rates.device} | {' | '.join(one.model for one in costs)} |",
        "|---|" + "---|" * len(costs),
    ]
    for label, values in (
        ("statistics, one GPU", [_hours(one.statistics_hours) for one in costs]),
        ("roots, one GPU", [_hours(one.roots_hours) for one in costs]),
        ("gradients, eight GPUs", [_hours(one.gradients_hours) for one in costs]),
        ("… of which gathering weights (beside it)", [_hours(one.gathering_hours) for one in costs]),
        ("moved between GPUs", [_size(one.gathered_bytes) for one in costs]),
        ("codes written", [_size(one.codes_bytes) for one in costs]),
    ):
        lines.append(f"| {label} | {' | '.join(values)} |")
    lines += [
        "",
        "| an exact question over | bytes read | GPUs that hold them | there, 8 at least | from an object store |",
        "|---|---|---|---|---|",
    ]
    for name, num_texts, size, gpus, resident, stored in question_rows(rates):
        lines.append(
            f"| {num_texts:,} texts, {name} | {_size(size)} | {gpus:,} | {resident:.2g} s | {_hours(stored / 3600)} |"
        )
    return "\n".join(lines)


def _hours(hours: float) -> str:
    if hours == 0:
        return "none"
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _size(number: float) -> str:
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if number >= factor:
            return f"{number / factor:,.1f} {unit}"
    return "none"


def main() -> None:
    """Print the tables."""
    rates = measured()
    print(tables([cost_of(model, rates) for model in MODELS], rates))


if __name__ == "__main__":
    main()
