"""Indexing beside a training step on a GPU, with random weights in bfloat16: ``python -m benchmarks.gpu``.

training step   forward and backward, weights trainable, no optimiser step; measured again after indexing
floor           forward and activation-only backward, weights frozen
statistics      what the first pass of kronecker does with a batch: second moments of every module
lorif           what `lorif index` does with a batch: capture, project (f = 4), factor (c = 1), encode (bf16)
kronecker       the same with its defaults (f = 1, c = 2, sign), and projected to a sixteenth
                Its maps are drawn at random: dense ones of the same shapes cost what half-whitening ones cost, and
                roots of moments are not what is measured here.

Every step does all of one batch. It prints a table and writes one JSON object. What does not fit into memory or into
the time is left out, and said. Imports nothing beside torch and transformers (docs/decisions/0021).
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PretrainedConfig

from lorif_core.capture.hooks import evaluate_objective, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import FactoredSettings, LorifConfig
from lorif_core.methods.registry import method_settings
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.second_moments import add_moments, empty_moments, placed_moments
from lorif_core.passes.shards import GradientSource, build_shard
from lorif_core.shapes import ModuleShape

ROUNDS = 7
FEWEST_ROUNDS = 5
"""Of fewer the median says little, which is said."""

SHARE_OF_MEMORY = 0.5
"""Of the free memory, at most, for what a step keeps; the rest is for activations."""

SMALL_MODEL_SHARE = 0.3
"""Of the time, for the first model; the second may use what is left."""


class DoesNotFit(Exception):
    """A step needs more memory than there is."""


@dataclass(frozen=True)
class Workload:
    """One model with one batch."""

    name: str
    model: nn.Module
    examples: list[EncodedExample]
    device: torch.device

    @property
    def num_tokens(self) -> int:
        """Of the batch, without padding, which it has none of."""
        return sum(one.num_tokens for one in self.examples)

    def modules(self, f: int) -> list[ModuleShape]:
        """The tracked modules after projection by ``f``."""
        return tracked_shapes(list_modules(self.model), f)


@dataclass(frozen=True)
class Timing:
    """How fast one step did its batch."""

    step: str
    seconds: float
    """Median of the rounds."""

    all_seconds: list[float]
    texts_per_s: float
    tokens_per_s: float
    peak_bytes: int | None
    """Most device memory at once, the model included; None on the CPU."""

    num_host_syncs: int | None
    """Waits of the host for the device, copies included; None on the CPU."""


@dataclass
class Report:
    """Everything that is written."""

    machine: dict[str, Any]
    date: str
    commit: str | None
    settings: dict[str, Any]
    models: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    took_seconds: float = 0.0


def training_step(work: Workload) -> Callable[[], object]:
    """Forward and backward with trainable weights."""
    batch = pad_batch(work.examples, 0)

    def run() -> None:
        evaluate_objective(work.model, batch, summed_cross_entropy).sum().backward()
        work.model.zero_grad(set_to_none=True)

    return run


def floor(work: Workload) -> Callable[[], object]:
    """Forward and backward through the activations alone."""
    batch = pad_batch(work.examples, 0)

    def run() -> None:
        with frozen(work.model):
            evaluate_objective(work.model, batch, summed_cross_entropy).sum().backward()

    return run


def statistics_pass(work: Workload) -> Callable[[], object]:
    """Second moments of every module, which are added up on the host."""
    modules = work.modules(1)
    _require_memory(
        sum(4 * (m.in_features**2 + m.out_features**2) for m in modules), _free_host_bytes(), "the moments"
    )
    moments = placed_moments(work.model, empty_moments(modules))

    def run() -> None:
        with frozen(work.model):
            add_moments(work.model, moments, work.examples, pad_id=0, tokens_per_batch=work.num_tokens)

    return run


def indexing(work: Workload, f: int, factor_rank: int, codec: str) -> Callable[[], object]:
    """One shard of one batch."""
    modules = work.modules(f)
    needed = sum(4 * (m.in_features * m.d_in + m.out_features * m.d_out) for m in modules)
    _require_memory(needed, _free_device_bytes(work.device), "the maps")
    draw = torch.Generator(work.device).manual_seed(0)

    def side(width: int, projected: int) -> torch.Tensor:
        return torch.randn(width, projected, generator=draw, device=work.device) / projected**0.5

    maps = {m.name: ModuleMaps(side(m.in_features, m.d_in), side(m.out_features, m.d_out)) for m in modules}
    source = GradientSource(
        work.model,
        maps,
        modules,
        Lorif(LorifConfig(factor_rank=factor_rank, subspace_rank=0)),
        column_codec(codec),
        0,
        work.num_tokens,
    )

    def run() -> None:
        with frozen(work.model):
            build_shard(source, work.examples)

    return run


def _method_step(method: str, f: int) -> Callable[[Workload], Callable[[], object]]:
    default = method_settings(method)
    assert isinstance(default, FactoredSettings)
    return lambda work: indexing(work, f, default.factor_rank or 1, default.codec)


STEPS: dict[str, Callable[[Workload], Callable[[], object]]] = {
    "training step": training_step,
    "floor": floor,
    "lorif f=4": _method_step("lorif", 4),
    "kronecker f=16": _method_step("kronecker", 16),
    "kronecker f=1": _method_step("kronecker", 1),
    "training step again": training_step,
    "statistics": statistics_pass,
}
"""What is measured, in this order; each prepares what it needs and returns what is timed. The slowest comes last."""

COMPARED = [step for step in STEPS if not step.startswith("training") and step != "floor"]


def _require_memory(needed: int, free: int, what: str) -> None:
    if needed > SHARE_OF_MEMORY * free:
        raise DoesNotFit(f"{what} take {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB that are free")


def _free_host_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_device_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_host_bytes()


def time_step(step: str, work: Workload, deadline: float) -> Timing:
    """Warm up, then time rounds until there are enough or the time is used up; at least one."""
    is_gpu = work.device.type == "cuda"
    run = STEPS[step](work)
    if is_gpu:
        torch.cuda.reset_peak_memory_stats(work.device)
    run()
    _synchronise(work.device)
    peak = torch.cuda.max_memory_allocated(work.device) if is_gpu else None
    num_syncs = count_host_syncs(run) if is_gpu else None
    rounds: list[float] = []
    while not rounds or (len(rounds) < ROUNDS and time.perf_counter() + rounds[-1] < deadline):
        _synchronise(work.device)
        started = time.perf_counter()
        run()
        _synchronise(work.device)
        rounds.append(time.perf_counter() - started)
    seconds = statistics.median(rounds)
    return Timing(
        step, seconds, rounds, len(work.examples) / seconds, work.num_tokens / seconds, peak, num_syncs
    )  # fmt: skip


def count_host_syncs(run: Callable[[], object]) -> int:
    """How often the host waits for the device, as far as torch notices."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(one.message) for one in caught)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def model_configs(*, is_tiny: bool) -> dict[str, PretrainedConfig]:
    """The models by name."""
    if is_tiny:
        return {
            "gpt2 tiny": GPT2Config(
                vocab_size=128, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1
            ),
            "llama tiny": LlamaConfig(
                vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
            ),
        }
    return {
        "gpt2 124M": GPT2Config(),
        "llama 1.3B": LlamaConfig(
            vocab_size=32_000,
            hidden_size=2048,
            intermediate_size=5504,
            num_hidden_layers=24,
            num_attention_heads=16,
            num_key_value_heads=16,
        ),
    }


