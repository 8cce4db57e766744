"""Every verification of a workspace: what was predicted, what training again did, and what that says of the next."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import plotly.graph_objects as go
import polars as pl

from lorif_core.catalog import EvaluationRecord, QueryRecord
from lorif_core.views.effect_figures import predicted_against_actual_probability
from lorif_core.workspace.asking.conventions import objective_value_of
from lorif_core.workspace.curation.calibration import FEWEST, LEAST_NATS, Calibration, calibrate
from lorif_core.workspace.curation.completion_size import completion_size
from lorif_core.workspace.curation.effects import effect_of
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

KIND = "verify"
"""Of the evaluations that verifications are kept as."""


@dataclass(frozen=True)
class VerifiedEffect:
    """One question of one verification."""

    evaluation_id: str
    verified_at: datetime
    num_removed: int
    """Texts that were left out of the second training."""

    query_id: str
    prompt: str
    completion: str
    index_id: str
    """Whose influences predicted it."""

    predicted_change: float
    actual_change: float
    """Of the completion's support, in nats."""

    now: float
    """Probability under the index's model, from 0 to 1."""

    predicted: float
    """As it was predicted, without a calibration; held within 0 and 1 where ``beyond`` says that it was none."""

    actual: float
    """After the change that was measured."""

    is_per_token: bool
    """Whether the three are the geometric mean over the completion's tokens."""

    num_tokens: int | None
    """Of the completion; None where that is not known."""

    beyond: str | None
    """Why the prediction was not to be believed."""


@dataclass(frozen=True)
class Verifications:
    """All that was verified of a data set, or of all, the oldest first."""

    effects: list[VerifiedEffect]

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """Index id → range of the ratios of actual to predicted changes, where enough were measured."""
        found = {index: calibrate(pairs) for index, pairs in self._changes().items()}
        return {index: one for index, one in found.items() if one is not None}

    @property
    def num_measured(self) -> dict[str, int]:
        """Index id → how many ratios of actual to predicted change were measured; ``FEWEST`` make a range."""
        return {
            index: sum(abs(predicted) >= LEAST_NATS for predicted, _ in pairs)
            for index, pairs in self._changes().items()
        }

    def _changes(self) -> dict[str, list[tuple[float, float]]]:
        found: dict[str, list[tuple[float, float]]] = {}
        for one in self.effects:
            found.setdefault(one.index_id, []).append((one.predicted_change, one.actual_change))
        return found

    def figure(self) -> go.Figure:
        """Predicted against actual probability, one point per question of a verification, with the diagonal."""
        return predicted_against_actual_probability(
            [one.query_id for one in self.effects],
            [f"{one.prompt}{one.completion}" for one in self.effects],
            [one.predicted for one in self.effects],
            [one.actual for one in self.effects],
            [one.beyond is None for one in self.effects],
        )

    def to_polars(self) -> pl.DataFrame:
        """One row per question of a verification."""
        return pl.DataFrame([asdict(one) for one in self.effects], infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return {
            "effects": [asdict(one) | {"verified_at": one.verified_at.isoformat()} for one in self.effects],
            "calibrations": {index: asdict(one) for index, one in self.calibrations.items()},
            "num_measured": self.num_measured,
            "num_needed": FEWEST,
        }


def kept_verifications(files: WorkspaceFiles, dataset_id: str | None = None) -> Verifications:
    """What was verified so far. Of one that was repeated, with the same texts and question, the latest counts;
    what is of a question that is gone is left out.

    Args:
        files: The workspace.
        dataset_id: Of the texts; None: of every data set.
    """
    queries = {query.query_id: query for query in files.catalog.queries()}
    latest: dict[tuple[frozenset[str], str], VerifiedEffect] = {}
    for record in files.catalog.evaluations():
        if record.kind == KIND and dataset_id in (None, record.dataset_id):
            for removed, found in _effects_of(files, record, queries):
                latest.pop((removed, found.query_id), None)
                latest[removed, found.query_id] = found
    return Verifications(list(latest.values()))


def _effects_of(
    files: WorkspaceFiles, record: EvaluationRecord, queries: dict[str, QueryRecord]
) -> Iterator[tuple[frozenset[str], VerifiedEffect]]:
    result = json.loads(record.result_json)
    removed = frozenset(result["train_ids"])
    for change in result["queries"]:
        query = queries.get(change["query_id"])
        if query is not None:
            yield removed, _effect(files, record, query, change, len(removed))


def _effect(
    files: WorkspaceFiles, record: EvaluationRecord, query: QueryRecord, change: dict[str, Any], num_removed: int
) -> VerifiedEffect:
    size, value = completion_size(files, query), objective_value_of(query)
    summed = change["predicted"] if change.get("summed") is None else change["summed"]
    predicted, actual = (
        effect_of(query.objective, value, moved, size, None, holds=True) for moved in (summed, change["actual"])
    )
    assert predicted.predicted is not None
    assert actual.predicted is not None
    return VerifiedEffect(
        evaluation_id=record.evaluation_id,
        verified_at=record.created_at,
        num_removed=num_removed,
        query_id=query.query_id,
        prompt=query.prompt,
        completion=query.completion,
        index_id=query.index_id,
        predicted_change=summed,
        actual_change=change["actual"],
        now=predicted.now,
        predicted=predicted.predicted,
        actual=actual.predicted,
        is_per_token=predicted.is_per_token,
        num_tokens=predicted.num_tokens,
        beyond=predicted.beyond,
    )
