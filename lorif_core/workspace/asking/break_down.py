"""Where a text's score on a question comes from: modules of the model, and tokens of the question."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any

import polars as pl
import torch
from torch import Tensor

from lorif_core.catalog import QueryRecord
from lorif_core.config import ScoreConfig
from lorif_core.errors import DataError
from lorif_core.passes.queries import Query
from lorif_core.passes.scoring import ScoringPlan, precondition_example, split_over_modules
from lorif_core.passes.target_parts import split_over_query_targets
from lorif_core.views.hits import TokenPart
from lorif_core.workspace.asking.conventions import members_told
from lorif_core.workspace.asking.encode_for import encode_for
from lorif_core.workspace.asking.kept_questions import question_of
from lorif_core.workspace.asking.member_plans import capture_members, plan_members
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.asking.readable_tokens import readable_tokens
from lorif_core.workspace.indexes.open_index import OpenIndex

OF_LOSSES = "a covariance of losses is no sum over tokens: the index took no gradient."


@dataclass(frozen=True)
class Breakdown:
    """A text's score on a question as a sum over the modules of the model, and over the question's tokens."""

    query_id: str
    train_id: str

    score: float
    """As the answer lists it, with the question's normalisation."""

    parts: dict[str, float]
    """Module name → its part of the score, in the model's order, summed over members; they add up to it."""

    members: dict[str, float] = field(default_factory=dict[str, float])
    """Member → its part of the score; they add up to it. Empty for an index that is alone."""

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
        DataError: The index's data does not hold the text, or the question was answered with other members.
    """
    (position,) = index.examples.rows_of([train_id])
    question = question_of(query)
    _check_members(index, query)
    asked = encode_for(index, question).query
    plans = plan_members(index, capture_members(index, [asked], question.scoring), question.scoring)
    by_member = [
        {name: float(part[0]) for name, part in split_over_modules(plan, position, plans).items()} for plan in plans
    ]
    parts: dict[str, float] = {}
    for own in by_member:
        for name, part in own.items():
            parts[name] = parts.get(name, 0.0) + part
    members = {plan.index.member.name: sum(own.values()) for plan, own in zip(plans, by_member, strict=True)}
    found = Breakdown(
        query.query_id,
        train_id,
        sum(parts.values()),
        parts,
        members={} if index.members is None else members,
        no_tokens=_no_tokens(question.scoring) if index.losses is None else OF_LOSSES,
    )
    return found if found.no_tokens is not None else _with_tokens(found, index, asked, plans, question, position)


def _with_tokens(
    found: Breakdown,
    index: OpenIndex,
    asked: Query,
    plans: Sequence[ScoringPlan],
    question: Question,
    position: int,
) -> Breakdown:
    other_sides = (precondition_example(plan, position, plans) for plan in plans)  # of a member when it is its turn

    def split(member: OpenIndex, matrices: Mapping[str, Tensor]) -> list[Tensor]:
        with member.engine.gradients() as source:
            return split_over_query_targets(source, asked, question.scoring.objective, matrices)

    if index.unrolling is None:
        of_members = index.over_members(lambda member: split(member, next(other_sides)))
    else:  # all members' plans are of the query in the index's own model
        of_members = [split(index, reduce(_added, other_sides))]
    sides = [torch.stack(side).sum(0) for side in zip(*of_members, strict=True)]
    tokenizer = index.engine.loaded.tokenizer
    tokens, *contrast = (
        readable_tokens(tokenizer, sequence.input_ids, side.tolist())
        for sequence, side in zip(asked.sequences, sides, strict=True)
    )
    return replace(found, tokens=tokens, contrast_tokens=contrast[0] if contrast else ())


def _added(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: matrix + other[name] for name, matrix in one.items()}


def _check_members(index: OpenIndex, query: QueryRecord) -> None:
    """Refuse to split a score of other members than the index has now."""
    kept, now = members_told(query), None if index.members is None else index.members.sentence
    if kept != now:
        raise DataError(
            f"the score that is to be split must be one of the index's members, and query {query.query_id} was "
            f"answered when they were others ({kept or 'its own model alone'}; now {now or 'its own model alone'}). "
            "Ask the question again."
        )


def _no_tokens(settings: ScoreConfig) -> str | None:
    """Why a question's score cannot be split over its tokens: what was done to it depends on all of them at once."""
    if settings.refine:
        return "a refined question is not a sum over its tokens. Ask it with --refine 0 to see their parts."
    if settings.query_rank is not None:
        return (
            "a question cut to a rank is not a sum over its tokens. Ask it without --query-rank to see their parts."
        )
    return None
