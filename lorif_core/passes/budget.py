"""Which modules get how many rank-one terms, for a given number of bytes per example.

Bytes go where they explain most: every module's projected gradients are factored on a sample,
σ²_k is the mean energy of their k-th term, and terms are bought one by one in the order of
energy per byte until nothing more fits. With half-whitening maps the energy is measured in
the metric in which scores are taken. A module that gets no term is left out of the index.
Measured on a retrained ground truth, this keeps more than projecting further (decision 0008).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lorif_core.data.sequences import EncodedText
from lorif_core.errors import ConfigError
from lorif_core.linalg.codecs import ColumnCodec
from lorif_core.linalg.factors import factor_gradient, random_start
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.heaviest_columns import heaviest_columns
from lorif_core.linalg.maps import smallest_divisor
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.text_gradients import capture_texts
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import term_bytes

ENERGY_EXAMPLES = 256
"""Sample on which a budget is divided among modules."""

MAX_RANK = 16
"""Most terms that a module may get: beyond, they were measured to add nothing."""

MAX_COLUMNS = 32
"""Most columns of an output head."""

SHARE_OF_MODULES = 1 / 3
"""Project further only if the budget does not reach this share of all modules' first terms."""


def choose_divisor(
    shapes_at: Callable[[int], Sequence[ModuleShape]], codec: ColumnCodec, budget_bytes: int, *, largest: int = 64
) -> int:
    """The smallest projection divisor f (a power of two) at which enough modules can have a term.

    Args:
        shapes_at: The tracked modules, projected by a divisor.
        codec: Of the factors.
        budget_bytes: For the factors of one example.
        largest: Where to stop.
    """

    def fits(f: int) -> bool:
        one_term = sum(term_bytes(codec, one) for one in shapes_at(f) if one.form == "factors")
        return budget_bytes >= SHARE_OF_MODULES * one_term

    return smallest_divisor(fits, largest=largest) or largest


def measure_energies(source: GradientSource, examples: Sequence[EncodedText]) -> dict[str, Tensor]:
    """Mean energy of each of the leading terms of every module's projected gradients, (up to the most terms,)."""
    starts = {
        module.name: random_start(module.name, module.d_out, most_terms(module), seed=0)
        for module in source.modules
        if module.form == "factors"
    }
    energies = {module.name: torch.zeros(most_terms(module)) for module in source.modules}

    def take(name: str, _: Tensor, gradient: ProjectedGradient) -> None:
        if name in starts:
            factors = factor_gradient(gradient, starts[name])
            found = factors.left.square().sum(2) * factors.right.square().sum(2)
        else:
            found = heaviest_columns(gradient, len(energies[name])).left.square().sum(2)
        energies[name] += found.sum(0).cpu()

    capture_texts(
        source.model, source.maps, examples, take, pad_id=source.pad_id, tokens_per_batch=source.tokens_per_batch
    )
    return {name: energy / max(len(examples), 1) for name, energy in energies.items()}


def most_terms(module: ModuleShape) -> int:
    """How many terms a module may get at most."""
    if module.form == "columns":
        return min(MAX_COLUMNS, module.d_out)
    return min(MAX_RANK, module.d_in, module.d_out)


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
    cost = {module.name: term_bytes(codec, module) for module in modules}
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
