"""Indexing beside a training step on a GPU, with random weights in bfloat16: ``python -m benchmarks.gpu``.

training step   forward and backward, weights trainable, no optimiser step; measured again after indexing
floor           forward and activation-only backward, weights frozen
statistics      what the first pass of kronecker does with a batch: second moments of every module, or of as many as
                fit, with the number of passes that all of them take
lorif           what `lorif index` does with a batch: capture, project (f = 4), factor (c = 1), encode (bf16)
kronecker       the same with its defaults (f = 1, c = 1, sign), and projected to a sixteenth
                Its maps are drawn at random: dense ones of the same shapes cost what half-whitening ones cost, and
                roots of moments are not what is measured here.
roots           of the first layer's moments, folded with the maps of kronecker at a sixteenth
question        over a million texts of 4 KB: the index there, or its shards streaming (``gpu_questions``)

Every step does all of one batch. It prints a table and writes one JSON object. What does not fit into memory or into
the time is left out, and said. Imports nothing beside torch, transformers and safetensors (docs/decisions/0021).
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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig

from benchmarks.gpu_models import Workload, build_workload, model_configs, peak_flops
from benchmarks.gpu_questions import MILLION, TINY, ask_random_index
from benchmarks.gpu_timing import count_host_syncs, synchronise, time_rounds
from lorif_core.capture.hooks import evaluate_objective, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch
from lorif_core.linalg.codecs import codec_for
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import whitened_maps
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import FactoredSettings, LorifConfig
from lorif_core.methods.registry import method_settings
from lorif_core.passes.device_shards import free_bytes
from lorif_core.passes.layer_groups import layer_groups, moments_bytes
from lorif_core.passes.second_moments import add_moments, empty_moments, placed_moments
from lorif_core.passes.shards import GradientSource, build_shard
from lorif_core.shapes import ModuleShape
from lorif_core.workspace.indexes.build_memory import batch_bytes, maps_bytes, room_for_moments, sizes_of

ROUNDS = 7
FEWEST_ROUNDS = 5
"""Of fewer the median says little, which is said."""

SHARE_OF_MEMORY = 0.5
"""Of the free memory, at most, for what a step keeps; the rest is for activations."""

SHARES_OF_TIME = (0.2, 0.5, 0.9)
"""When each model has to be done; the question is asked in what is left, or at least once."""

FLOPS_OF_TRAINING, FLOPS_OF_FLOOR = 6, 4
"""Per token and weight: forward, backward to the activations, and to the weights; attention's own are not counted."""


class DoesNotFit(Exception):
    """A step needs more memory than there is."""


@dataclass(frozen=True)
class Timing:
    """How fast one step did its batch."""

    step: str
    seconds: float
    """Median of the rounds."""

    all_seconds: list[float]
    texts_per_s: float
    tokens_per_s: float
    share_of_peak: float | None
    """Of the device's arithmetic in bfloat16 by its data sheet; None where that is not known."""

    peak_bytes: int | None
    """Most device memory at once, the model included; None on the CPU."""

    estimated_bytes: int | None
    """What `lorif index` would say of the same, before it starts."""

    num_host_syncs: int | None
    """Waits of the host for the device, copies included; None on the CPU."""

    num_passes: int = 1
    """Over the texts, that all modules take: this is the first of them."""

    moments_bytes: int | None = None
    """Of the modules of this pass; None for steps that sum none."""


@dataclass
class Report:
    """Everything that is written."""

    machine: dict[str, Any]
    date: str
    commit: str | None
    settings: dict[str, Any]
    models: list[dict[str, Any]] = field(default_factory=list)
    question: dict[str, Any] | None = None
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
    """Second moments of a group of modules, which are added up where the model is."""
    moments = placed_moments(work.model, empty_moments(_groups(work)[0]))

    def run() -> None:
        with frozen(work.model):
            add_moments(work.model, moments, work.examples, pad_id=0, tokens_per_batch=work.num_tokens)

    return run


def _groups(work: Workload) -> list[list[ModuleShape]]:
    """Modules whose moments a build sums up in one pass, by the memory that is free now."""
    return layer_groups(work.modules(1), room_for_moments(free_bytes(work.device)))


