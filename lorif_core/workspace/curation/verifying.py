"""A prediction checked: trained with and without some texts, and measured."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lorif_core.catalog import EvaluationRecord, QueryRecord, utc_now
from lorif_core.data.encoding import Encoder
from lorif_core.errors import ConfigError
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.evaluation.retraining import load_start, require_remaining
from lorif_core.evaluation.run_removal import PosedQuery, RemovalRun, run_removal
from lorif_core.files import fingerprint_of_value
from lorif_core.metrics.correlation import spearman
from lorif_core.models.load import LoadedModel
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.kept_questions import question_of
from lorif_core.workspace.curation.removing import (
    Verification,
    VerifiedChange,
    check_influences,
    checked_removal,
    held_change,
    linear_change,
)
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles


@dataclass(frozen=True, slots=True)
class PlannedRemoval:
    """Texts to remove and the questions to look at, all about one data set.

    Args:
        ids: Of the texts, each once.
        queries: Kept questions, each once.
        dataset_id: What the questions are about.
        rows: The texts' rows in it.
        sums: Predicted change of each question's support in nats, as the sum of influences has it.
    """

    ids: list[str]
    queries: list[QueryRecord]
    dataset_id: str
    rows: list[int]
    sums: list[float]


def verify_removal(
    files: WorkspaceFiles,
    train_ids: Sequence[str],
    query_ids: Sequence[str],
    recipe: str | Path,
    *,
    device: str = "auto",
    on_progress: ProgressSink = no_progress,
    should_stop: Callable[[], bool] | None = None,
) -> Verification:
    """Train with and without the examples from the recipe's checkpoint; predicted against actual change.

    Args:
        files: The workspace.
        train_ids: Examples to remove.
        query_ids: Kept queries, all of one data set.
        recipe: TOML file: starting checkpoint, learning rate, epochs, seed, full or LoRA.
        device: As for a model.
        on_progress: Receives ("verify", training steps done, total).
        should_stop: Asked before every training step.

    Raises:
        LorifError: An id, a query or the recipe cannot be used, or the run was stopped.
    """
    started = time.perf_counter()
    plan = planned_removal(files, train_ids, query_ids)
    ids, queries, rows = plan.ids, plan.queries, plan.rows
    predicted = [held_change(query, change) for query, change in zip(queries, plan.sums, strict=True)]
    (run,) = retrain_without(
        files, [rows], queries, recipe, device=device, on_progress=on_progress, should_stop=should_stop
    )
    changes = run.change.tolist()
    verified = [
        VerifiedChange(query.query_id, query.prompt, query.completion, expected, actual, said, without, summed)
        for query, expected, actual, said, without, summed in zip(
            queries, predicted, changes, run.complete.answers, run.removed.answers, plan.sums, strict=True
        )
    ]
    correlation = spearman(torch.tensor(predicted), torch.tensor(changes)).item() if len(queries) > 2 else None
    result = Verification(ids, verified, correlation, time.perf_counter() - started)
    asked = {"train_ids": ids, "queries": list(query_ids), "recipe": str(recipe)}
    num_texts = files.catalog.dataset(plan.dataset_id).num_examples
    timed = {"epochs": read_recipe(Path(recipe)).epochs, "num_texts": num_texts}
    _keep(files, plan.dataset_id, asked | timed, result)
    return result


def planned_removal(files: WorkspaceFiles, train_ids: Sequence[str], query_ids: Sequence[str]) -> PlannedRemoval:
    """What a verification is about and what is predicted, once it is known that it can be trained.

    Raises:
        LorifError: An id or a question cannot be used, the scores of one are gone, the questions are about more than
            one data set, or no text would be left to train on.
    """
    ids = checked_removal(train_ids, query_ids)
    queries = [files.catalog.query(query_id) for query_id in dict.fromkeys(query_ids)]
    check_influences(files, queries)
    dataset_id = _only_dataset(queries)
    rows = files.examples(dataset_id).rows_of(ids)
    require_remaining(files.catalog.dataset(dataset_id).num_examples, len(rows))
    return PlannedRemoval(ids, queries, dataset_id, rows, [linear_change(files, query, rows) for query in queries])


def retrain_without(
    files: WorkspaceFiles,
    removals: Sequence[Sequence[int]],
    queries: Sequence[QueryRecord],
    recipe: str | Path,
    *,
    device: str = "auto",
    on_progress: ProgressSink = no_progress,
    should_stop: Callable[[], bool] | None = None,
) -> list[RemovalRun]:
    """Train once on everything and once without each set of rows, and measure the queries after each.

    Raises:
        LorifError: The recipe or a query cannot be used, or the run was stopped.
    """
    plan = read_recipe(Path(recipe))
    start = load_start(plan, device=device)
    encoder = Encoder(start.tokenizer, plan.max_length, plan.stride)
    examples = encoder.encode_all(files.examples(_only_dataset(queries)).iter_examples()).texts
    posed = [_posed(query, start) for query in queries]
    return run_removal(start, examples, removals, posed, plan, on_progress=on_progress, should_stop=should_stop)


def _posed(query: QueryRecord, start: LoadedModel) -> PosedQuery:
    question = question_of(query)
    asked = encode_question(question, start, query.query_id)
    return PosedQuery(asked.query, question.scoring.objective, tuple(asked.prompt_ids))


def _only_dataset(queries: Sequence[QueryRecord]) -> str:
    found = sorted({query.dataset_id for query in queries})
    if len(found) != 1:
        raise ConfigError(
            f"the queries of one training must be about one data set, these are about {', '.join(found)}. Take those "
            "of one data set."
        )
    return found[0]


def _keep(files: WorkspaceFiles, dataset_id: str, settings: dict[str, Any], result: Verification) -> None:
    now = utc_now()
    files.catalog.put_evaluation(
        EvaluationRecord(
            evaluation_id=f"ev-{fingerprint_of_value([settings, now.isoformat()])[:12]}",
            kind="verify",
            dataset_id=dataset_id,
            settings_json=json.dumps(settings),
            result_json=json.dumps(result.to_dict()),
            created_at=now,
        )
    )
