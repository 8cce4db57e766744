"""Which modules get how many rank-one terms, for a given number of bytes per example.

Bytes go where they explain most: every module's projected gradients are factored on a sample,
σ²_k is the mean energy of their k-th term, and terms are bought one by one in the order of
energy per byte until nothing more fits. With half-whitening maps the energy is measured in
the metric in which scores are taken. A module that gets no term is left out of the index.
Measured on a retrained ground truth, this keeps more than projecting further (decision 0008).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.encoding import EncodedExample
from lorif_core.errors import ConfigError
from lorif_core.linalg.codecs import ColumnCodec, factor_bytes
from lorif_core.linalg.factors import factor_gradient, random_start
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.passes.shards import GradientSource
from lorif_core.shapes import ModuleShape

MAX_RANK = 8
"""Most terms that a module may get."""

SHARE_OF_MODULES = 1 / 3
"""Project further only if the budget does not reach this share of all modules' first terms."""


def choose_divisor(
    widths: Sequence[tuple[int, int]], codec: ColumnCodec, budget_bytes: int, *, largest: int = 64
) -> int:
    """The smallest projection divisor f (a power of two) at which enough modules can have a term.

    Args:
        widths: (in, out) of every tracked module.
        codec: Of the factors.
        budget_bytes: For the factors of one example.
        largest: Where to stop.
    """
    f = 1
    while f < largest:
        one_term = sum(factor_bytes(codec, 1, max(1, i // f), max(1, o // f)) for i, o in widths)
        if budget_bytes >= SHARE_OF_MODULES * one_term:
            break
        f *= 2
    return f


def measure_energies(source: GradientSource, examples: Sequence[EncodedExample]) -> dict[str, Tensor]:
    """Mean energy of each of the leading terms of every module's projected gradients, (up to MAX_RANK,)."""
    starts = {
        module.name: random_start(module.name, module.d_out, min(MAX_RANK, module.d_in, module.d_out), seed=0)
        for module in source.modules
    }
    energies = {name: torch.zeros(start.shape[1]) for name, start in starts.items()}
    lengths = [len(example.input_ids) for example in examples]
    for positions in plan_batches(lengths, source.tokens_per_batch, length_boundaries(source.model)):
        batch = pad_batch([examples[position] for position in positions], source.pad_id)

        def take(name: str, gradient: ProjectedGradient) -> None:
            factors = factor_gradient(gradient, starts[name])
            energies[name] += (factors.left.square().sum(2) * factors.right.square().sum(2)).sum(0).cpu()

        capture_gradients(source.model, source.maps, batch, summed_cross_entropy, take)
    return {name: energy / max(len(examples), 1) for name, energy in energies.items()}


def allocate_ranks(
    modules: Sequence[ModuleShape], energies: Mapping[str, Tensor], codec: ColumnCodec, budget_bytes: int
) -> dict[str, int]:
    """Rank of every module, 0 included, greedily by energy per byte.

    Args:
        modules: Tracked modules.
        energies: Per module, mean energy of its first, second, … term; not increasing.
        codec: Of the factors.
        budget_bytes: For the factors of one example.

    Raises:
        ConfigError: Not even one term of the narrowest module fits.
    """
    cost = {module.name: factor_bytes(codec, 1, module.d_in, module.d_out) for module in modules}
    terms = [(-float(energy) / cost[name], rank, name) for name in cost for rank, energy in enumerate(energies[name])]
    ranks, left, closed = dict.fromkeys(cost, 0), budget_bytes, set[str]()
    for _, _, name in sorted(terms):
        if name in closed:
            continue
        if cost[name] > left:
            closed.add(name)
            continue
        ranks[name] += 1
        left -= cost[name]
    if not any(ranks.values()):
        raise ConfigError(
            f"a budget must hold one term of the narrowest module, {min(cost.values())} bytes, but {budget_bytes} "
            "are left for factors. Raise `--budget`, or pass `--codec sign` or a larger `--f`."
        )
    return ranks
