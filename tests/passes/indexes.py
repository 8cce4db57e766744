"""Small indexes for the tests of methods: on disk through the store, or in memory with an exact codec."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from oracles import projected_gradients
from tiny_models import random_examples, tiny_model
from torch import Tensor, nn

from lorif_core.capture.hooks import frozen
from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.codecs import Coded, ColumnCodec, column_codec
from lorif_core.linalg.maps import maps_digest, random_maps
from lorif_core.linalg.preconditioner import precondition
from lorif_core.linalg.subspace import Subspace
from lorif_core.methods.logra import Logra
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LograConfig, LorifConfig
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.fitting import damping_of, fit_module, self_influence
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import FittedIndex, iter_scores, plan_scoring
from lorif_core.passes.shards import GradientSource, build_shard
from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import Manifest, compact, manifest_of_plan
from lorif_core.store.parts import Origin, ShardEntry, ShardFacts, write_part
from lorif_core.store.plan import Parents, Plan, write_plan
from lorif_core.store.reader import Shard, StoreReader
from lorif_core.store.tensor_files import TensorFile
from lorif_core.store.writer import write_self_influence, write_subspace

F = 8
"""Projection divisor: D between 8 and 24 per module of the tiny models."""
EXACT = ColumnCodec(
    "exact", False, lambda d: 4 * d, lambda x: Coded(x.float(), None), lambda codes, _, out: out.copy_(codes)
)
TRAIN = random_examples([9, 4, 12, 6, 3, 10, 7, 8, 5, 11], seed=1)
QUERIES = [Query(f"q{n}", (one,), (1.0,)) for n, one in enumerate(random_examples([6, 9, 4], seed=2))]
FULL = Lorif(LorifConfig(factor_rank=99, subspace_rank=999))
LOGRA = Logra(LograConfig())


memory_entry = partial(
    ShardEntry,
    file="",
    size_bytes=0,
    checksum="",
    num_truncated=0,
    num_without_targets=0,
    kept_energy=[],
    total_energy=[],
)


@cache
def model_of(architecture: str = "llama") -> nn.Module:
    return tiny_model(architecture, dtype=torch.float32)


def modules_of(model: nn.Module) -> list[ModuleShape]:
    return tracked_shapes(list_modules(model, include=("*.0.*",)), F)


def source_of(method, codec: ColumnCodec = EXACT, *, tokens_per_batch: int = 64, model=None) -> GradientSource:
    """Wrap in ``with frozen(source.model)``."""
    model = model or model_of()
    modules = modules_of(model)
    device = next(model.parameters()).device
    maps = {one.name: random_maps(one, f=F, seed=0).to(device, torch.float32) for one in modules}
    return GradientSource(model, maps, modules, method, codec, 1, tokens_per_batch)


@cache
def oracle_model() -> nn.Module:
    return tiny_model("llama")


def oracle_rows(examples: Sequence[EncodedExample], objective=None) -> list[Tensor]:
    """Per module, the flattened projected gradients in float64, (n, D)."""
    maps = source_of(LOGRA).maps
    arguments = () if objective is None else (objective,)
    found = projected_gradients(
        oracle_model(), maps, [(one.input_ids, one.is_target) for one in examples], *arguments
    )
    return [matrices.flatten(1) for matrices in found.values()]


class MemoryFile(TensorFile):
    """Tensors in memory."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def rows(self, name: str, rows: range) -> Tensor:
        return self.tensors[name][rows.start : rows.stop]


class MemoryShard(Shard):
    """A shard whose codec may be an exact one."""

    @property
    def _codec(self) -> ColumnCodec:
        return EXACT if self.manifest.codec == EXACT.name else column_codec(self.manifest.codec)


@dataclass(frozen=True)
class MemoryIndex(StoreReader):
    """An index in memory."""

    manifest: Manifest
    shards: list[MemoryShard]
    subspaces: dict[str, Subspace]
    self_influences: list[Tensor]
    method: AttributionMethod

    @property
    def num_train_tokens(self) -> int:
        return sum(int(shard.num_tokens().sum()) for shard in self.shards)

    def shard(self, number: int, rows: slice = slice(None)) -> Shard:
        return self.shards[number].part(rows)

    def iter_shards(self) -> Iterator[MemoryShard]:
        return iter(self.shards)

    def map_shards(self, work, numbers=None, rows_at_once=None):
        return map(work, self.shards)

    def subspace(self, module: ModuleShape) -> Subspace:
        return self.subspaces[module.name]

    def self_influence(self, shard: MemoryShard) -> Tensor:
        return self.self_influences[shard.number][shard.rows.start : shard.rows.stop]


def _plan(source: GradientSource, num_examples: int, shard_examples: int) -> Plan:
    return Plan(
        layout=source.method.feature.layout,
        codec=source.codec.name,
        factor_rank=source.method.feature.factor_rank,
        f=F,
        seed=0,
        max_length=64,
        parents=Parents("d", "m", "t"),
        modules=list(source.modules),
        maps_digest=maps_digest(dict(source.maps)),
        objective=None if source.method.train_objective == "loss" else source.method.train_objective,
        num_examples=num_examples,
        shard_examples=shard_examples,
    )


