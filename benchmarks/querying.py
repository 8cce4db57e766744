"""Rate of a query over a synthetic store beside the rate at which the same bytes are read and summed.

The store has 200,000 examples of 24 modules with d_in = d_out = 32, c = 1, bf16, written by the
store's own writer and lying in the page cache. Loops to compare with, each reading every
shard through a memory map: ``words`` sums the bytes as 64-bit integers, ``values`` sums the
bf16 numbers that they are, and ``values_at_once`` does so as a query does, several shards at once
and into memory that is used again. A query's time is the whole pass with its ranking; preconditioning,
done once per query, stands beside it.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from benchmarks.timing import interleaved
from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.subspace import Subspace
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.ranking import rank_examples
from lorif_core.passes.scoring import FittedIndex, ScoringPlan, plan_scoring
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Buffers, encode_block
from lorif_core.store.manifest import compact
from lorif_core.store.parts import Origin, ShardFacts, write_part
from lorif_core.store.plan import Parents, Plan, write_plan
from lorif_core.store.reader import Shard, StoreReader
from lorif_core.store.writer import write_subspace
from lorif_core.workspace.indexes.index_job import shard_size

MODULES, WIDTH, SUBSPACE_RANK = 24, 32, 256
MANY = 16


def build_store(folder: Path, num_examples: int) -> StoreReader:
    """A store of random factors with random subspaces, written as an index is written."""
    modules = [ModuleShape(f"layer.{number}", 128, 128, WIDTH, WIDTH) for number in range(MODULES)]
    codec = column_codec("bf16")
    plan = Plan(
        layout="factors", codec="bf16", factor_rank=1, f=4, seed=0, max_length=128,
        parents=Parents("", "", ""), modules=modules, maps_digest="", num_examples=num_examples,
        shard_examples=shard_size(MODULES * WIDTH * 4),
    )  # fmt: skip
    write_plan(folder, plan)
    facts = ShardFacts(
        num_truncated=0, num_without_targets=0, kept_energy=[1.0] * MODULES, total_energy=[1.0] * MODULES
    )
    generator = torch.Generator().manual_seed(0)
    for number in range(plan.num_parts):
        size = len(plan.rows_of(number))
        tensors = {"norms": torch.ones(size), "num_tokens": torch.ones(size, dtype=torch.int32)}
        for module in modules:
            left, right = (torch.randn(size, 1, WIDTH, generator=generator) for _ in range(2))
            tensors |= encode_block(Factors(left, right), module.name, codec)
        write_part(folder, plan, number, tensors, facts, Origin("cpu", torch.__version__, "benchmark", 0.0))
    manifest = compact(folder)
    basis = torch.linalg.qr(torch.randn(WIDTH**2, SUBSPACE_RANK, generator=generator)).Q
    subspace = Subspace(basis, torch.linspace(100, 1, SUBSPACE_RANK + 10), 5000.0)
    for position in range(MODULES):
        manifest.subspaces.append(write_subspace(folder, position, subspace))
    return StoreReader(folder, manifest.as_complete(SUBSPACE_RANK))


def measure(num_examples: int) -> dict[str, Any]:
    """Seconds, rates and ratios for one query and for sixteen."""
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        reader = build_store(Path(folder), num_examples)
        size_bytes = reader.manifest.shard_bytes
        generator = torch.Generator().manual_seed(1)
        matrices = {m.name: torch.randn(MANY, WIDTH, WIDTH, generator=generator) for m in reader.modules}
        tasks: dict[str, Callable[[], object]] = {
            "sum_words": lambda: _sum_shards(reader, lambda tensor: tensor.view(torch.int64).sum()),
            "sum_values": lambda: _sum_shards(reader, lambda tensor: tensor.float().sum()),
            "sum_values_at_once": lambda: sum(reader.map_shards(_sum_at_once)),
        }
        for count in (1, MANY):
            for rank in (None, 1):
                plan = _plan(reader, matrices, count, rank)
                name = f"{count}_{'full' if rank is None else f'rank{rank}'}"
                tasks[name] = lambda plan=plan: rank_examples(plan, k=20, num_opposing=0)
        tasks["precondition_1"] = lambda: _plan(reader, matrices, 1, None)
        seconds = interleaved(tasks, rounds=5)
    return {
        "num_examples": num_examples,
        "store_bytes": size_bytes,
        "seconds": seconds,
        "sum_values_gb_per_s": size_bytes / seconds["sum_values"] / 1e9,
        "sum_words_gb_per_s": size_bytes / seconds["sum_words"] / 1e9,
        "one_query_full_over_sum_values": seconds["sum_values"] / seconds["1_full"],
        "one_query_rank1_over_sum_values": seconds["sum_values"] / seconds["1_rank1"],
        "one_query_full_over_sum_values_at_once": seconds["sum_values_at_once"] / seconds["1_full"],
        "one_query_rank1_over_sum_values_at_once": seconds["sum_values_at_once"] / seconds["1_rank1"],
        "sixteen_over_one_full": seconds["16_full"] / seconds["1_full"],
        "sixteen_over_one_rank1": seconds["16_rank1"] / seconds["1_rank1"],
        "sixteen_rank1_over_one_full": seconds["16_rank1"] / seconds["1_full"],
    }


def _plan(reader: StoreReader, matrices: dict[str, torch.Tensor], count: int, query_rank: int | None) -> ScoringPlan:
    gradients = QueryGradients({name: matrix[:count] for name, matrix in matrices.items()}, torch.zeros(count), {})
    index = FittedIndex(reader, Lorif(LorifConfig()), CurvatureConfig(subspace_rank=SUBSPACE_RANK))
    return plan_scoring(index, gradients, ScoreConfig(query_rank=query_rank))


def _sum_shards(reader: StoreReader, total: Callable[[torch.Tensor], torch.Tensor]) -> float:
    result = 0.0
    for entry in reader.manifest.shards:
        with safe_open(reader.place.told(entry.file), "pt") as file:
            for name in file.keys():
                if name not in ("norms", "num_tokens"):
                    result += float(total(file.get_tensor(name)))
    return result


def _sum_at_once(shard: Shard) -> float:
    buffers, result = Buffers(), 0.0
    for module in shard.manifest.modules:
        factors = shard.factors(module, buffers)
        assert factors is not None
        result += float(factors.left.sum()) + float(factors.right.sum())
    return result
