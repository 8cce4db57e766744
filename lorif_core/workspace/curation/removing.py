"""What would happen if some texts were removed: predicted from influence, checked by training again.

Let g_n be the gradient of example n and F = GᵀG + λI the damped Gram matrix of all of them. Near a
minimum of the summed loss, taking example n away moves the weights by F⁻¹ g_n, which raises the loss
of query q by g_qᵀ F⁻¹ g_n = score(q, n) nats. The *support* of a completion, its log-probability for
the objective ``loss``, therefore changes by -Σ score(q, n) over the removed examples. The sum leaves
out how removed examples interact: groups are usually underestimated, while their order is right. A probability that
would exceed 1 is held there.
Source: Koh and Liang (arXiv:1703.04730), section 2.1; for groups Koh et al. (arXiv:1905.13289).
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import plotly.graph_objects as go
import polars as pl
import torch

from lorif_core.catalog import EvaluationRecord, QueryRecord, utc_now
from lorif_core.data.encoding import Encoder
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.evaluation.retraining import load_start
from lorif_core.evaluation.run_removal import PosedQuery, RemovalRun, run_removal
from lorif_core.files import fingerprint_of_value
from lorif_core.metrics.correlation import spearman
from lorif_core.models.load import LoadedModel
from lorif_core.views.removal_figures import change_bars, predicted_against_actual
from lorif_core.workspace.asking.conventions import objective_value_of, unit_of
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.kept_questions import question_of
from lorif_core.workspace.folder.kept_scores import influence_column, read_influences
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

UNCHANGED_NATS = 0.01
UNCHANGED_SHARE = 0.01
"""A change below 0.01 nats, 1 % of a probability, is no help and no harm; nor is one below 1 % of the largest
change of a target, because a sum of influences exaggerates all changes alike."""

Role = Literal["target", "control"]
Outcome = Literal["helped", "harmed", "unchanged"]


@dataclass(frozen=True)
class PredictedChange:
    """What a removal is predicted to do to one query."""

    query_id: str
    prompt: str
    completion: str
    role: Role

    change: float
    """Of the completion's support, in nats; negative: it gets less likely."""

    outcome: Outcome
    """A target is helped when its completion loses support, a control is harmed by that."""


@dataclass(frozen=True)
class WhatIf:
    """Predicted effect of removing some examples on kept queries."""

    train_ids: list[str]
    queries: list[PredictedChange]

    @property
    def helped(self) -> list[PredictedChange]:
        """Queries that move the way one wants."""
        return [query for query in self.queries if query.outcome == "helped"]

    @property
    def harmed(self) -> list[PredictedChange]:
        """Queries that move the other way."""
        return [query for query in self.queries if query.outcome == "harmed"]

    def figure(self) -> go.Figure:
        """The predicted changes as bars, as in the studio."""
        return change_bars(
            [change.query_id for change in self.queries],
            [f"{change.prompt}{change.completion}" for change in self.queries],
            [change.change for change in self.queries],
            [change.outcome for change in self.queries],
        )

    def to_polars(self) -> pl.DataFrame:
        """One row per query."""
        return pl.DataFrame([asdict(query) for query in self.queries], infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self)


@dataclass(frozen=True)
class VerifiedChange:
    """What a removal was predicted to do to one query, and what it did."""

    query_id: str
    prompt: str
    completion: str

    predicted: float
    """Change of the completion's support in nats, from influence."""

    actual: float
    """The same between two trained models."""

    answer_with: str
    """What the model trained on everything says."""

    answer_without: str
    """What the model trained without the removed texts says."""


@dataclass(frozen=True)
class Verification:
    """A removal, predicted and really done."""

    train_ids: list[str]
    queries: list[VerifiedChange]

    rank_correlation: float | None
    """Spearman correlation of predicted and actual over the queries; None below three queries."""

    elapsed_s: float

    def figure(self) -> go.Figure:
        """Predicted against actual, as in the studio."""
        return predicted_against_actual(
            [change.query_id for change in self.queries],
            [f"{change.prompt}{change.completion}" for change in self.queries],
            [change.predicted for change in self.queries],
            [change.actual for change in self.queries],
        )

    def to_polars(self) -> pl.DataFrame:
        """One row per query."""
        return pl.DataFrame([asdict(query) for query in self.queries], infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self)