def memory_index(
    method, curvature: CurvatureConfig, *, codec: ColumnCodec = EXACT, train=TRAIN, shard_examples: int = 4, **batches
) -> MemoryIndex:
    """Gradients, subspaces and self-influences, without a disk between them."""
    return index_in_memory(source_of(method, codec, **batches), curvature, train, shard_examples)


def index_in_memory(source: GradientSource, curvature: CurvatureConfig, train, shard_examples: int) -> MemoryIndex:
    """The same of gradients that are taken in any way."""
    method = source.method
    manifest = manifest_of_plan(_plan(source, len(train), shard_examples))
    files = []
    with frozen(source.model):
        for start in range(0, len(train), shard_examples):
            part = train[start : start + shard_examples]
            manifest.shards.append(memory_entry(start=start, num_examples=len(part)))
            files.append(MemoryFile(build_shard(source, part).tensors))
    entries = enumerate(manifest.shards)
    shards = [MemoryShard(number, manifest, files[number], range(one.num_examples)) for number, one in entries]
    index = MemoryIndex(manifest, shards, {}, [], method)
    for module in index.modules:
        index.subspaces[module.name] = fit_module(index, method.curvature, module)
    manifest = replace(
        manifest, subspace_rank=method.curvature.subspace_rank, curvature=asdict(curvature), status="complete"
    )
    index = replace(index, manifest=manifest)
    for shard in shards:
        index.self_influences.append(
            self_influence(
                shard,
                index.modules,
                lambda module: precondition(index.subspace(module), damping_of(index.subspace(module), curvature)),
            )
        )
    return index


def disk_index(
    folder: Path, method, curvature: CurvatureConfig, codec: str, *, shard_examples: int = 4, **batches
) -> StoreReader:
    """The same through the store, as an indexing run combines the steps."""
    source = source_of(method, column_codec(codec), **batches)
    plan = _plan(source, len(TRAIN), shard_examples)
    write_plan(folder, plan)
    with frozen(source.model):
        for number in range(plan.num_parts):
            rows = plan.rows_of(number)
            shard = build_shard(source, TRAIN[rows.start : rows.stop])
            facts = ShardFacts(
                num_truncated=0,
                num_without_targets=0,
                kept_energy=shard.kept_energy,
                total_energy=shard.total_energy,
                stored_energy=shard.stored_energy,
            )
            write_part(folder, plan, number, shard.tensors, facts, Origin("cpu", torch.__version__, "test", 0.0))
    manifest = compact(folder)
    reader = StoreReader(folder, manifest)
    subspaces = [fit_module(reader, method.curvature, module) for module in manifest.modules]
    damping = {m.name: damping_of(s, curvature) for m, s in zip(manifest.modules, subspaces, strict=True)}
    entries = [write_subspace(folder, position, subspace) for position, subspace in enumerate(subspaces)]
    manifest = replace(
        manifest,
        subspace_rank=method.curvature.subspace_rank,
        curvature=asdict(curvature),
        subspaces=entries,
        damping=damping,
        status="complete",
    )
    reader = StoreReader(folder, manifest)
    values = [
        self_influence(shard, reader.modules, lambda m: precondition(reader.subspace(m), damping[m.name]))
        for shard in reader.iter_shards()
    ]
    own = [write_self_influence(folder, position, one) for position, one in enumerate(values)]
    built = StoreReader(folder, replace(manifest, self_influences=own))
    vars(built)["method"] = method  # which an index on disk knows from its settings
    return built


def fitted(index, curvature: CurvatureConfig) -> FittedIndex:
    """An index with its method, whose scores are as if it had been fitted with ``curvature``."""
    return FittedIndex(index, index.method, curvature)


def scores_of(
    index, curvature: CurvatureConfig, asked: ScoreConfig | None = None, queries=QUERIES, *, model=None
) -> Tensor:
    """All scores, (Q, N)."""
    asked = asked or ScoreConfig()
    codec = EXACT if index.manifest.codec == EXACT.name else column_codec(index.manifest.codec)
    source = source_of(index.method, codec, model=model)
    with frozen(source.model):
        gradients = capture_queries(source, queries, asked)
    plan = plan_scoring(fitted(index, curvature), gradients, asked)
    found = list(iter_scores(plan))
    sizes = [scores.shape[1] for _, scores in found]
    assert [start for start, _ in found] == [sum(sizes[:n]) for n in range(len(sizes))]
    return torch.cat([scores for _, scores in found], 1)


def stored_rows(index) -> list[Tensor]:
    """Per module, the gradients that an index stands for, in float64, (N, D)."""
    parts = [
        [shard.block(module).dense().flatten(1).double() for module in index.modules] for shard in index.iter_shards()
    ]
    return [torch.cat([part[position] for part in parts]) for position in range(len(index.modules))]
