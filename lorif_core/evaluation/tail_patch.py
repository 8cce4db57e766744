"""Does one more training step on the texts that a ranking names make the query likelier?

From the final model one step is taken on each query's top k as one batch, with the recipe's
learning rate and the first step of a fresh AdamW, as the recipe's optimiser would take it: every
weight moves by about the learning rate against the sign of its (clipped) gradient. Then the
weights are put back. Cheap next to retraining, but local: it sees what a text would teach now,
not what it has taught.
Source: tail-patch score of Chang et al. (arXiv:2410.17413).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorif_core.data.encoding import EncodedExample
from lorif_core.errors import ConfigError
from lorif_core.evaluation.brittleness import RANDOM, check_scores, random_rows
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import (
    OnProgress,
    RetrainingStopped,
    ShouldStop,
    make_optimiser,
    query_losses,
    restored,
    take_step,
    without_dropout,
)
from lorif_core.metrics.correlation import bootstrap_interval, top_positions
from lorif_core.shapes import Float

STAGE = "tail-patch"


@dataclass(frozen=True)
class TailPatchResult:
    """What one step on the top k of one method does to the queries."""

    name: str
    """Method, or ``random``."""

    k: int
    """Train examples in the step."""

    gain: float
    """Mean rise of the query's log-probability in nats, summed over its target tokens."""

    gain_low: float
    """Lower end of the interval when queries are resampled."""

    gain_high: float

    per_query: Tensor
    """(Q,) float64: rise of each query's log-probability in nats."""


def measure_tail_patch(
    model: nn.Module,
    examples: Sequence[EncodedExample],
    queries: Sequence[EncodedExample],
    scores: Mapping[str, Float[Tensor, "Q N"]],
    recipe: Recipe,
    *,
    k: int,
    pad_id: int,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> list[TailPatchResult]:
    """Take one step on each query's top k: one result per method, then ``random``.

    Args:
        model: The final model; its weights are put back at the end.
        examples: All N train examples.
        queries: The Q queries.
        scores: Scores by method; positive = supports.
        recipe: Learning rate, weight decay and clipping of the step, and the seed of the random rows.
        k: Train examples per step.
        pad_id: Any valid token id.
        on_progress: Called with ("tail-patch", steps done, total).
        should_stop: Asked before every step.

    Raises:
        ConfigError: k is not between 1 and N, or a method is called ``random``.
        DataError: Scores do not fit the queries and examples.
        NumericalError: A score or a loss is not finite.
        RetrainingStopped: ``should_stop`` said so.
    """
    check_scores(scores, len(queries), len(examples))
    if not 1 <= k <= len(examples):
        raise ConfigError(f"k must be between 1 and the {len(examples)} train examples, got {k}.")
    top: dict[str, list[list[int]]] = {name: top_positions(values, k).tolist() for name, values in scores.items()}
    top[RANDOM] = [random_rows(len(examples), k, recipe.seed, query) for query in range(len(queries))]
    total, done = len(top) * len(queries), 0
    results = []
    with restored(model) as restore:
        before = query_losses(model, queries, pad_id)
        for name, rows_of_query in top.items():
            gains = torch.zeros(len(queries), dtype=torch.float64)
            for query, rows in enumerate(rows_of_query):
                if should_stop is not None and should_stop():
                    raise RetrainingStopped(f"tail-patch was stopped after {done} of {total} steps.")
                _take_first_step(model, [examples[row] for row in rows], recipe, pad_id)
                gains[query] = before[query] - query_losses(model, [queries[query]], pad_id)[0]
                restore()  # before anybody is called, who may ask the model
                done += 1
                if on_progress is not None:
                    on_progress(STAGE, done, total)
            results.append(TailPatchResult(name, k, float(gains.mean()), *bootstrap_interval(gains, 0), gains))
    return results


def _take_first_step(model: nn.Module, examples: Sequence[EncodedExample], recipe: Recipe, pad_id: int) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with without_dropout(model):
        take_step(model, examples, make_optimiser(trained, recipe), recipe, pad_id)
