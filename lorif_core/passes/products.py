"""Products of queries with the stored gradients of a shard, summed over modules: what a pass over an index does."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from lorif_core.linalg.query_batch import BatchedQueries
from lorif_core.linalg.scores import DirectQueries, PreparedQueries, ScoreSums, score_dense_rows
from lorif_core.shapes import Float, ModuleShape
from lorif_core.store.blocks import Buffers
from lorif_core.store.reader import Shard

ModuleQueries = PreparedQueries | BatchedQueries | Tensor
"""Queries of one module: laid out for stored factors, or (Q, d_in, d_out) for gradients that are stored whole."""


def shard_products(
    shard: Shard, modules: Sequence[ModuleShape], queries: Mapping[str, ModuleQueries]
) -> Float[Tensor, "Q n"]:
    """Each query's product with each stored gradient of the shard, over some modules.

    Args:
        shard: Of an index of the layout that the queries are for, on the device that they lie on.
        modules: Whose products are summed.
        queries: By the names of the modules.
    """
    some = queries[modules[0].name]
    count = len(some) if isinstance(some, Tensor) else some.num_queries
    sums = ScoreSums(count, shard.num_examples, device=some.device)
    buffers = Buffers()
    for module in modules:
        _add(sums, queries[module.name], shard, module, buffers)
    return sums.total()


def _add(sums: ScoreSums, queries: ModuleQueries, shard: Shard, module: ModuleShape, buffers: Buffers) -> None:
    if isinstance(queries, Tensor):
        sums.add(score_dense_rows(queries, shard.block(module).dense()))
        return
    if module.form == "columns":
        queries.add_column_scores(sums, shard.columns(module))
        return
    factors = shard.factors(module, buffers)
    assert factors is not None
    if not isinstance(queries, DirectQueries) and queries.reads_signs and (signs := factors.signs()) is not None:
        queries.add_sign_scores(sums, signs)
    else:
        queries.add_scores(sums, factors)
