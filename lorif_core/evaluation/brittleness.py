"""Is the answer gone when the texts that a ranking names are gone?

For every query the model is retrained without the k train examples that a method ranks highest,
and, beside it, without k drawn at random; both are compared with the model of the same seed
that saw everything. A good ranking raises the query's loss more than chance does. The answer is
read under teacher forcing: the greedy token at every target position, given the true text before it.
Source: removal of the highest-ranked examples, as in Datamodels (arXiv:2202.00622).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lorif_core.capture.hooks import evaluate_objective
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import EncodedExample, pad_token
from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import (
    OnProgress,
    ShouldStop,
    query_losses,
    restored,
    seed_of,
    train,
    without_dropout,
)
from lorif_core.files import fingerprint_of_value, read_json, write_json
from lorif_core.metrics.correlation import bootstrap_interval, top_positions
from lorif_core.models.load import LoadedModel
from lorif_core.shapes import Float

STAGE = "brittleness"
RANDOM = "random"


@dataclass(frozen=True)
class BrittlenessResult:
    """What removing the top k of one method does, over all queries and seeds."""

    name: str
    """Method, or ``random``."""

    k: int
    """Train examples removed per query."""

    loss_change: float
    """Mean rise of the query's summed loss in nats against the full-data model of the same seed."""

    loss_change_low: float
    """Lower end of the interval when queries are resampled."""

    loss_change_high: float

    share_changed: float
    """Share of queries and seeds whose greedy completion is another one than the full-data model's."""

    num_correct: int
    """Queries and seeds that the full-data model completes exactly as written."""

    share_flipped: float | None
    """Share of those that are no longer completed as written; None when there are none."""

    per_query: Tensor
    """(Q,) float64: rise of the loss in nats, mean over seeds."""


class _Outcome(NamedTuple):
    """How one model treats one query."""

    loss: float
    """Nats, summed."""

    greedy: list[int]
    """Greedy tokens at the target positions."""

    is_correct: bool


class _Removal(NamedTuple):
    name: str
    query: int
    seed: int
    rows: tuple[int, ...]


