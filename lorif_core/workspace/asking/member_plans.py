"""Queries differentiated through every member of an index, and the plans whose products are added up."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.passes.plan_batches import has_few_directions, plan_directions
from lorif_core.passes.queries import Query, QueryGradients, capture_directions, capture_queries
from lorif_core.passes.scoring import FittedIndex, ScoringPlan, plan_scoring
from lorif_core.workspace.asking.model_refinement import refined_by_model
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.indexes.scoring_devices import with_room


class CapturedMember(NamedTuple):
    """A member's stored features and what its model makes of the queries."""

    fitted: FittedIndex
    gradients: QueryGradients


def capture_members(index: OpenIndex, queries: Sequence[Query], *asked: ScoreConfig) -> list[CapturedMember]:
    """Gradients of the queries in every member, the index's own first.

    Raises:
        ConfigError: A setting is for an index that is alone.
    """
    check_settings(index, *asked)

    def capture(member: OpenIndex) -> CapturedMember:
        own = asked if member is index else [_as_other(one) for one in asked]
        with member.engine.gradients() as source:
            gradients = with_room(member.fitted.scored_on, lambda: capture_queries(source, queries, *own))
        return CapturedMember(member.fitted, gradients)

    return index.over_members(capture)


def plan_few(index: OpenIndex, queries: Sequence[Query], asked: ScoreConfig) -> list[ScoringPlan]:
    """The plans of all members for some of many queries: by their directions alone where these are all.

    Raises:
        ConfigError: The method or the index cannot take what is asked.
    """
    if not has_few_directions(index.fitted, queries, asked):
        return plan_members(index, capture_members(index, queries, asked), asked)
    check_settings(index, asked)

    def plan(member: OpenIndex) -> ScoringPlan:
        own = asked if member is index else _as_other(asked)
        with member.engine.gradients() as source:
            found = with_room(member.fitted.scored_on, lambda: capture_directions(source, queries, own))
        return plan_directions(member.fitted, found, own)

    return index.over_members(plan)


def plan_members(
    index: OpenIndex,
    captured: Sequence[CapturedMember],
    asked: ScoreConfig,
    on_progress: ProgressSink = no_progress,
) -> list[ScoringPlan]:
    """The plans of all members; the first one's normalisation is that of their sum.

    Args:
        index: What is asked.
        captured: Gradients of the queries in every member.
        asked: Settings.
        on_progress: Receives ("refine", steps done, all) where the model refines the queries.

    Raises:
        ConfigError: The method or the index cannot take what is asked.
        ResourceError: Refined queries do not fit into memory.
    """
    first, *others = captured
    if asked.refine_by == "model":
        first = first._replace(gradients=refined_by_model(index, first.gradients, asked, on_progress))
    return [plan_scoring(*first, asked), *(plan_scoring(*one, _as_other(asked)) for one in others)]


def check_settings(index: OpenIndex, *asked: ScoreConfig) -> None:
    """Refuse what cannot be done for a sum over members.

    Raises:
        ConfigError: Names the setting and the way out.
    """
    if index.members is not None and any(one.refine for one in asked):
        raise ConfigError(
            f"refine is for an index that is alone, and {index.index_id!r} has {index.members.count} members, whose "
            "curvatures do not add up. Leave it out, or take the members away with `lorif index` and "
            "`--alone`."
        )


def _as_other(asked: ScoreConfig) -> ScoreConfig:
    return replace(asked, normalisation="none")
