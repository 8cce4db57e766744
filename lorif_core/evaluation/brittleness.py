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
from lorif_core.data.encoding import EncodedExample
from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import OnProgress, ShouldStop, restored, seed_of, without_dropout
from lorif_core.evaluation.trial import Trial
from lorif_core.files import fingerprint_of_value, read_json, write_json
from lorif_core.metrics.correlation import bootstrap_interval, top_positions
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


class _Run(NamedTuple):
    """One retraining."""

    removed: tuple[int, ...]
    """Rows of the train examples that it does without, ascending; none is the full-data model."""

    seed: int


class _Removal(NamedTuple):
    """Why there is a run: the rows that a method ranks highest for a query."""

    name: str
    query: int
    run: _Run


def measure_brittleness(
    trial: Trial,
    scores: Mapping[str, Float[Tensor, "Q N"]],
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
        trial: What is trained and asked; the weights of its start are put back at the end, and each of ``seeds``
            takes the place of its recipe's.
        scores: Scores by method; positive = supports.
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
    num_queries, num_examples = len(trial.queries), len(trial.examples)
    _check(scores, num_queries, num_examples, k, seeds)
    removals = list(_plan(scores, num_queries, num_examples, k, seeds))
    runs = list(dict.fromkeys([_Run((), seed) for seed in seeds] + [one.run for one in removals]))
    outcomes: dict[_Run, list[_Outcome]] = {}
    with restored(trial.start.model) as restore:
        for done, (run, file) in enumerate(_files_of(runs, trial, folder), start=1):
            outcomes[run] = _read_outcomes(file)
            if not outcomes[run]:
                restore()
                outcomes[run] = _retrain_without(trial, run, should_stop)
                _keep_outcomes(file, run, outcomes[run])
            if on_progress is not None:
                on_progress(STAGE, done, len(runs))
    pairs: dict[str, list[tuple[int, _Outcome, _Outcome]]] = {name: [] for name in [*scores, RANDOM]}
    for one in removals:
        full, without = outcomes[_Run((), one.run.seed)][one.query], outcomes[one.run][one.query]
        pairs[one.name].append((one.query, full, without))
    return [_summarise(name, k, num_queries, found) for name, found in pairs.items()]


def greedy_tokens(model: nn.Module, query: EncodedExample) -> list[int]:
    """Likeliest token at every target position of one text, given the true text before it."""
    with without_dropout(model), torch.no_grad():
        # One text, so the positions that predict a target are exactly its targets.
        best = evaluate_objective(model, pad_batch([query], 0), lambda logits, labels, is_target: logits.argmax(-1))
    return best[0].tolist()


def _files_of(runs: Sequence[_Run], trial: Trial, folder: Path | None) -> Iterator[tuple[_Run, Path | None]]:
    """Every run with the file where its outcomes are kept."""
    if folder is None:
        yield from ((run, None) for run in runs)
        return
    folder.mkdir(parents=True, exist_ok=True)
    inputs = fingerprint_of_value(
        [trial.start.fingerprint, _settings_of(trial.recipe), list(trial.examples), list(trial.queries)]
    )
    yield from ((run, folder / f"{fingerprint_of_value([inputs, *run])}.json") for run in runs)


def _read_outcomes(file: Path | None) -> list[_Outcome]:
    """What an earlier call kept; empty: nothing."""
    if file is None or not file.exists():
        return []
    return [_Outcome(*values) for values in read_json(file, "outcomes")["outcomes"]]


def _keep_outcomes(file: Path | None, run: _Run, outcomes: list[_Outcome]) -> None:
    if file is not None:
        write_json(file, {"removed": run.removed, "seed": run.seed, "outcomes": outcomes})


def _retrain_without(trial: Trial, run: _Run, should_stop: ShouldStop | None) -> list[_Outcome]:
    removed = set(run.removed)
    kept = [row for row in range(len(trial.examples)) if row not in removed]
    trial.train_on(kept, seed=run.seed, should_stop=should_stop)
    greedy = [greedy_tokens(trial.start.model, query) for query in trial.queries]
    return [
        _Outcome(loss, tokens, tokens == _targets(query))
        for loss, tokens, query in zip(trial.losses().tolist(), greedy, trial.queries, strict=True)
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
            yield from (_Removal(name, query, _Run(tuple(sorted(rows)), seed)) for seed in seeds)
    for query in range(num_queries):
        for seed in seeds:
            rows = random_rows(num_examples, k, seed, query)
            yield _Removal(RANDOM, query, _Run(tuple(sorted(rows)), seed))


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