def measure_brittleness(
    start: LoadedModel,
    examples: Sequence[EncodedExample],
    queries: Sequence[EncodedExample],
    scores: Mapping[str, Float[Tensor, "Q N"]],
    recipe: Recipe,
    *,
    k: int,
    seeds: Sequence[int],
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> list[BrittlenessResult]:
    """Retrain without each query's top k: one result per method, then ``random``.

    Costs (methods + 1) · Q · seeds + seeds retrainings, less those that remove the same examples.

    Args:
        start: From ``load_start(recipe)``; its weights are put back at the end.
        examples: All N train examples.
        queries: The Q queries.
        scores: Scores by method; positive = supports.
        recipe: How to train; each of ``seeds`` takes the place of its seed.
        k: Train examples to remove per query.
        seeds: Seeds of the training and of the random removal.
        folder: Where finished retrainings are kept, so that a run that was stopped goes on; None keeps none.
        on_progress: Called with ("brittleness", retrainings done, total).
        should_stop: Asked before every training step.

    Raises:
        ConfigError: k does not leave some examples, there is no seed, or a method is called ``random``.
        DataError: Scores do not fit the queries and examples.
        NumericalError: A score is not finite, or a training diverged.
        RetrainingStopped: ``should_stop`` said so.
    """
    _check(scores, len(queries), len(examples), k, seeds)
    removals = list(_plan(scores, len(queries), len(examples), k, seeds))
    runs = list(dict.fromkeys([((), seed) for seed in seeds] + [(one.rows, one.seed) for one in removals]))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    outcomes: dict[tuple[tuple[int, ...], int], list[_Outcome]] = {}
    inputs = fingerprint_of_value([start.fingerprint, _settings_of(recipe), list(examples), list(queries)])
    with restored(start.model) as restore:
        for done, (rows, seed) in enumerate(runs, start=1):
            file = None if folder is None else folder / f"{fingerprint_of_value([inputs, rows, seed])}.json"
            if file is not None and file.exists():
                outcomes[rows, seed] = [_Outcome(*values) for values in read_json(file)["outcomes"]]
            else:
                restore()
                outcomes[rows, seed] = _retrain_without(
                    start, examples, queries, rows, recipe, seed=seed, should_stop=should_stop
                )
                if file is not None:
                    write_json(file, {"removed": rows, "seed": seed, "outcomes": outcomes[rows, seed]})
            if on_progress is not None:
                on_progress(STAGE, done, len(runs))
    pairs: dict[str, list[tuple[int, _Outcome, _Outcome]]] = {name: [] for name in [*scores, RANDOM]}
    for one in removals:
        full, without = outcomes[(), one.seed][one.query], outcomes[one.rows, one.seed][one.query]
        pairs[one.name].append((one.query, full, without))
    return [_summarise(name, k, len(queries), found) for name, found in pairs.items()]


def greedy_tokens(model: nn.Module, query: EncodedExample) -> list[int]:
    """Likeliest token at every target position of one text, given the true text before it."""
    with without_dropout(model), torch.no_grad():
        # One text, so the positions that predict a target are exactly its targets.
        best = evaluate_objective(model, pad_batch([query], 0), lambda logits, labels, is_target: logits.argmax(-1))
    return best[0].tolist()


def _retrain_without(
    start: LoadedModel,
    examples: Sequence[EncodedExample],
    queries: Sequence[EncodedExample],
    rows: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    should_stop: ShouldStop | None,
) -> list[_Outcome]:
    pad_id, removed = pad_token(start.tokenizer), set(rows)
    kept = [example for row, example in enumerate(examples) if row not in removed]
    train(start.model, kept, recipe, seed=seed, pad_id=pad_id, should_stop=should_stop)
    losses = query_losses(start.model, queries, pad_id).tolist()
    greedy = [greedy_tokens(start.model, query) for query in queries]
    return [
        _Outcome(loss, tokens, tokens == _targets(query))
        for loss, tokens, query in zip(losses, greedy, queries, strict=True)
    ]


def _targets(query: EncodedExample) -> list[int]:
    return [token for token, is_target in zip(query.input_ids, query.is_target, strict=True) if is_target]


def _settings_of(recipe: Recipe) -> list[object]:
    return [value for name, value in sorted(vars(recipe).items()) if name not in ("checkpoint", "seed")]


def _plan(
    scores: Mapping[str, Tensor], num_queries: int, num_examples: int, k: int, seeds: Sequence[int]
) -> Iterator[_Removal]:
    for name, values in scores.items():
        for query, rows in enumerate(top_positions(values, k).tolist()):
            yield from (_Removal(name, query, seed, tuple(sorted(rows))) for seed in seeds)
    for query in range(num_queries):
        for seed in seeds:
            yield _Removal(RANDOM, query, seed, tuple(sorted(random_rows(num_examples, k, seed, query))))


def random_rows(num_examples: int, k: int, seed: int, query: int) -> list[int]:
    """k different rows, drawn anew for every seed and query."""
    generator = torch.Generator().manual_seed(seed_of(RANDOM, seed, query))
    return torch.randperm(num_examples, generator=generator)[:k].tolist()


def _check(scores: Mapping[str, Tensor], num_queries: int, num_examples: int, k: int, seeds: Sequence[int]) -> None:
    check_scores(scores, num_queries, num_examples)
    if not 1 <= k < num_examples:
        raise ConfigError(f"k must leave some of the {num_examples} train examples and remove one, got {k}.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"brittleness needs different seeds and at least one, got {list(seeds)}.")


def check_scores(scores: Mapping[str, Tensor], num_queries: int, num_examples: int) -> None:
    """Refuse scores that do not belong to these queries and examples.

    Raises:
        ConfigError: A method has the name of the comparison, ``random``.
        DataError: A shape is wrong, or there is no query.
    """
    if RANDOM in scores:
        raise ConfigError(f"{RANDOM!r} is the comparison that every method gets: give the method another name.")
    if num_queries == 0:
        raise DataError("there must be at least one query, got none.")
    for name, values in scores.items():
        if values.shape != (num_queries, num_examples):
            raise DataError(
                f"scores of {name!r} must have the shape ({num_queries} queries, {num_examples} train examples), got "
                f"{tuple(values.shape)}."
            )


def _summarise(
    name: str, k: int, num_queries: int, found: Sequence[tuple[int, _Outcome, _Outcome]]
) -> BrittlenessResult:
    changes: list[list[float]] = [[] for _ in range(num_queries)]
    for query, full, without in found:
        changes[query].append(without.loss - full.loss)
    per_query = torch.tensor(changes, dtype=torch.float64).mean(1)
    correct = [without for _, full, without in found if full.is_correct]
    return BrittlenessResult(
        name,
        k,
        float(per_query.mean()),
        *bootstrap_interval(per_query, seed=0),
        sum(full.greedy != without.greedy for _, full, without in found) / len(found),
        len(correct),
        sum(not without.is_correct for without in correct) / len(correct) if correct else None,
        per_query,
    )
