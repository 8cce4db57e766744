"""Refine the queries to an index by the curvature of its model, over a batch that is the same for every question."""

from lorif_core.config import ScoreConfig
from lorif_core.errors import ResourceError
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.refined_queries import RefinedQueries, refine_by_model
from lorif_core.passes.scoring import check_refine
from lorif_core.passes.second_moments import sample_positions
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes import free_memory
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.indexes.scoring_devices import with_room

VECTORS = 6
"""Whole matrices of every query that are alive at a time: gradient, solution, residual, direction, product, plan."""

WEIGHTS = 3
"""Copies of the tracked weights: how they move, the same as they lie in the model, their gradients."""

FLOAT_BYTES = 4


def refined_by_model(
    index: OpenIndex, gradients: QueryGradients, asked: ScoreConfig, on_progress: ProgressSink = no_progress
) -> RefinedQueries:
    """The queries' solutions in the model's Gauss–Newton matrix.

    Args:
        index: Alone, and of half-whitened gradients.
        gradients: Of the queries.
        asked: Steps, batch, damping and solver.
        on_progress: Receives ("refine", steps done, all).

    Raises:
        ConfigError: The index's method cannot be refined.
        ResourceError: There is not enough memory.
    """
    check_refine(index.fitted.method, asked.refine)
    check_memory(index, len(gradients.objectives))
    positions = sample_positions(index.reader.manifest.num_examples, asked.batch, asked.refine_seed)
    texts = index.engine.encoder.encode_all(index.examples.examples_at(positions)).texts
    on_progress("refine", 0, asked.refine)
    with index.engine.gradients() as source:
        return with_room(
            index.fitted.scored_on,
            lambda: refine_by_model(
                source,
                gradients,
                texts,
                solver=asked.solver,
                steps=asked.refine,
                ratio=asked.refine_damping,
                on_step=lambda step, _: on_progress("refine", step, asked.refine),
            ),
        )


def check_memory(index: OpenIndex, num_queries: int) -> None:
    """Refuse queries whose whole matrices do not fit into memory.

    Raises:
        ResourceError: They do not.
    """
    modules = index.reader.modules
    vectors = VECTORS * num_queries * sum(one.dim for one in modules)
    weights = WEIGHTS * sum(one.in_features * one.out_features for one in modules)
    needed, free = FLOAT_BYTES * (vectors + weights), free_memory.free_host_bytes()
    if needed > free:
        raise ResourceError(
            f"refining {num_queries} question{'s' * (num_queries != 1)} by the model takes {needed / 1e9:,.1f} GB "
            f"for whole matrices of every tracked module, {free / 1e9:,.1f} GB are free. Refine by codes, ask an "
            "index with a larger `--f`, or one without the output head (`--head-columns 0`)."
        )
