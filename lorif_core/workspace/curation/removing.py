"""What would happen if some texts were removed: predicted from influence, checked by training again.

Let g_n be the gradient of example n and F = GᵀG + λI the damped Gram matrix of all of them. Near a
minimum of the summed loss, taking example n away moves the weights by F⁻¹ g_n, which raises the loss
of query q by g_qᵀ F⁻¹ g_n = score(q, n) nats. The *support* of a completion, its log-probability for
the objective ``loss``, therefore changes by -Σ score(q, n) over the removed examples. The sum leaves
out how removed examples interact: groups are usually underestimated, while their order is right. A probability that
would exceed 1 is held there.
Source: Koh and Liang (arXiv:1703.04730), section 2.1; for groups Koh et al. (arXiv:1905.13289).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import plotly.graph_objects as go
import polars as pl

from lorif_core.catalog import QueryRecord
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.views.effect_figures import effect_lines
from lorif_core.views.removal_figures import change_bars, predicted_against_actual
from lorif_core.workspace.asking.conventions import objective_value_of, unit_of
from lorif_core.workspace.curation.calibration import FEWEST, Calibration
from lorif_core.workspace.curation.completion_size import completion_size
from lorif_core.workspace.curation.effects import Effect, effect_of
from lorif_core.workspace.curation.verifications import kept_verifications
from lorif_core.workspace.folder.kept_scores import influence_column, read_influences
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

    effect: Effect
    """The probability of the completion now and after the removal."""


@dataclass(frozen=True)
class WhatIf:
    """Predicted effect of removing some examples on kept queries."""

    train_ids: list[str]
    queries: list[PredictedChange]

    calibrations: dict[str, Calibration] = field(default_factory=dict[str, Calibration])
    """Index id → what its predictions were multiplied by, of the indexes that the questions were put to."""

    num_measured: dict[str, int] = field(default_factory=dict[str, int])
    """Index id → changes that were measured by verifications; 0 where none was."""

    @property
    def basis(self) -> str:
        """What predicted probabilities rest on, in a sentence for every index, or one where nothing was measured."""
        if not any(self.num_measured.values()):
            return basis_of(None, 0)
        sentences = [
            basis_of(self.calibrations.get(index), count, index if len(self.num_measured) > 1 else None)
            for index, count in self.num_measured.items()
        ]
        return " ".join(sentences)

    @property
    def helped(self) -> list[PredictedChange]:
        """Queries that move the way one wants."""
        return [query for query in self.queries if query.outcome == "helped"]

    @property
    def harmed(self) -> list[PredictedChange]:
        """Queries that move the other way."""
        return [query for query in self.queries if query.outcome == "harmed"]

    def figure(self) -> go.Figure:
        """The probability of every completion now and after the removal, as in the studio."""
        return effect_lines(
            [change.query_id for change in self.queries],
            [f"{change.prompt}{change.completion}" for change in self.queries],
            [change.effect.now for change in self.queries],
            [change.effect.predicted for change in self.queries],
            [(change.effect.low, change.effect.high) for change in self.queries],
            [change.outcome for change in self.queries],
        )

    def figure_of_changes(self) -> go.Figure:
        """The predicted changes in nats as bars."""
        return change_bars(
            [change.query_id for change in self.queries],
            [f"{change.prompt}{change.completion}" for change in self.queries],
            [change.change for change in self.queries],
            [change.outcome for change in self.queries],
        )

    def to_polars(self) -> pl.DataFrame:
        """One row per query, the effect's values beside the others."""
        flat = [asdict(query) | asdict(query.effect) for query in self.queries]
        return pl.DataFrame(flat, infer_schema_length=None).drop("effect", strict=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self) | {"basis": self.basis}


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

    summed: float | None = None
    """``predicted`` as the sum of influences has it, which a probability of 1 does not hold; None: not kept."""


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
        controls: Queries whose completions should not change. None: all others whose scores are influences.

    Raises:
        ConfigError: No example or no query is given, or a query's scores are no influences.
        DataError: An id is not one of the query's data set.
    """
    ids = checked_removal(train_ids, targets)
    known = {query.query_id: query for query in files.catalog.queries()}  # at once: each look-up opens the catalog

    def query_of(query_id: str) -> QueryRecord:
        return known.get(query_id) or files.catalog.query(query_id)

    if controls is None:
        asked = {query_of(query_id).dataset_id for query_id in targets}
        controls = [
            query.query_id
            for query in known.values()
            if query.query_id not in targets and query.dataset_id in asked and not _why_no_influence(files, query)
        ]
    roles: dict[str, Role] = {query_id: "control" for query_id in controls}
    roles |= {query_id: "target" for query_id in targets}
    queries = [query_of(query_id) for query_id in roles]
    check_influences(files, queries)
    rows = {dataset: files.examples(dataset).rows_of(ids) for dataset in {query.dataset_id for query in queries}}
    sums = {query.query_id: linear_change(files, query, rows[query.dataset_id]) for query in queries}
    changes = {query.query_id: held_change(query, sums[query.query_id]) for query in queries}
    largest = max(abs(changes[query_id]) for query_id in targets)
    least = max(UNCHANGED_NATS, UNCHANGED_SHARE * largest)
    verified = kept_verifications(files)
    calibrations, measured = verified.calibrations, verified.num_measured
    found: list[PredictedChange] = []
    for query in queries:
        effect = _effect(files, query, sums[query.query_id], calibrations)
        found.append(_predicted(query, roles[query.query_id], changes[query.query_id], least, effect))
    indexes = sorted({query.index_id for query in queries})
    return WhatIf(
        ids,
        sorted(found, key=lambda change: change.role == "control"),
        {index: calibrations[index] for index in indexes if index in calibrations},
        {index: measured.get(index, 0) for index in indexes},
    )


def _effect(
    files: WorkspaceFiles, query: QueryRecord, change: float, calibrations: Mapping[str, Calibration]
) -> Effect:
    size, calibration = completion_size(files, query), calibrations.get(query.index_id)
    return effect_of(query.objective, objective_value_of(query), change, size, calibration)


def _predicted(query: QueryRecord, role: Role, change: float, least: float, effect: Effect) -> PredictedChange:
    outcome: Outcome = "unchanged"
    if abs(change) >= least:
        outcome = "helped" if (change < 0) == (role == "target") else "harmed"
    return PredictedChange(query.query_id, query.prompt, query.completion, role, change, outcome, effect)


def basis_of(calibration: Calibration | None, num_measured: int, index_id: str | None = None) -> str:
    """What a predicted probability of an index rests on, in a sentence.

    Args:
        calibration: Of the index; None: too little was measured.
        num_measured: Changes that verifications measured of it.
        index_id: Named where there are several.
    """
    whose = "" if index_id is None else f" of index {index_id}"
    if calibration is None:
        so_far = "none was" if num_measured == 0 else f"{num_measured} {'was' if num_measured == 1 else 'were'}"
        return (
            f"No range{whose} yet: it takes {FEWEST} changes measured by verifying, and {so_far} so far. Without "
            "one, predictions exaggerate."
        )
    return (
        f"Predictions{whose} are multiplied by {calibration.middle:.3g}, the median of {calibration.num_ratios} "
        f"changes that were verified; the range holds {calibration.coverage:.0%} of such changes."
    )


def held_change(query: QueryRecord, change: float) -> float:
    """A predicted change of a kept query's support, held where its probability is 1.

    The sum is linear and knows no bounds; a probability has one, so a completion gains at most what it lacks of 1.

    Args:
        query: The query.
        change: As ``linear_change`` has it.
    """
    return min(change, objective_value_of(query)) if query.objective == "loss" else change


def linear_change(files: WorkspaceFiles, query: QueryRecord, rows: Sequence[int]) -> float:
    """Change of a kept query's support in nats if the examples of these rows were removed, as the sum has it."""
    return -float(read_influences(files, query, rows).sum(dtype="float64"))


def check_influences(files: WorkspaceFiles, queries: Sequence[QueryRecord]) -> None:
    """Refuse queries whose scores cannot be added up.

    Raises:
        ConfigError: One is of such a query.
    """
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


def checked_removal(train_ids: Sequence[str], queries: Sequence[str]) -> list[str]:
    """The texts of a removal, each once.

    Raises:
        ConfigError: There is none, or no question.
    """
    if not train_ids or not queries:
        missing = "example" if not train_ids else "query"
        raise ConfigError(
            f"a removal needs at least one {missing}, none was given. Name the texts to remove and the questions to "
            "look at; `lorif queries` lists those that were asked."
        )
    return list(dict.fromkeys(train_ids))
