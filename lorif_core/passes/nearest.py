"""Which examples an example resembles most, as the index stores them: the cosine of stored gradients.

With factors A Bᵀ of one example, ⟨A Bᵀ, left rightᵀ⟩ = Σ (left·A)(right·B) over both ranks, so a pass over the store
costs c² (d_in + d_out) per example and module, and nothing is rebuilt. Half-whitened gradients are compared in the
metric of influence, others as they are. No model is needed.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lorif_core.linalg.columns import Columns
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.scores import FactoredQueries, TopK
from lorif_core.passes.products import ModuleQueries, shard_products
from lorif_core.store.blocks import Block
from lorif_core.store.reader import Shard, StoreReader


def nearest_examples(reader: StoreReader, position: int, k: int) -> tuple[Tensor, Tensor]:
    """Store positions and cosines of the k examples nearest to the one at ``position``, which is left out.

    Equal cosines go in store order. An example without any gradient is near to nothing: its cosine is 0.
    """
    example = reader.at(position)
    own = {module.name: _as_queries(example.block(module)) for module in reader.modules}
    norm = example.norms()

    def cosines_of(shard: Shard) -> tuple[int, Tensor]:
        products, lengths = shard_products(shard, reader.modules, own), shard.norms() * norm
        return shard.start, torch.where(lengths > 0, products / lengths.clamp_min(torch.finfo().tiny), 0.0)

    found = TopK(1, k + 1)
    for start, cosines in reader.map_shards(cosines_of):
        found.add(cosines, start)
    positions, cosines = found.of_query(0)
    others = positions != position
    return positions[others][:k], cosines[others][:k]


def _as_queries(own: Block) -> ModuleQueries:
    """The gradient of one example as a query."""
    if isinstance(own, Columns):
        return FactoredQueries(own.left[0].mT, one_hot(own.places[0], own.d_out).mT.float(), 1)
    return FactoredQueries(own.left[0].mT, own.right[0].mT, 1) if isinstance(own, Factors) else own.matrix