def time_roots(work: Workload) -> dict[str, Any]:
    """Seconds of the half-whitening maps of the first layer, from the moments of one batch."""
    modules = work.modules(DIVISORS["kronecker f=16"])
    first = [one for one in modules if one.name.split(".h.")[-1].split("layers.")[-1].startswith("0.")]
    moments = placed_moments(work.model, empty_moments(first))
    with frozen(work.model):
        add_moments(work.model, moments, work.examples, pad_id=0, tokens_per_batch=work.num_tokens)
    taken: list[float] = []
    for module in [first[0], *first]:  # once to warm up
        synchronise(work.device)
        started = time.perf_counter()
        whitened_maps(module, moments[module.name], alpha=0.1, seed=0)
        taken.append(time.perf_counter() - started)
    return {"modules": len(first), "of": len(modules), "seconds": sum(taken[1:])}


def indexing(work: Workload, f: int, factor_rank: int, codec: str) -> Callable[[], object]:
    """One shard of one batch."""
    modules = work.modules(f)
    needed = sum(4 * (m.in_features * m.d_in + m.out_features * m.d_out) for m in modules)
    _require_memory(needed, free_bytes(work.device), "the maps")
    draw = torch.Generator(work.device).manual_seed(0)

    def side(width: int, projected: int) -> torch.Tensor:
        drawn = torch.randn(width, projected, generator=draw, device=work.device) / projected**0.5
        return drawn.bfloat16()  # as a build places maps

    maps = {m.name: ModuleMaps(side(m.in_features, m.d_in), side(m.out_features, m.d_out)) for m in modules}
    source = GradientSource(
        work.model,
        maps,
        modules,
        Lorif(LorifConfig(factor_rank=factor_rank, subspace_rank=0)),
        codec_for(codec, "factors"),
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

DIVISORS = {"lorif f=4": 4, "kronecker f=16": 16, "kronecker f=1": 1}
"""By which the steps that index project."""

COMPARED = [step for step in STEPS if not step.startswith("training") and step != "floor"]


def _require_memory(needed: int, free: int, what: str) -> None:
    if needed > SHARE_OF_MEMORY * free:
        raise DoesNotFit(f"{what} take {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB that are free")


def time_step(step: str, work: Workload, deadline: float) -> Timing:
    """Warm up, then time rounds until there are enough or the time is used up; at least one."""
    is_gpu = work.device.type == "cuda"
    groups = _groups(work) if step == "statistics" else []  # before the first one's moments take memory
    run = STEPS[step](work)
    if is_gpu:
        torch.cuda.reset_peak_memory_stats(work.device)
    run()
    synchronise(work.device)
    peak = torch.cuda.max_memory_allocated(work.device) if is_gpu else None
    num_syncs = count_host_syncs(run) if is_gpu else None
    rounds = time_rounds(run, work.device, ROUNDS, deadline)
    seconds = statistics.median(rounds)
    return Timing(
        step=step,
        seconds=seconds,
        all_seconds=rounds,
        texts_per_s=len(work.examples) / seconds,
        tokens_per_s=work.num_tokens / seconds,
        share_of_peak=_share_of_peak(step, work, seconds),
        peak_bytes=peak,
        estimated_bytes=_estimated_bytes(step, work),
        num_host_syncs=num_syncs,
        num_passes=max(1, len(groups)),
        moments_bytes=moments_bytes(groups[0]) if groups else None,
    )


def _share_of_peak(step: str, work: Workload, seconds: float) -> float | None:
    """Of a forward and backward pass alone: what indexing does beside it counts as time, not as work."""
    name = torch.cuda.get_device_name(work.device) if work.device.type == "cuda" else ""
    peak = peak_flops(name)
    per_token = FLOPS_OF_TRAINING if step.startswith("training") else FLOPS_OF_FLOOR
    return None if peak is None else per_token * work.num_multiplied * work.num_tokens / seconds / peak


def _estimated_bytes(step: str, work: Workload) -> int | None:
    """What a build's arithmetic says for the model, the maps and a batch; None for steps that are no build's."""
    if step not in DIVISORS:
        return None
    modules = work.modules(DIVISORS[step])
    weights = sum(one.nbytes for one in work.model.parameters())
    maps = maps_bytes(modules, is_whitened=True)
    return weights + maps + batch_bytes(work.num_tokens, sizes_of(work.model), modules)


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
        "roots": time_roots(work),
        "rate_over_training_step": _rates_over("training step", timings),
        "rate_over_floor": _rates_over("floor", timings),
    }


