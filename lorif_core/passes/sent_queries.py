"""Preconditioned queries in the form in which they go to other processes, which read the same index.

What is sent is what a pass multiplies with: per module the few directions of a query that is a sum over tokens, or
its matrix where the curvature fills that up. The index stays where it is.
"""

from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from lorif_core.config import CurvatureConfig
from lorif_core.linalg.query_batch import BatchedQueries
from lorif_core.linalg.scores import DirectQueries, FactoredQueries, Plan
from lorif_core.methods.protocol import AttributionMethod, Member
from lorif_core.passes.products import ModuleQueries
from lorif_core.passes.scoring import FittedIndex, ScoringPlan
from lorif_core.store.reader import StoreReader


class SentQueries(NamedTuple):
    """A scoring plan without its index."""

    index_id: str
    digest: str
    """Of what is stored; the receiver's index must have the same."""

    queries: dict[str, ModuleQueries]
    """By the names of all modules."""

    plans: dict[str, Plan]
    normalisation: str
    query_norms: Tensor
    curvature: CurvatureConfig
    fitted: CurvatureConfig
    """What the index was fitted with."""

    method: AttributionMethod
    member: Member
    scale: float


def queries_to_send(plan: ScoringPlan, digest: str) -> SentQueries:
    """A plan as it is sent.

    Args:
        plan: Of queries to one member.
        digest: Of its index.
    """
    return SentQueries(
        index_id=plan.reader.place.name,
        digest=digest,
        queries={name: _alone(one) for name, one in plan.queries.items()},
        plans=plan.plans,
        normalisation=plan.normalisation,
        query_norms=plan.query_norms.clone(),
        curvature=plan.curvature,
        fitted=plan.index.curvature,
        method=plan.index.method,
        member=plan.index.member,
        scale=plan.scale,
    )


def plan_of_sent(sent: SentQueries, reader: StoreReader) -> ScoringPlan:
    """The plan again, for a pass over the receiver's index. Its matrices are those of whole gradients only."""
    matrices = {name: one for name, one in sent.queries.items() if isinstance(one, Tensor)}
    prepared = {name: one for name, one in sent.queries.items() if not isinstance(one, Tensor)}
    return ScoringPlan(
        index=FittedIndex(reader, sent.method, sent.fitted, sent.member),
        matrices=matrices,
        prepared=prepared,
        plans=sent.plans,
        normalisation=sent.normalisation,
        query_norms=sent.query_norms,
        curvature=sent.curvature,
        scale=sent.scale,
    )


def _alone(queries: ModuleQueries) -> ModuleQueries:
    """The same without what is only looked up in, and without the rest of the memory that it is a view of."""
    if isinstance(queries, FactoredQueries | BatchedQueries):
        return replace(queries, left=queries.left.clone(), right=queries.right.clone())
    if isinstance(queries, DirectQueries):
        return replace(queries, matrix=queries.matrix.clone())
    return queries.clone()
