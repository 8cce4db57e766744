"""Queries differentiated through every member of an index, and the plans whose products are added up."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.passes.plan_batches import has_few_directions, plan_directions
from lorif_core.passes.queries import Query, QueryGradients, capture_directions
from lorif_core.passes.scoring import ActingMaps, FittedIndex, ScoringPlan, plan_scoring
from lorif_core.passes.unrolling import Unrolling
from lorif_core.workspace.asking.model_refinement import refined_by_model
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.indexes.scoring_devices import with_room


class CapturedMember(NamedTuple):
    """A member's stored features and what its model makes of the queries."""

    fitted: FittedIndex
    gradients: QueryGradients

    acting: ActingMaps | None = None
    """What acts on the queries in place of the index's own curvature."""


def capture_members(index: OpenIndex, queries: Sequence[Query], *asked: ScoreConfig) -> list[CapturedMember]:
    """Features of the queries in every member, the index's own first.

    Raises:
        ConfigError: A setting is for an index that is alone.
    """
    check_settings(index, *asked)
    if index.unrolling is not None:
        return _capture_unrolled(index, index.unrolling, queries, asked)

    def capture(member: OpenIndex) -> CapturedMember:
        own = asked if member is index else [_as_other(one) for one in asked]
        return CapturedMember(member.fitted, member.captures.capture(queries, *own))

    return index.over_members(capture)


def _capture_unrolled(
    index: OpenIndex, unrolling: Unrolling, queries: Sequence[Query], asked: Sequence[ScoreConfig]
) -> list[CapturedMember]:
    """The queries in the model at the end of a training, and for every checkpoint what the training does to them."""
    assert index.members is not None
    assert index.members.training is not None
    gradients = index.captures.capture(queries, *asked)
    segment_of = index.members.training.segment_of
    return [
        CapturedMember(fitted, gradients, partial(unrolling.chain, segment_of(fitted.member.name)))
        for fitted in index.over_members(lambda member: member.fitted)
    ]


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
    return [_plan(first, asked), *(_plan(one, _as_other(asked)) for one in others)]


def _plan(captured: CapturedMember, asked: ScoreConfig) -> ScoringPlan:
    return plan_scoring(captured.fitted, captured.gradients, asked, captured.acting)


def check_settings(index: OpenIndex, *asked: ScoreConfig) -> None:
    """Refuse what cannot be done for a sum over members.

    Raises:
        ConfigError: Names the setting and the way out.
    """
    if index.needs_checkpoints and index.unrolling is None:
        raise ConfigError(
            f"index {index.index_id!r} is one checkpoint of a training, and its method has no answer without the "
            "others. Ask the index that names them, which `lorif indexes` shows, or build it: `lorif index` with "
            "`--method source --checkpoints`."
        )
    ways = ("take the members away with `lorif index` and `--alone`", "ask an index of the default method")
    elsewhere = ways[index.unrolling is not None]
    if index.members is not None and any(one.refine for one in asked):
        raise ConfigError(
            f"refine is for an index that is alone, and {index.index_id!r} has {index.members.count} members, whose "
            f"curvatures do not add up. Leave it out, or {elsewhere}."
        )


def _as_other(asked: ScoreConfig) -> ScoreConfig:
    return replace(asked, normalisation="none")
