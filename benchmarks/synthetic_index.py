"""A large index that is like a real one: its rows are the real rows with noise.

Every row is one real text as it is stored, all its modules together, in which each stored sign is flipped with a
probability that is drawn for the row, evenly from ``FLIPPED``. So energies per module and term, the correlations
between them and the heavy tails of scores are those of the real index, and texts are from near copies (a product with
the original keeps (1 - 2p)² of its size) to nearly random. Scales, columns and norms are copied. Only for sign codes.
"""

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lorif_core.store.blocks import code_names
from lorif_core.store.manifest import compact, plan_of_manifest, write_manifest
from lorif_core.store.parts import Origin, ShardFacts, write_part
from lorif_core.store.plan import write_plan
from lorif_core.store.reader import StoreReader
from lorif_core.store.writer import write_self_influence, write_subspace
from lorif_core.workspace.indexes.index_job import shard_size

FLIPPED = (0.02, 0.48)
"""Least and largest probability that a sign of a row is flipped."""

LEVELS, POOL_BYTES = 24, 1 << 20
"""Probabilities are from so many steps; each has a pool of random bytes to take a row's noise from."""


class _Noise:
    """Bytes whose bits are 1 with given probabilities."""

    def __init__(self, generator: torch.Generator) -> None:
        levels = torch.linspace(*FLIPPED, LEVELS)
        bits = torch.rand(LEVELS, POOL_BYTES, 8, generator=generator) < levels[:, None, None]
        self.pools = (bits.to(torch.uint8) * (2 ** torch.arange(8)).to(torch.uint8)).sum(2, dtype=torch.uint8)
        self.generator = generator

    def flip(self, codes: Tensor, level: Tensor) -> Tensor:
        """Codes (n, …) uint8 with the bits of row i flipped at level[i]."""
        n, width = len(codes), math.prod(codes.shape[1:])
        windows = self.pools.unfold(1, width, 1)  # (levels, places, width)
        places = torch.randint(windows.shape[1], (n,), generator=self.generator)
        return codes ^ windows[level, places].view(codes.shape)


def resample(source: StoreReader, folder: Path, num_examples: int, seed: int = 0) -> StoreReader:
    """Write a complete index of that many noisy rows of a real one.

    Args:
        source: The real index, complete, of sign codes.
        folder: Where to write.
        num_examples: N.
        seed: Of rows and noise.
    """
    manifest = source.manifest
    assert manifest.codec == "sign"
    assert manifest.layout == "factors"
    generator = torch.Generator().manual_seed(seed)
    noise, real = _Noise(generator), _whole(source)
    own = torch.cat([source.self_influence(shard) for shard in source.iter_shards()])
    per_example = sum(math.prod(rows.shape[1:]) * rows.element_size() for rows in real.values())
    size = shard_size(per_example)
    plan = replace(plan_of_manifest(manifest), num_examples=num_examples, shard_examples=size, maps=None)
    write_plan(folder, plan)
    shares = num_examples / manifest.num_examples
    energies = [sum(entry.total_energy[place] for entry in manifest.shards) for place in range(len(plan.modules))]
    influences: list[Tensor] = []
    for number in range(plan.num_parts):
        count = len(plan.rows_of(number))
        rows = torch.randint(manifest.num_examples, (count,), generator=generator)
        level = torch.randint(LEVELS, (count,), generator=generator)
        tensors = {
            name: noise.flip(whole[rows], level) if whole.dtype == torch.uint8 else whole[rows]
            for name, whole in real.items()
        }
        part = [energy * shares / plan.num_parts for energy in energies]
        facts = ShardFacts(
            num_truncated=0, num_without_targets=0, kept_energy=part, total_energy=part,
            num_positions=source.num_train_tokens * count // manifest.num_examples,
        )  # fmt: skip
        write_part(folder, plan, number, tensors, facts, Origin("cpu", torch.__version__, "benchmark", 0.0))
        influences.append(own[rows])
    finished = compact(folder)
    for position, module in enumerate(plan.modules):
        finished.subspaces.append(write_subspace(folder, position, source.subspace(module)))
    for number, values in enumerate(influences):
        finished.self_influences.append(write_self_influence(folder, number, values))
    finished = replace(finished, curvature=manifest.curvature, damping=manifest.damping)
    complete = finished.as_complete(manifest.subspace_rank)
    write_manifest(folder, complete)
    return StoreReader(folder, complete)


def _whole(source: StoreReader) -> dict[str, Tensor]:
    """Every stored tensor over all texts."""
    shards = list(source.iter_shards())
    names = [*code_names(source.manifest), "norms", "num_tokens"]
    return {name: torch.cat([shard.tensor(name) for shard in shards]) for name in names}
