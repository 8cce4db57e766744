"""Which examples an example resembles most, as the index stores them: the cosine of stored gradients.

With factors A Bᵀ of one example, ⟨A Bᵀ, left rightᵀ⟩ = Σ (left·A)(right·B) over both ranks, so a pass over the store
costs c² (d_in + d_out) per example and module, and nothing is rebuilt. Half-whitened gradients are compared in the
metric of influence, others as they are. No model is needed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lorif_core.linalg.factors import Factors
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.scores import FactoredQueries, TopK
from lorif_core.passes.cascade import CascadeReport, search_by_cascade
from lorif_core.passes.cascade_plan import Summand
from lorif_core.passes.products import ModuleQueries, shard_products
from lorif_core.shapes import Float
from lorif_core.store.blocks import Block
from lorif_core.store.reader import Shard, StoreReader


def nearest_examples(
    reader: StoreReader, position: int, k: int, others: Sequence[StoreReader] = ()
) -> tuple[Tensor, Tensor]:
    """Store positions and cosines of the k examples nearest to the one at ``position``, which is left out.

    Equal cosines go in store order. An example without any gradient is near to nothing: its cosine is 0.

    Args:
        reader: What is stored of the examples.
        position: Of the example.
        k: How many.
        others: Further members over the same examples, in shards of the same size: a cosine is the mean over all.
    """
    members = [_Nearness(one, position) for one in (reader, *others)]

    def cosines_of(shard: Shard) -> tuple[int, Tensor]:
        shards = [shard, *(one.shard(shard.number) for one in others)]
        found = [member.cosines(own) for member, own in zip(members, shards, strict=True)]
        return shard.start, torch.stack(found).mean(0)

    found = TopK(1, k + 1)
    for start, cosines in reader.map_shards(cosines_of):
        found.add(cosines, start)
    positions, cosines = found.of_query(0)
    is_other = positions != position
    return positions[is_other][:k], cosines[is_other][:k]


def search_nearest(
    reader: StoreReader, position: int, k: int, others: Sequence[StoreReader] = ()
) -> tuple[Tensor, Tensor, CascadeReport]:
    """The same by a cascade, and what the list rests on; the example itself counts as one of k + 1.

    Args:
        reader: As for ``nearest_examples``.
        position: Of the example.
        k: How many.
        others: Further members.
    """
    readers = (reader, *others)
    members = [_Nearness(one, position) for one in readers]
    summands = [
        Summand(one, member.own, member.per_product(one) / len(readers))
        for one, member in zip(readers, members, strict=True)
    ]
    found = search_by_cascade(summands, k + 1)
    is_other = found.positions != position
    return found.positions[is_other][:k], found.scores[is_other][:k], found.report


class _Nearness:
    """The gradient of one example, to compare others with."""

    def __init__(self, reader: StoreReader, position: int) -> None:
        example, self.modules = reader.at(position), reader.modules
        self.own = {module.name: _as_queries(example.block(module)) for module in self.modules}
        self.norm = example.norms()

    def per_product(self, reader: StoreReader) -> Float[Tensor, " N"]:
        """The cosine of a product of 1 with every example."""
        lengths = torch.cat(list(reader.map_shards(lambda shard: shard.norms()))) * self.norm
        return torch.where(lengths > 0, 1 / lengths.clamp_min(torch.finfo().tiny), 0.0)

    def cosines(self, shard: Shard) -> Tensor:
        """With every example of a shard, (1, n)."""
        products, lengths = shard_products(shard, self.modules, self.own), shard.norms() * self.norm
        return torch.where(lengths > 0, products / lengths.clamp_min(torch.finfo().tiny), 0.0)


def _as_queries(own: Block) -> ModuleQueries:
    """The gradient of one example as a query."""
    if isinstance(own, Columns):
        return FactoredQueries(own.left[0].mT, one_hot(own.places[0], own.d_out).mT.float(), 1)
    return FactoredQueries(own.left[0].mT, own.right[0].mT, 1) if isinstance(own, Factors) else own.matrix
