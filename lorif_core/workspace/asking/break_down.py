"""What lies behind one text: which modules of the model its score comes from, and which texts it resembles."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from lorif_core.catalog import QueryRecord
from lorif_core.errors import ConfigError
from lorif_core.passes.nearest import nearest_examples
from lorif_core.passes.queries import capture_queries
from lorif_core.passes.scoring import plan_scoring, split_over_modules
from lorif_core.workspace.asking.ask.ask import OpenIndex
from lorif_core.workspace.asking.ask.kept_questions import question_of, settings_of
from lorif_core.workspace.asking.ask.question import build_query
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles


@dataclass(frozen=True)
class Breakdown:
    """A text's score on a question as a sum over the modules of the model."""

    query_id: str
    train_id: str

    score: float
    """As the answer lists it, with the question's normalisation."""

    parts: dict[str, float]
    """Module name → its part of the score, in the model's order; they add up to it."""

    def to_polars(self) -> pl.DataFrame:
        """One row per module: module, part."""
        return pl.DataFrame(
            {"module": list(self.parts), "part": list(self.parts.values())},
            schema={"module": pl.String, "part": pl.Float64},
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self)


def break_down(index: OpenIndex, query: QueryRecord, train_id: str) -> Breakdown:
    """Split a text's score on a kept question exactly over the modules.

    Args:
        index: The one that answered.
        query: The question.
        train_id: The text.

    Raises:
        DataError: The index's data does not hold the text.
    """
    (position,) = index.examples.rows_of([train_id])
    settings = settings_of(query)
    asked = build_query(question_of(query), index.engine.encoder, settings.objective)
    with index.engine.gradients() as source:
        gradients = capture_queries(source, [asked], settings.objective)
    plan = plan_scoring(index.reader, gradients, index.curvature, settings)
    parts = {name: float(part[0]) for name, part in split_over_modules(index.reader, plan, position).items()}
    return Breakdown(query.query_id, train_id, sum(parts.values()), parts)


def find_neighbours(files: WorkspaceFiles, train_id: str, k: int, index_id: str | None) -> pl.DataFrame:
    """The k texts whose stored gradients are most like those of a text: rank, train_id, cosine, text.

    Raises:
        ConfigError: ``k`` is below 1.
        DataError: The index's data does not hold the text.
        ArtefactError: The index is damaged.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    record = files.choose_index(index_id)
    reader, examples = files.open_index(record.index_id), files.examples(record.dataset_id)
    reader.require_complete()
    (position,) = examples.rows_of([train_id])
    positions, cosines = nearest_examples(reader, position, k)
    found = examples.examples_at(positions.tolist())
    return pl.DataFrame(
        {
            "rank": range(1, len(found) + 1),
            "train_id": [one.train_id for one in found],
            "cosine": cosines.tolist(),
            "text": [one.plain_text for one in found],
        },
        schema={"rank": pl.Int64, "train_id": pl.String, "cosine": pl.Float64, "text": pl.String},
    )
