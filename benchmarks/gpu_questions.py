"""One question over an index of sign codes on a GPU: with the index there, and with its shards streaming to it.

The index is one shard's file of random codes, drawn on the device, named as often as there are shards: streamed from
the page cache, not from a disk; joined on the device it takes all of its memory. A question is that of a completion
of so many target tokens: queries of low rank, so products with unpacked signs. Its gradient is not part of the time.
"""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.gpu_timing import count_host_syncs, synchronise, time_rounds
from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.scores import TopK
from lorif_core.linalg.subspace import Subspace
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes.device_shards import SHARE_FOR_INDEXES, ScoringDevice
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.scoring import FittedIndex, ScoringPlan, iter_scores, plan_scoring
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import bytes_per_example
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.manifest import manifest_of_plan
from lorif_core.store.parts import ShardEntry
from lorif_core.store.plan import Parents, Plan
from lorif_core.store.reader import StoreReader

NUM_SHOWN = 20
"""Texts of the list that an answer is."""


@dataclass(frozen=True)
class IndexSize:
    """How large an index is asked."""

    num_texts: int
    texts_per_shard: int
    num_modules: int
    width: int
    """Of both sides of every module."""

    num_targets: int
    """Target tokens of the question."""

    @property
    def modules(self) -> list[ModuleShape]:
        """Whose codes are stored."""
        width = self.width
        return [ModuleShape(f"module.{number}", width, width, width, width) for number in range(self.num_modules)]

    @property
    def bytes_per_text(self) -> int:
        """Codes and scales."""
        return bytes_per_example(self.modules, column_codec("sign"), lambda module: 1, "factors")


MILLION = IndexSize(1_000_000, 8_000, 64, 240, 16)
"""64 modules of 2 · (30 + 2) bytes: 4 KB a text, 32 MB a shard."""

TINY = IndexSize(120, 40, 3, 24, 2)


class DrawnPlace(LocalPlace):
    """Files without checksums."""

    def check(self, name: str, checksum: str) -> None:
        """Nothing was recorded of what is drawn at random."""


class DrawnIndex(StoreReader):
    """An index all of whose shards are one file without a checksum; no subspace."""

    def subspace(self, module: ModuleShape) -> Subspace:
        """None."""
        return Subspace(torch.zeros(module.dim, 0), torch.zeros(0), 1.0)


def ask_random_index(size: IndexSize, device: torch.device, rounds: int, deadline: float) -> dict[str, Any]:
    """Seconds per question, resident and streamed, with what was asked."""
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        reader = draw_index(Path(folder), size, device)
        plan = plan_question(reader, size, None)
        found: dict[str, Any] = {
            "texts": size.num_texts,
            "bytes_per_text": size.bytes_per_text,
            "modules": size.num_modules,
            "query_rank": size.num_targets,
            "plan": plan.plans[reader.modules[0].name],
        }
        for name, share in (("resident", SHARE_FOR_INDEXES), ("streamed", 0.0)):
            found[name] = _measure(size, ScoringDevice(device, share), reader, rounds, deadline)
    return found


def draw_index(folder: Path, size: IndexSize, device: torch.device) -> DrawnIndex:
    """An index of random codes."""
    path = folder / "codes.safetensors"
    save_file(_draw_shard(size, device), path)
    plan = Plan(
        layout="factors",
        codec="sign",
        factor_rank=1,
        f=1,
        seed=0,
        max_length=512,
        parents=Parents("drawn", "drawn", "drawn"),
        modules=size.modules,
        maps_digest="",
        num_examples=size.num_texts,
        shard_examples=size.texts_per_shard,
    )
    entries = [
        ShardEntry(
            file=path.name,
            size_bytes=path.stat().st_size,
            checksum="",
            start=start,
            num_examples=size.texts_per_shard,
            num_truncated=0,
            num_without_targets=0,
            kept_energy=[],
            total_energy=[],
            num_positions=512 * size.texts_per_shard,
        )
        for start in range(0, size.num_texts, size.texts_per_shard)
    ]
    return DrawnIndex(DrawnPlace(folder), manifest_of_plan(plan, entries, "complete"))


def _draw_shard(size: IndexSize, device: torch.device) -> dict[str, Tensor]:
    draw, count = torch.Generator(device).manual_seed(0), size.texts_per_shard
    tensors = {"norms": torch.ones(count), "num_tokens": torch.full((count,), 512, dtype=torch.int32)}
    for module in size.modules:
        for side in ("left", "right"):
            numbers = torch.randn(count, 1, size.width, generator=draw, device=device)
            coded = column_codec("sign").encode(numbers)
            assert coded.scales is not None
            tensors[f"{side}/{module.name}"] = coded.codes.cpu()
            tensors[f"{side}_scale/{module.name}"] = coded.scales.cpu()
    return tensors


def plan_question(reader: DrawnIndex, size: IndexSize, place: ScoringDevice | None) -> ScoringPlan:
    """A question's gradients of low rank, laid out for what is stored."""
    draw = torch.Generator().manual_seed(1)
    matrices = {
        module.name: torch.randn(1, size.width, size.num_targets, generator=draw)
        @ torch.randn(1, size.num_targets, size.width, generator=draw)
        for module in reader.modules
    }
    curvature = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=1.0)
    index = FittedIndex(reader, Lorif(LorifConfig(subspace_rank=0)), curvature, scored_on=place)
    asked = ScoreConfig(normalisation="none", query_rank=size.num_targets)
    return plan_scoring(index, QueryGradients(matrices, torch.zeros(1), {}), asked)


def _measure(
    size: IndexSize, place: ScoringDevice, reader: DrawnIndex, rounds: int, deadline: float
) -> dict[str, Any]:
    plan, device = plan_question(reader, size, place), place.device
    is_gpu = device.type == "cuda"

    def ask() -> None:
        best = TopK(1, NUM_SHOWN)
        for start, scores in iter_scores(plan):
            best.add(scores, start)

    if is_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    ask()  # brings the index there, if it is to stay
    synchronise(device)
    first = time.perf_counter() - started
    num_syncs = count_host_syncs(ask) if is_gpu else None
    seconds = time_rounds(ask, device, rounds, deadline)
    median = statistics.median(seconds)
    resident = place.resident_bytes
    place.release()
    return {
        "seconds": median,
        "all_seconds": seconds,
        "first_seconds": first,
        "gb_per_s": size.num_texts * size.bytes_per_text / median / 1e9,
        "resident_bytes": resident,
        "peak_bytes": torch.cuda.max_memory_allocated(device) if is_gpu else None,
        "num_host_syncs": num_syncs,
    }
