"""Indexes of random gradients on disk that need no xxhash: files without checksums, and no model behind them."""

import torch
from oracles import close
from safetensors.torch import save_file

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.subspace import Subspace
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.scoring import FittedIndex, iter_influences, plan_scoring
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import decode_block, encode_block
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.manifest import manifest_of_plan
from lorif_core.store.parts import ShardEntry
from lorif_core.store.plan import Parents, Plan
from lorif_core.store.reader import StoreReader

MODULES = [
    ModuleShape("a", 8, 23, 8, 23),
    ModuleShape("b", 40, 16, 40, 16),
    ModuleShape("c", 1, 1, 1, 1),
    ModuleShape("d", 13, 16, 13, 16),
]
HEAD = ModuleShape("head", 13, 50, 13, 50, "columns")
DAMPED = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=2.0)
RANKS = {"a": 2, "b": 1, "c": 1, "d": 3, "head": 3}
SIZES = (7, 7, 7, 7, 3)
"""Examples of each shard: more shards than there are buffers, the last one shorter."""


class BelievedPlace(LocalPlace):
    """Files without checksums: one that is there is believed."""

    def check(self, name, checksum):
        if not self.has(name):
            raise FileNotFoundError(name)


class RandomIndex(StoreReader):
    """No subspace; self-influences that belong to nobody."""

    def __init__(self, folder, manifest):
        super().__init__(BelievedPlace(folder), manifest)

    def subspace(self, module):
        return Subspace(torch.zeros(module.dim, 0), torch.zeros(0), 1.0)

    def self_influence(self, shard):
        return 1.0 + torch.arange(shard.start, shard.start + shard.num_examples) % 5


def random_index(folder, codec="sign", layout="factors", *, seed=0, sizes=SIZES, scales=None):
    rng = torch.Generator().manual_seed(seed)
    modules = MODULES if layout == "dense" else [*MODULES, HEAD]
    ranks = RANKS if layout == "factors" else None
    plan = Plan(
        layout=layout,
        codec=codec,
        scales=scales,
        factor_rank=2,
        f=1,
        seed=0,
        max_length=64,
        parents=Parents("d", "m", "t"),
        modules=modules,
        maps_digest="",
        num_examples=sum(sizes),
        shard_examples=max(sizes),
        ranks=ranks,
    )
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, count in enumerate(sizes):
        tensors = {"num_tokens": torch.full((count,), 3, dtype=torch.int32)}
        squares = torch.zeros(count)
        for module in modules:
            coded = encode_block(_random_block(module, layout, count, rng), module.name, column_codec(codec, scales))
            squares += decode_block(coded, module, column_codec(codec, scales), layout).squared_norm()
            tensors |= coded
        tensors["norms"] = squares.sqrt()
        path = folder / f"{number}.safetensors"
        save_file(tensors, path)
        entries.append(
            ShardEntry(
                file=path.name,
                size_bytes=path.stat().st_size,
                checksum=f"{seed} {number}",
                start=sum(sizes[:number]),
                num_examples=count,
                num_truncated=0,
                num_without_targets=0,
                kept_energy=[],
                total_energy=[],
            )
        )
    return RandomIndex(folder, manifest_of_plan(plan, entries, "complete"))


def _random_block(module, layout, count, rng):
    if layout == "dense":
        return DenseGradient(torch.randn(count, module.d_in, module.d_out, generator=rng))
    rank = RANKS[module.name]
    left = torch.randn(count, rank, module.d_in, generator=rng)
    if module.form == "columns":
        places = torch.stack([torch.randperm(module.d_out, generator=rng)[:rank] for _ in range(count)])
        return Columns(left, places, module.d_out)
    return Factors(left, torch.randn(count, rank, module.d_out, generator=rng))


def random_gradients(reader, num_queries, *, rank=None, seed=1):
    """Of queries: of full rank, or of a low one."""
    rng = torch.Generator().manual_seed(seed)
    matrices = {}
    for module in reader.modules:
        inner = min(rank or module.d_in, module.d_in, module.d_out)
        left = torch.randn(num_queries, module.d_in, inner, generator=rng)
        matrices[module.name] = left @ torch.randn(num_queries, inner, module.d_out, generator=rng)
    return QueryGradients(matrices, torch.zeros(num_queries), {})


def random_plan(reader, gradients, scored_on=None, **asked):
    fitted = FittedIndex(reader, Lorif(LorifConfig(subspace_rank=0)), DAMPED, scored_on=scored_on)
    return plan_scoring(fitted, gradients, ScoreConfig(**asked))


def influences(*plans):
    """Scores and products of all texts, both (Q, N)."""
    found = list(iter_influences(*plans))
    sizes = [scores.shape[1] for _, scores, _ in found]
    assert [start for start, _, _ in found] == [sum(sizes[:number]) for number in range(len(sizes))]
    assert all(one.device.type == "cpu" for _, *both in found for one in both)
    return [torch.cat(parts, 1) for parts in list(zip(*found, strict=True))[1:]]


def wanted_products(reader, gradients):
    """The products in float64, of whole matrices."""
    total = 0.0
    for module in reader.modules:
        rows = torch.cat([shard.block(module).dense().flatten(1) for shard in reader.iter_shards()])
        total = total + gradients.matrices[module.name].flatten(1).double() @ rows.double().T
    return total / DAMPED.damping


def close_to(found, wanted):
    """As far apart as some hundred roundings of 2⁻²⁴ each."""
    close(found, wanted, relative=2e-5)
