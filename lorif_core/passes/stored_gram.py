"""Products with all stored gradients of an index, and weighted sums of them: its Gram matrix without forming it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lorif_core.linalg.factors import Factors
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.scores import prepare_queries
from lorif_core.passes.products import shard_products
from lorif_core.shapes import Float
from lorif_core.store.reader import StoreReader


def score_plainly(reader: StoreReader, matrices: Mapping[str, Tensor]) -> Float[Tensor, "Q N"]:
    """Product of each query with every stored gradient, summed over modules; one pass over the index."""
    prepared = {name: prepare_queries(matrix) for name, matrix in matrices.items()}
    return torch.cat(list(reader.map_shards(lambda shard: shard_products(shard, reader.modules, prepared))), 1)


def add_up(reader: StoreReader, weights: Float[Tensor, "Q N"]) -> dict[str, Tensor]:
    """Σ_n weights[q, n] · stored gradient n, per module (Q, d_in, d_out); one pass over the index."""
    sums = {module.name: torch.zeros(len(weights), module.d_in, module.d_out) for module in reader.modules}
    for shard in reader.iter_shards():
        own = weights[:, shard.start : shard.start + shard.num_examples]
        for module in reader.modules:
            block = shard.block(module)
            assert isinstance(block, Factors | Columns)
            add_weighted(sums[module.name], block, own)
    return sums


def add_weighted(
    sums: Float[Tensor, "Q d_in d_out"], block: Factors | Columns, weights: Float[Tensor, "Q n"]
) -> None:
    """Add Σ_n weights[q, n] Σ_c left[n, c]ᵀ right[n, c] to ``sums``, or as many times the columns, in place."""
    if isinstance(block, Columns):
        for query in range(len(sums)):
            rows = block.left * weights[query][:, None, None]
            sums[query].index_add_(1, block.places.flatten(), rows.flatten(0, 1).mT)
        return
    n, c, d_in = block.left.shape
    left, right = block.left.reshape(n * c, d_in), block.right.reshape(n * c, -1)
    for query in range(len(sums)):
        sums[query].addmm_(left.mT, right * weights[query].repeat_interleave(c)[:, None])
