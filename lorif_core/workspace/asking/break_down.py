"""Which modules of the model a text's score comes from."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from lorif_core.catalog import QueryRecord
from lorif_core.passes.queries import capture_queries
from lorif_core.passes.scoring import plan_scoring, split_over_modules
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.kept_questions import question_of
from lorif_core.workspace.indexes.open_index import OpenIndex


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
    question = question_of(query)
    asked = encode_question(question, index.engine.encoder)
    with index.engine.gradients() as source:
        gradients = capture_queries(source, [asked], question.scoring)
    plan = plan_scoring(index.fitted, gradients, question.scoring)
    parts = {name: float(part[0]) for name, part in split_over_modules(plan, position).items()}
    return Breakdown(query.query_id, train_id, sum(parts.values()), parts)
