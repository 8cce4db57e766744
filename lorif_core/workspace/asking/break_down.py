"""Where a text's score on a question comes from: modules of the model, and tokens of the question."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from lorif_core.catalog import QueryRecord
from lorif_core.config import ScoreConfig
from lorif_core.passes.queries import capture_queries
from lorif_core.passes.scoring import plan_scoring, precondition_example, split_over_modules
from lorif_core.passes.target_parts import split_over_query_targets
from lorif_core.views.hits import TokenPart
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.kept_questions import question_of
from lorif_core.workspace.asking.readable_tokens import readable_tokens
from lorif_core.workspace.indexes.open_index import OpenIndex


@dataclass(frozen=True)
class Breakdown:
    """A text's score on a question as a sum over the modules of the model, and over the question's tokens."""

    query_id: str
    train_id: str

    score: float
    """As the answer lists it, with the question's normalisation."""

    parts: dict[str, float]
    """Module name → its part of the score, in the model's order; they add up to it."""

    tokens: tuple[TokenPart, ...] = ()
    """Prompt and completion token by token; a part is that of saying the token, so the prompt's are 0. Together
    with ``contrast_tokens`` they add up to the score."""

    contrast_tokens: tuple[TokenPart, ...] = ()
    """The same of the second completion behind the prompt; its parts enter with the opposite sign already."""

    no_tokens: str | None = None
    """Why there are no parts of tokens, if there are none."""

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
    """Split a text's score on a kept question exactly over the modules, and over the question's tokens.

    Args:
        index: The one that answered.
        query: The question.
        train_id: The text.

    Raises:
        DataError: The index's data does not hold the text.
    """
    (position,) = index.examples.rows_of([train_id])
    question = question_of(query)
    asked = encode_question(question, index.engine.loaded).query
    with index.engine.gradients() as source:
        gradients = capture_queries(source, [asked], question.scoring)
        plan = plan_scoring(index.fitted, gradients, question.scoring)
        parts = {name: float(part[0]) for name, part in split_over_modules(plan, position).items()}
        found = Breakdown(
            query.query_id, train_id, sum(parts.values()), parts, no_tokens=_no_tokens(question.scoring)
        )
        if found.no_tokens is not None:
            return found
        matrices = precondition_example(plan, position)
        sides = split_over_query_targets(source, asked, question.scoring.objective, matrices)
    tokenizer = index.engine.loaded.tokenizer
    tokens, *contrast = (
        readable_tokens(tokenizer, sequence.input_ids, side.tolist())
        for sequence, side in zip(asked.sequences, sides, strict=True)
    )
    return replace(found, tokens=tokens, contrast_tokens=contrast[0] if contrast else ())


def _no_tokens(settings: ScoreConfig) -> str | None:
    """Why a question's score cannot be split over its tokens: what was done to it depends on all of them at once."""
    if settings.refine:
        return "a refined question is not a sum over its tokens. Ask it with --refine 0 to see their parts."
    if settings.query_rank is not None:
        return (
            "a question cut to a rank is not a sum over its tokens. Ask it without --query-rank to see their parts."
        )
    return None