def _rates_over(other: str, timings: dict[str, Timing]) -> dict[str, float]:
    if other not in timings:
        return {}
    return {step: timings[other].seconds / timings[step].seconds for step in COMPARED if step in timings}


def table(report: Report) -> str:
    """One line per model and step, and one per way to ask."""
    lines = [
        f"{'model':<12} {'step':<20} {'ms':>10} {'texts/s':>10} {'tokens/s':>12} {'of peak':>7} {'peak GB':>8} "
        f"{'said GB':>8} {'syncs':>6} {'÷ training':>10} {'÷ floor':>8}"
    ]
    for model in report.models:
        for one in model["steps"]:
            share, syncs = one["share_of_peak"], one["num_host_syncs"]
            rates = [model[key].get(one["step"]) for key in ("rate_over_training_step", "rate_over_floor")]
            training, least = ("" if rate is None else f"{rate:.2f}" for rate in rates)
            lines.append(
                f"{model['model']:<12} {one['step']:<20} {one['seconds'] * 1e3:>10,.1f} {one['texts_per_s']:>10,.1f} "
                f"{one['tokens_per_s']:>12,.0f} {'' if share is None else f'{share:.0%}':>7} "
                f"{_gigabytes(one['peak_bytes']):>8} {_gigabytes(one['estimated_bytes']):>8} "
                f"{'' if syncs is None else syncs:>6} {training:>10} {least:>8}"
                + (f"  (one of {one['num_passes']} passes)" if one["num_passes"] > 1 else "")
            )
        roots = model["roots"]
        lines.append(
            f"{model['model']:<12} {'roots':<20} {roots['seconds'] * 1e3:>10,.1f} for {roots['modules']} of "
            f"{roots['of']} modules"
        )
    if report.question is not None:
        asked = f"{report.question['texts']:,} texts of {report.question['bytes_per_text']:,} bytes"
        for name in ("resident", "streamed"):
            one = report.question[name]
            lines.append(f"a question over {asked}, {name}: {one['seconds']:.3f} s, {one['gb_per_s']:.1f} GB/s")
    return "\n".join([*lines, *(f"left out: {reason}" for reason in report.left_out)])


def _gigabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e9:.1f}"


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
        found |= {
            "device": properties.name,
            "device_memory_bytes": properties.total_memory,
            "peak_flops": peak_flops(properties.name),
        }
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
    parser.add_argument("--seconds", type=float, default=330, help="for everything together")
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


def _add_model(report: Report, name: str, config: PretrainedConfig, device: torch.device, deadline: float) -> None:
    """Measure one model; it is gone when this returns, since the next needs its memory."""
    if time.perf_counter() >= deadline:
        report.left_out.append(f"{name}: no time was left.")
        return
    try:
        work = build_workload(name, config, device, report.settings["texts"], report.settings["length"])
        report.models.append(measure_model(work, deadline, report.left_out))
    except torch.OutOfMemoryError as error:
        report.left_out.append(f"{name}: {str(error).splitlines()[0]}")


def _add_question(report: Report, device: torch.device, deadline: float) -> None:
    """Ask one, unless there is no time at all."""
    if time.perf_counter() >= deadline:
        report.left_out.append("question: no time was left.")
        return
    if device.type == "cuda":
        torch.cuda.empty_cache()
    print("measuring a question …", file=sys.stderr)
    try:
        report.question = ask_random_index(TINY if report.settings["tiny"] else MILLION, device, ROUNDS, deadline)
    except torch.OutOfMemoryError as error:
        report.left_out.append(f"question: {str(error).splitlines()[0]}")
        return
    if not report.question["resident"]["resident_bytes"]:
        report.left_out.append("question, resident: the index does not fit, and streamed.")


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
    for (name, config), share in zip(model_configs(is_tiny=chosen.tiny).items(), SHARES_OF_TIME, strict=True):
        _add_model(report, name, config, device, started + share * chosen.seconds)
    _add_question(report, device, started + chosen.seconds)
    report.took_seconds = time.perf_counter() - started
    path = chosen.out or default_path(report.machine["device"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    print(table(report))
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
