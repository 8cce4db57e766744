"""Which examples an example resembles most, as the index stores them: the cosine of stored gradients.

With factors A Bᵀ of one example, ⟨A Bᵀ, left rightᵀ⟩ = Σ (left·A)(right·B) over both ranks, so a pass over the store
costs c² (d_in + d_out) per example and module, and nothing is rebuilt. Half-whitened gradients are compared in the
metric of influence, others as they are. No model is needed.
"""

import torch
from torch import Tensor

from lorif_core.linalg.factors import Factors
from lorif_core.linalg.scores import FactoredQueries, TopK, score_dense_rows
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block, slice_block
from lorif_core.store.reader import Shard, StoreReader


def nearest_examples(reader: StoreReader, position: int, k: int) -> tuple[Tensor, Tensor]:
    """Store positions and cosines of the k examples nearest to the one at ``position``, which is left out.

    Equal cosines go in store order. An example without any gradient is near to nothing: its cosine is 0.
    """
    home, row = reader.shard_of(position)
    rows = slice(row, row + 1)
    own = {module.name: slice_block(home.block(module), rows) for module in reader.modules}
    norm = home.norms()[row]
    found = TopK(1, k + 1)
    for shard in reader.iter_shards():
        products = torch.zeros(1, shard.num_examples)
        for module in reader.modules:
            products += _products(own[module.name], shard, module)
        lengths = shard.norms() * norm
        found.add(torch.where(lengths > 0, products / lengths.clamp_min(torch.finfo().tiny), 0.0), shard.start)
    positions, cosines = found.of_query(0)
    others = positions != position
    return positions[others][:k], cosines[others][:k]


def _products(own: Block, shard: Shard, module: ModuleShape) -> Tensor:
    """Inner products of one example's gradient of a module with those of a shard, (1, n)."""
    block = shard.block(module)
    if isinstance(own, Factors) and isinstance(block, Factors):
        return FactoredQueries(own.left[0].mT, own.right[0].mT, 1).score(block)
    assert not isinstance(own, Factors)
    assert not isinstance(block, Factors)  # a store has one layout
    return score_dense_rows(own.matrix, block.matrix)
