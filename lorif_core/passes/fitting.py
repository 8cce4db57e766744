"""Fit the preconditioner of an index: one subspace per module, then every example's self-influence."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lorif_core.config import CurvatureConfig
from lorif_core.linalg.preconditioner import SubspacePreconditioner, damping_from_ratio, precondition
from lorif_core.linalg.subspace import Subspace
from lorif_core.methods.protocol import Curvature
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block, block_rows
from lorif_core.store.reader import Shard, StoreReader

CHUNK_NUMBERS = 1 << 22
"""Numbers of rebuilt rows alive at a time (16 MB in float32)."""


def iter_rows(shard: Shard, module: ModuleShape) -> Iterator[tuple[slice, Tensor]]:
    """Stored gradients of one module as flattened rows, chunk by chunk: (positions, (n, D))."""
    step = max(1, CHUNK_NUMBERS // module.dim)
    for start in range(0, shard.num_examples, step):
        rows = slice(start, min(start + step, shard.num_examples))
        yield rows, block_rows(shard.part(rows).block(module))


def fit_modules(reader: StoreReader, curvature: Curvature) -> Iterator[Subspace]:
    """Curvature of every module, in their order; where no direction is kept the store is streamed once for all."""
    if curvature.subspace_rank == 0:
        yield from _traces(reader, reader.modules)
        return
    for module in reader.modules:
        yield fit_module(reader, curvature, module)


def _traces(reader: StoreReader, modules: Sequence[ModuleShape]) -> list[Subspace]:
    energies = [0.0] * len(modules)
    for shard in reader.iter_shards():
        for place, module in enumerate(modules):
            energies[place] += float(shard.block(module).squared_norm().sum(dtype=torch.float64))
    zero = torch.zeros(0)
    return [Subspace(torch.zeros(one.dim, 0), zero, sums) for one, sums in zip(modules, energies, strict=True)]


def fit_module(reader: StoreReader, curvature: Curvature, module: ModuleShape) -> Subspace:
    """Curvature of one module from the store, which is streamed a few times."""
    if curvature.subspace_rank == 0:
        return _traces(reader, [module])[0]

    def stream() -> Iterator[Tensor]:
        for shard in reader.iter_shards():
            for _, rows in iter_rows(shard, module):
                yield rows

    return curvature.fit(module, stream)


def damping_of(subspace: Subspace, settings: CurvatureConfig) -> float:
    """Absolute damping of a module under the settings."""
    if settings.damping_rule == "absolute":
        assert settings.damping is not None  # CurvatureConfig checks it
        return settings.damping
    return damping_from_ratio(subspace, settings.damping_rule, settings.ratio)


def self_influence(
    shard: Shard,
    modules: list[ModuleShape],
    preconditioner_of: Callable[[ModuleShape], SubspacePreconditioner],
) -> Tensor:
    """Score of each example of a shard against itself, summed over modules, (n,)."""
    total = torch.zeros(shard.num_examples, dtype=torch.float64)
    for module in modules:
        preconditioner = preconditioner_of(module)
        if not len(preconditioner.eigenvalues):
            total += own_products(preconditioner, shard.block(module)).double()
            continue
        for rows, chunk in iter_rows(shard, module):
            total[rows] += preconditioner.quadratic_form(chunk)
    return total.float()


def own_products(preconditioner: SubspacePreconditioner, block: Block) -> Tensor:
    """⟨T x̂, x̂⟩ of each gradient of one module, (n,); without a subspace none is written out."""
    if not len(preconditioner.eigenvalues):
        return block.squared_norm() / preconditioner.damping
    return preconditioner.quadratic_form(block_rows(block))


def preconditioner_of(subspace: Subspace, settings: CurvatureConfig) -> SubspacePreconditioner:
    """Preconditioner of one module, with fewer directions than stored if the settings say so."""
    if settings.subspace_rank is not None and settings.subspace_rank < subspace.rank:
        subspace = subspace.restrict(settings.subspace_rank)
    return precondition(subspace, damping_of(subspace, settings))
