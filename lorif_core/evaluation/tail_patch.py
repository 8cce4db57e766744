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
from torch import Tensor

from lorif_core.errors import ConfigError
from lorif_core.evaluation.brittleness import RANDOM, check_scores, random_rows
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
from lorif_core.evaluation.trial import Trial
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
    trial: Trial,
    scores: Mapping[str, Float[Tensor, "Q N"]],
    *,
    k: int,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> list[TailPatchResult]:
    """Take one step on each query's top k: one result per method, then ``random``.

    Args:
        trial: Starts from the final model, whose weights are put back at the end; of its recipe count the learning
            rate, the weight decay and the clipping of the step, and the seed of the random rows.
        scores: Scores by method; positive = supports.
        k: Train examples per step.
        on_progress: Called with ("tail-patch", steps done, total).
        should_stop: Asked before every step.

    Raises:
        ConfigError: k is not between 1 and N, or a method is called ``random``.
        DataError: Scores do not fit the queries and examples.
        NumericalError: A score or a loss is not finite.
        RetrainingStopped: ``should_stop`` said so.
    """
    num_queries, num_examples = len(trial.queries), len(trial.examples)
    check_scores(scores, num_queries, num_examples)
    if not 1 <= k <= num_examples:
        raise ConfigError(f"k must be between 1 and the {num_examples} train examples, got {k}.")
    top: dict[str, list[list[int]]] = {name: top_positions(values, k).tolist() for name, values in scores.items()}
    top[RANDOM] = [random_rows(num_examples, k, trial.recipe.seed, query) for query in range(num_queries)]
    total, done = len(top) * num_queries, 0
    results = []
    with restored(trial.start.model) as restore:
        before = trial.losses()
        for name, rows_of_query in top.items():
            gains = torch.zeros(num_queries, dtype=torch.float64)
            for query, rows in enumerate(rows_of_query):
                if should_stop is not None and should_stop():
                    raise RetrainingStopped(f"tail-patch was stopped after {done} of {total} steps.")
                _take_first_step(trial, rows)
                after = query_losses(trial.start.model, [trial.queries[query]], trial.pad_id)
                gains[query] = before[query] - after[0]
                restore()  # before anybody is called, who may ask the model
                done += 1
                if on_progress is not None:
                    on_progress(STAGE, done, total)
            results.append(TailPatchResult(name, k, float(gains.mean()), *bootstrap_interval(gains, 0), gains))
    return results


def _take_first_step(trial: Trial, rows: Sequence[int]) -> None:
    model, recipe = trial.start.model, trial.recipe
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with without_dropout(model):
        batch = [trial.examples[row] for row in rows]
        take_step(model, batch, make_optimiser(trained, recipe), recipe, trial.pad_id)
