"""Scoring plans of many queries from those of a few: whole matrices are cut before the next ones are made."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lorif_core.config import ScoreConfig
from lorif_core.linalg.query_batch import BatchedQueries, ModuleBatch, cut_batch, join_batches, leading
from lorif_core.linalg.scores import DirectQueries
from lorif_core.passes.fitting import preconditioner_of
from lorif_core.passes.queries import Query, QueryDirections, is_one_sequence
from lorif_core.passes.refined_queries import ModelRefinement, worst_of
from lorif_core.passes.scoring import FittedIndex, ScoringPlan, own_norms
from lorif_core.shapes import Float


def has_few_directions(index: FittedIndex, queries: Sequence[Query], asked: ScoreConfig) -> bool:
    """Whether the queries' own directions are all that a pass needs: neither curvature nor refinement adds any."""
    curvature = index.method.curvature.asked(index.curvature, asked)
    is_factored = index.reader.manifest.layout == "factors"
    return is_factored and curvature.subspace_rank == 0 and not asked.refine and all(map(is_one_sequence, queries))


def plan_directions(index: FittedIndex, found: QueryDirections, asked: ScoreConfig) -> ScoringPlan:
    """As ``plan_scoring``, for queries that ``has_few_directions``. The plan has no whole matrices.

    Args:
        index: What is asked.
        found: The queries.
        asked: Of what ``plan_scoring`` takes, all but another subspace and refinement.
    """
    curvature, scale = index.method.curvature.asked(index.curvature, asked), index.unit_per_product
    prepared: dict[str, BatchedQueries] = {}
    for module in index.reader.modules:
        own = found.modules[module.name]
        damping = preconditioner_of(index.reader.subspace(module), curvature).damping
        own = replace(own, left=own.left * (scale * index.member.weight / damping))
        prepared[module.name] = own if asked.query_rank is None else leading(own, asked.query_rank)
    plan = ScoringPlan(
        index=index,
        matrices={},
        prepared=prepared,
        plans={name: one.plan for name, one in prepared.items()},
        normalisation=asked.normalisation,
        query_norms=torch.ones(len(found.objectives)),
        curvature=curvature,
        scale=scale,
    )
    return plan if asked.normalisation != "unit" else replace(plan, query_norms=own_norms(plan, found.stored))


@dataclass
class PlanBatch:
    """Plans of one member for consecutive queries, without the whole matrices that they were made from."""

    tolerance: float
    """Share of a query's norm that may be left out."""

    parts: list[ScoringPlan] = field(default_factory=list[ScoringPlan])
    left_out: list[Float[Tensor, " q"]] = field(default_factory=list[Tensor])
    nbytes: int = 0
    """Of all queries."""

    def add(self, plan: ScoringPlan) -> None:
        """Take in the plan of the next queries."""
        if plan.reader.manifest.layout == "dense":
            kept = replace(plan, prepared={})
            self.left_out.append(torch.zeros(plan.num_queries))
            self.nbytes += sum(matrix.nbytes for matrix in plan.matrices.values())
        else:
            cut = cut_batch(plan.prepared, self.tolerance)
            kept = replace(plan, prepared=cut.modules, matrices={})
            self.left_out.append(cut.left_out)
            self.nbytes += sum(_nbytes(one) for one in cut.modules.values())
        self.parts.append(kept)

    def joined(self) -> ScoringPlan:
        """One plan for all of them, for a pass over the index and nothing else: it holds no whole matrices."""
        first = self.parts[0]
        names = [module.name for module in first.reader.modules]
        if first.reader.manifest.layout == "dense":
            matrices = {name: torch.cat([part.matrices[name] for part in self.parts]) for name in names}
            return self._with(replace(first, matrices=matrices))
        prepared = {name: join_batches([_batch(part, name) for part in self.parts]) for name in names}
        plans = {name: one.plan for name, one in prepared.items()}
        return self._with(replace(first, prepared=prepared, plans=plans))

    @property
    def refinement(self) -> ModelRefinement | None:
        """That which left most of its queries' systems; None: they were not refined by the model."""
        return worst_of(part.refinement for part in self.parts)

    def _with(self, plan: ScoringPlan) -> ScoringPlan:
        return replace(plan, query_norms=torch.cat([part.query_norms for part in self.parts]))


def _batch(plan: ScoringPlan, name: str) -> ModuleBatch:
    found = plan.prepared[name]
    assert isinstance(found, BatchedQueries | DirectQueries)
    return found


def _nbytes(queries: ModuleBatch) -> int:
    return queries.matrix.nbytes if isinstance(queries, DirectQueries) else queries.nbytes


def largest_left_out(batches: Sequence[PlanBatch]) -> float:
    """Of all queries and members."""
    return max((float(share.max()) for batch in batches for share in batch.left_out), default=0.0)