def build_workload(
    name: str, config: PretrainedConfig, device: torch.device, num_texts: int, length: int
) -> Workload:
    """A model with random weights on its device, and one batch of random tokens."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    ids = torch.randint(0, config.vocab_size, (num_texts, length))
    examples = [EncodedExample(row.tolist(), [False] + [True] * (length - 1), length) for row in ids]
    return Workload(name, model, examples, device)


def measure_model(work: Workload, deadline: float, left_out: list[str]) -> dict[str, Any]:
    """Every step of one model that fits, and the rates of indexing over those of training."""
    timings: dict[str, Timing] = {}
    for step in STEPS:
        what = f"{work.name}, {step}"
        if time.perf_counter() >= deadline:
            left_out.append(f"{what}: no time was left.")
            continue
        print(f"measuring {what} …", file=sys.stderr)
        try:
            timings[step] = time_step(step, work, deadline)
        except DoesNotFit as reason:
            left_out.append(f"{what}: {reason}.")
        except torch.OutOfMemoryError as error:
            left_out.append(f"{what}: {str(error).splitlines()[0]}")
            work.model.zero_grad(set_to_none=True)  # what a training step had got to
        if step in timings and len(timings[step].all_seconds) < FEWEST_ROUNDS:
            left_out.append(f"{what}: only {len(timings[step].all_seconds)} of {ROUNDS} rounds.")
        if work.device.type == "cuda":
            torch.cuda.empty_cache()
    return {
        "model": work.name,
        "num_parameters": sum(parameter.numel() for parameter in work.model.parameters()),
        "num_modules": len(work.modules(1)),
        "steps": [asdict(timing) for timing in timings.values()],
        "rate_over_training_step": _rates_over("training step", timings),
        "rate_over_floor": _rates_over("floor", timings),
    }


def _rates_over(other: str, timings: dict[str, Timing]) -> dict[str, float]:
    if other not in timings:
        return {}
    return {step: timings[other].seconds / timings[step].seconds for step in COMPARED if step in timings}


def table(report: Report) -> str:
    """One line per model and step."""
    lines = [
        f"{'model':<12} {'step':<20} {'ms':>10} {'texts/s':>10} {'tokens/s':>12} {'peak GB':>8} {'syncs':>6} "
        f"{'÷ training':>10} {'÷ floor':>8}"
    ]
    for model in report.models:
        for one in model["steps"]:
            peak, syncs = one["peak_bytes"], one["num_host_syncs"]
            rates = [model[key].get(one["step"]) for key in ("rate_over_training_step", "rate_over_floor")]
            training, least = ("" if rate is None else f"{rate:.2f}" for rate in rates)
            lines.append(
                f"{model['model']:<12} {one['step']:<20} {one['seconds'] * 1e3:>10,.1f} {one['texts_per_s']:>10,.1f} "
                f"{one['tokens_per_s']:>12,.0f} {'' if peak is None else f'{peak / 1e9:.1f}':>8} "
                f"{'' if syncs is None else syncs:>6} {training:>10} {least:>8}"
            )
    return "\n".join([*lines, *(f"left out: {reason}" for reason in report.left_out)])


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on."""
    found: dict[str, Any] = {
        "device": platform.processor() or platform.machine(),
        "device_memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "num_cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"device": properties.name, "device_memory_bytes": properties.total_memory}
    return found