def predict_removal(
    files: WorkspaceFiles, train_ids: Sequence[str], targets: Sequence[str], controls: Sequence[str] | None = None
) -> WhatIf:
    """Predicted change of kept queries if the examples were removed; see the module for the formula.

    Args:
        files: The workspace.
        train_ids: Examples to remove.
        targets: Queries whose completions one wants to hear less.
        controls: Queries whose completions shall stay as they are. None: all others whose scores are influences.

    Raises:
        ConfigError: No example or no query is given, or a query's scores are no influences.
        DataError: An id is not one of the query's data set.
    """
    ids = _checked(train_ids, targets)
    if controls is None:
        asked = {files.catalog.query(query_id).dataset_id for query_id in targets}
        others = [query for query in files.catalog.queries() if query.query_id not in targets]
        controls = [
            query.query_id for query in others if query.dataset_id in asked and not _why_no_influence(files, query)
        ]
    roles: dict[str, Role] = {query_id: "control" for query_id in controls}
    roles |= {query_id: "target" for query_id in targets}
    queries = [files.catalog.query(query_id) for query_id in roles]
    _check_influences(files, queries)
    rows = {dataset: files.examples(dataset).rows_of(ids) for dataset in {query.dataset_id for query in queries}}
    changes = {query.query_id: predicted_change(files, query, rows[query.dataset_id]) for query in queries}
    largest = max(abs(changes[query_id]) for query_id in targets)
    least = max(UNCHANGED_NATS, UNCHANGED_SHARE * largest)
    found = [_predicted(query, roles[query.query_id], changes[query.query_id], least) for query in queries]
    return WhatIf(ids, sorted(found, key=lambda change: change.role == "control"))


def _predicted(query: QueryRecord, role: Role, change: float, least: float) -> PredictedChange:
    outcome: Outcome = "unchanged"
    if abs(change) >= least:
        outcome = "helped" if (change < 0) == (role == "target") else "harmed"
    return PredictedChange(query.query_id, query.prompt, query.completion, role, change, outcome)


def predicted_change(files: WorkspaceFiles, query: QueryRecord, rows: Sequence[int]) -> float:
    """Change of a kept query's support in nats if the examples of these rows were removed.

    The sum is linear and knows no bounds; a probability has one, so a completion gains at most what it lacks of 1.
    """
    change = -float(read_influences(files, query, rows).sum(dtype="float64"))
    return min(change, objective_value_of(query)) if query.objective == "loss" else change


def _check_influences(files: WorkspaceFiles, queries: Sequence[QueryRecord]) -> None:
    """Refuse queries whose scores cannot be added up."""
    for query in queries:
        if (reason := _why_no_influence(files, query)) is not None:
            raise ConfigError(reason)


def _why_no_influence(files: WorkspaceFiles, query: QueryRecord) -> str | None:
    """Why a query's influences are not kept in nats, which can be added up; None if they are."""
    try:
        influence_column(files, query)
    except ArtefactError as error:
        return str(error)
    if (unit := unit_of(query)) != "nats":
        return (
            f"a what-if adds nats, but the scores of query {query.query_id} are {unit}: its index gives "
            "no nats. Ask it again of an index of another method, such as the default."
        )
    return None


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
    ids = _checked(train_ids, query_ids)
    queries = [files.catalog.query(query_id) for query_id in dict.fromkeys(query_ids)]
    _check_influences(files, queries)
    dataset_id = _only_dataset(queries)
    rows = files.examples(dataset_id).rows_of(ids)
    predicted = [predicted_change(files, query, rows) for query in queries]
    (run,) = retrain_without(
        files, [rows], queries, recipe, device=device, on_progress=on_progress, should_stop=should_stop
    )
    changes = run.change.tolist()
    verified = [
        VerifiedChange(query.query_id, query.prompt, query.completion, expected, actual, *answers)
        for query, expected, actual, *answers in zip(
            queries, predicted, changes, run.complete.answers, run.removed.answers, strict=True
        )
    ]
    correlation = spearman(torch.tensor(predicted), torch.tensor(changes)).item() if len(queries) > 2 else None
    result = Verification(ids, verified, correlation, time.perf_counter() - started)
    _keep(files, dataset_id, {"train_ids": ids, "queries": list(query_ids), "recipe": str(recipe)}, result)
    return result


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


def _checked(train_ids: Sequence[str], queries: Sequence[str]) -> list[str]:
    if not train_ids or not queries:
        missing = "example" if not train_ids else "query"
        raise ConfigError(
            f"a removal needs at least one {missing}, none was given. Name the texts to remove and the questions to "
            "look at; `lorif queries` lists those that were asked."
        )
    return list(dict.fromkeys(train_ids))


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