def current_commit() -> str | None:
    """Of the repository, with a mark where files differ from it; None where there is no repository."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def default_path(device_name: str) -> Path:
    """In $OUT where that is set, as on a lent machine, else beside this file."""
    folder = Path(os.environ["OUT"]) if os.environ.get("OUT") else Path(__file__).parent / "results"
    return folder / f"gpu-{re.sub(r'[^a-z0-9]+', '-', device_name.lower()).strip('-')}.json"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=240, help="for everything together")
    parser.add_argument("--texts", type=int, default=16, help="of the batch")
    parser.add_argument("--length", type=int, default=512, help="tokens of a text")
    parser.add_argument("--tiny", action="store_true", help="tiny models and texts, to see that it runs")
    parser.add_argument("--commit", default=current_commit(), help="where there is no repository to ask")
    parser.add_argument("--out", type=Path, help="of the JSON; benchmarks/results/gpu-<device>.json, or in $OUT")
    chosen = parser.parse_args(arguments)
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; `--device cpu --tiny` shows that the benchmark runs")
    if chosen.tiny:
        chosen.texts, chosen.length = 4, 32
        torch.set_num_threads(1)
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write, print."""
    started = time.perf_counter()
    chosen = _parse(arguments)
    device = torch.device(chosen.device)
    settings = {"dtype": "bfloat16", "rounds": ROUNDS} | {
        key: getattr(chosen, key) for key in ("seconds", "texts", "length", "tiny")
    }
    report = Report(
        describe_machine(device), datetime.now(UTC).isoformat(timespec="seconds"), chosen.commit, settings
    )
    shares = (SMALL_MODEL_SHARE, 1.0)
    for (name, config), share in zip(model_configs(is_tiny=chosen.tiny).items(), shares, strict=True):
        deadline = started + share * chosen.seconds
        if time.perf_counter() >= deadline:
            report.left_out.append(f"{name}: no time was left.")
            continue
        work = build_workload(name, config, device, chosen.texts, chosen.length)
        report.models.append(measure_model(work, deadline, report.left_out))
    report.took_seconds = time.perf_counter() - started
    path = chosen.out or default_path(report.machine["device"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    print(table(report))
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
