"""Score a whole index against queries in one pass over its shards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.errors import ConfigError, NumericalError
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.preconditioner import SubspacePreconditioner
from lorif_core.linalg.query_batch import BatchedQueries
from lorif_core.linalg.refinement import refine_queries
from lorif_core.linalg.scores import (
    Plan,
    PreparedQueries,
    ScoreSums,
    check_finite_scores,
    prepare_queries,
    rank_worth_finding,
    score_dense_rows,
)
from lorif_core.methods.protocol import THE_MODEL, AttributionMethod, Member
from lorif_core.passes.device_shards import ScoringDevice
from lorif_core.passes.fitting import own_products, preconditioner_of, self_influence
from lorif_core.passes.products import ModuleQueries, shard_products
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.refined_queries import ModelRefinement, RefinedQueries
from lorif_core.passes.stored_gram import add_up, score_plainly
from lorif_core.shapes import Float, ModuleShape
from lorif_core.store.blocks import Block, block_rows
from lorif_core.store.reader import Shard, StoreReader


@runtime_checkable
class QueryMap(Protocol):
    """What acts on the queries of one module, flattened to rows."""

    def apply(self, rows: Tensor) -> Tensor:
        """What becomes of each query, (n, D)."""
        ...

    def apply_transposed(self, rows: Tensor) -> Tensor:
        """The other side of a product: ⟨apply(q), x⟩ = ⟨q, apply_transposed(x)⟩."""
        ...


ActingMaps = Callable[[ModuleShape], QueryMap]
"""What acts on the queries of each module in place of an index's own curvature."""

SCORES_AT_ONCE = 1 << 23
"""Scores of a stretch of texts (32 MB): so many queries times texts are alive for each worker, and wait for others.
Shorter stretches would build the tables of a batch more often (``linalg/query_batch``)."""


@dataclass(frozen=True)
class FittedIndex:
    """A member's stored features, the method that made them, and what their preconditioner was fitted with."""

    reader: StoreReader
    """Of a complete index."""

    method: AttributionMethod
    curvature: CurvatureConfig
    member: Member = THE_MODEL
    scored_on: ScoringDevice | None = None
    """What multiplies queries with what is stored; None: the processor, from the mapped files."""

    @property
    def unit_per_product(self) -> float:
        """What turns the inner product of two preconditioned gradients into a score's unit."""
        return self.method.unit_per_product(self.reader.num_train_tokens)


@dataclass(frozen=True)
class ScoringPlan:
    """Preconditioned queries, laid out per module, and how the train side is normalised."""

    index: FittedIndex
    matrices: dict[str, Tensor]
    """Per module, weight · T[g_q] as (Q, d_in, d_out), in the unit of a score."""

    prepared: Mapping[str, PreparedQueries | BatchedQueries]
    """The same, laid out for the plan chosen per module; unused for whole gradients."""

    plans: dict[str, Plan]
    """Plan per module."""

    normalisation: str
    query_norms: Tensor
    """(Q,), divided by under ``unit``."""

    curvature: CurvatureConfig
    """What the queries were preconditioned with."""

    scale: float = 1.0
    """Multiplies every preconditioned product, so that a score is in its unit; contained in ``matrices``."""

    acting: ActingMaps | None = None
    """What acted on the queries where that was not the index's own curvature, which norms are still taken with."""

    refinement: ModelRefinement | None = None
    """How the queries were refined by the model; None: they were not."""

    @property
    def reader(self) -> StoreReader:
        """The stored features."""
        return self.index.reader

    @property
    def queries(self) -> Mapping[str, ModuleQueries]:
        """Laid out for what is stored."""
        return self.matrices if self.reader.manifest.layout == "dense" else self.prepared

    @property
    def num_queries(self) -> int:
        """Q."""
        return len(self.query_norms)

    @property
    def has_own_damping(self) -> bool:
        """Whether the index's stored self-influences hold for these settings."""
        return self.curvature == self.index.curvature

    def preconditioner_of(self, module: ModuleShape) -> SubspacePreconditioner:
        """What preconditions one module."""
        return preconditioner_of(self.reader.subspace(module), self.curvature)

    def acting_on(self, module: ModuleShape) -> QueryMap:
        """What acts on the queries of one module: T."""
        return self.preconditioner_of(module) if self.acting is None else self.acting(module)


def plan_scoring(
    index: FittedIndex, gradients: QueryGradients, asked: ScoreConfig, acting: ActingMaps | None = None
) -> ScoringPlan:
    """Precondition the queries and choose how to multiply.

    Args:
        index: What is asked.
        gradients: Of the queries.
        asked: May lower the rank or change the damping; neither needs a pass over the data.
        acting: What acts on the queries; None: the index's own curvature.

    Raises:
        ConfigError: The method or the index cannot take what is asked.
    """
    reader, built = index.reader, index.curvature
    curvature = index.method.curvature.asked(built, asked)
    check_refine(index.method, asked.refine)
    refined = gradients if isinstance(gradients, RefinedQueries) else None
    assert (refined is not None) == (asked.refine_by == "model")  # whoever asks for it has done it
    scale = index.unit_per_product

    matrices: dict[str, Tensor] = {}
    for module in reader.modules:
        rows = gradients.matrices[module.name]
        own = preconditioner_of(reader.subspace(module), curvature) if acting is None else acting(module)
        preconditioned = own.apply(rows.flatten(1)).view_as(rows)
        matrices[module.name] = preconditioned * (scale * index.member.weight)
    if asked.refine and refined is None:
        matrices = _refined(reader, matrices, scale, asked)
    rank_limit = _rank_limit(reader, curvature, asked)
    prepared = {
        name: prepare_queries(matrix, query_rank=asked.query_rank, rank_limit=rank_limit)
        for name, matrix in matrices.items()
    }
    plan = ScoringPlan(
        index=index,
        matrices=matrices,
        prepared=prepared,
        plans={name: one.plan for name, one in prepared.items()},
        normalisation=asked.normalisation,
        query_norms=torch.ones(len(gradients.objectives)),
        curvature=curvature,
        scale=scale,
        acting=acting,
        refinement=None if refined is None else refined.refinement,
    )
    if asked.normalisation != "unit":
        return plan
    if acting is not None:
        return replace(plan, query_norms=plan_scoring(index, gradients, asked).query_norms)
    return replace(plan, query_norms=own_norms(plan, gradients.stored))


def _rank_limit(reader: StoreReader, curvature: CurvatureConfig, asked: ScoreConfig) -> int:
    """Up to which rank it pays to look for the queries' own; 0 where they fill it up.

    A subspace and a refinement do; without them the rank of a query is at most the number of its tokens.
    """
    is_low_rank = not asked.refine and curvature.subspace_rank == 0
    return rank_worth_finding(reader.manifest.num_examples) if is_low_rank else 0


def check_refine(method: AttributionMethod, steps: int) -> None:
    """Refuse to refine queries to a method that does not store half-whitened gradients.

    Raises:
        ConfigError: It does not.
    """
    if steps and not method.can_be_refined:
        raise ConfigError(
            f"refine is for half-whitened indexes without a subspace, got {steps} for one that has its "
            f"curvature elsewhere ({method.label}). Leave it out, or ask an index of the default method."
        )


def _refined(reader: StoreReader, matrices: dict[str, Tensor], scale: float, asked: ScoreConfig) -> dict[str, Tensor]:
    own = torch.cat([reader.self_influence(shard) for shard in reader.iter_shards()])
    return refine_queries(
        matrices,
        own * scale,
        score=partial(score_plainly, reader),
        add_up=partial(add_up, reader),
        scale=scale,
        ratio=asked.refine_ratio,
        steps=asked.refine,
    )


def own_norms(plan: ScoringPlan, stored: Mapping[str, Block]) -> Tensor:
    """What each query is divided by so that, beside its own stored form, it has the score 1, (Q,).

    A text is divided by the root of its self-influence, √⟨T x̂, x̂⟩. A query is not stored and differs from its stored
    form by what the factors and the codec lose, so its divisor is ⟨T q, q̂⟩ ÷ √⟨T q̂, q̂⟩: the score of q against q̂ is
    1 then, whatever was lost.
    """
    count = plan.num_queries
    products, own = ScoreSums(count, count), torch.zeros(count, dtype=torch.float64)
    for module in plan.reader.modules:
        block, queries = stored[module.name], plan.queries[module.name]
        if isinstance(block, Columns) and not isinstance(queries, Tensor):
            queries.add_column_scores(products, block)
        elif isinstance(block, Factors) and not isinstance(queries, Tensor):
            queries.add_scores(products, block)
        else:
            products.add(score_dense_rows(plan.matrices[module.name], block.dense()))
        own += own_products(plan.preconditioner_of(module), block).double() * plan.scale
    # Without the member's weight: it is of the sum, and a negative one would turn every score around.
    diagonal = products.total().diagonal().double() / plan.index.member.weight
    if bool(((diagonal <= 0) & (own > 0)).any()):
        raise NumericalError(
            "a query's product with its own stored form must be above 0, it is not: the codes lose too much of it. "
            "Ask with another normalisation than unit, or build an index with a larger rank or codec."
        )
    return (diagonal / own.sqrt().clamp_min(torch.finfo().tiny)).float()


def iter_scores(*plans: ScoringPlan) -> Iterator[tuple[int, Tensor]]:
    """Scores of every shard in store order: (first position, (Q, n)); see ``iter_influences``."""
    return ((start, scores) for start, scores, _ in iter_influences(*plans))


def texts_at_once(num_queries: int) -> int:
    """Texts of a stretch."""
    return max(1, SCORES_AT_ONCE // num_queries)


def iter_influences(
    *plans: ScoringPlan, numbers: Sequence[int] | None = None
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Scores in store order, and the same without normalisation: (first position, both (Q, n)).

    A text's own weight is in both.

    They come shard by shard; of many queries in shorter stretches.

    Args:
        *plans: One per member of the method, over the same texts in shards of the same size; the sum of their
            weighted products is the score. Normalised by the first one's self-influences, and multiplied by the mean
            of the weights that all of them store of a text, where the method has any.
        numbers: Of some shards, in this order, which the processor multiplies; None: all.

    Raises:
        NumericalError: A score is not finite; names the shard.
    """
    first, others = plans[0], plans[1:]

    def scores_of(shard: Shard) -> tuple[int, Tensor, Tensor]:
        products = shard_products(shard, first.reader.modules, first.queries)
        for plan in others:
            theirs = plan.reader.shard(shard.number, slice(shard.rows.start, shard.rows.stop))
            products = products + shard_products(theirs, plan.reader.modules, plan.queries)
        return _finished(products, shard, plans)

    if first.index.scored_on is None or numbers is not None:
        return first.reader.map_shards(scores_of, numbers, texts_at_once(first.num_queries))
    return _scored_on(first.index.scored_on, plans)


def _scored_on(device: ScoringDevice, plans: Sequence[ScoringPlan]) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The same with the products taken on a device."""
    for of_members in zip(*(device.iter_products(plan.reader, plan.queries) for plan in plans), strict=True):
        products = of_members[0].products
        for other in of_members[1:]:
            products = products + other.products
        yield _finished(products, of_members[0].shard, plans)


def _finished(products: Tensor, shard: Shard, plans: Sequence[ScoringPlan]) -> tuple[int, Tensor, Tensor]:
    weights = text_weights(shard, plans)
    products = products if weights is None else products * weights
    scores = _normalise(products, shard, plans[0])
    check_finite_scores(scores, shard.number)
    return shard.start, scores, products


def text_weights(shard: Shard, plans: Sequence[ScoringPlan]) -> Float[Tensor, " n"] | None:
    """What the summed products of each text of a shard are multiplied by: the mean over the members, whatever weight
    their products have. None where the method weighs no text."""
    if plans[0].reader.manifest.objective is None:
        return None
    rows = slice(shard.rows.start, shard.rows.stop)
    own = [shard.weights(), *(plan.reader.shard(shard.number, rows).weights() for plan in plans[1:])]
    return torch.stack([one for one in own if one is not None]).mean(0)


def split_over_modules(plan: ScoringPlan, position: int, members: Sequence[ScoringPlan] = ()) -> dict[str, Tensor]:
    """One example's scores as sums over the modules: module name → its part for each query, (Q,).

    A score is a sum over modules, and every normalisation divides the sum by one number; so the parts add up to
    what ``iter_scores`` gives: those of all members, where there are several.

    Args:
        plan: Of one member.
        position: Of the example.
        members: The plans of all members, by which the sum is normalised and weighed; none: this is the only one.
    """
    example, plans = plan.reader.at(position), members or [plan]
    whose = plans[0].reader.at(position)
    parts = {
        module.name: _finished(shard_products(example, [module], plan.queries), whose, plans)[1][:, 0]
        for module in plan.reader.modules
    }
    check_finite_scores(torch.stack(list(parts.values())), example.number)
    return parts


def precondition_example(plan: ScoringPlan, position: int, members: Sequence[ScoringPlan] = ()) -> dict[str, Tensor]:
    """The other side of a score: Tᵀ[x̂] of one stored example per module, (d_in, d_out).

    In the unit of a score and divided as the plan's first query is, so that ⟨g_q, Tᵀ[x̂]⟩ summed over the modules, and
    over the members where there are several, is its score. Not for a plan that was refined or cut to a query rank:
    what these do to a query is not done here.

    Args:
        plan: Of one member.
        position: Of the example.
        members: The plans of all members, by which the sum is normalised and weighed; none: this is the only one.
    """
    example = plan.reader.at(position)
    factor = score_per_product(position, *(members or [plan])) * plan.scale * plan.index.member.weight
    return {
        module.name: plan.acting_on(module)
        .apply_transposed(block_rows(example.block(module)))
        .view(module.d_in, module.d_out)
        * factor
        for module in plan.reader.modules
    }


def score_per_product(position: int, *plans: ScoringPlan) -> float:
    """What normalisation and weight make of a product of 1 of the first query with one stored example.

    Args:
        position: Of the example.
        *plans: Of all members.
    """
    first = plans[0]
    return float(_finished(torch.ones(first.num_queries, 1), first.reader.at(position), plans)[1][0, 0])


def scores_per_product(*plans: ScoringPlan) -> Float[Tensor, " N"]:
    """What normalisation and weight make of a product of 1 of the only query with each stored example.

    Args:
        *plans: Of all members.
    """

    def of_shard(shard: Shard) -> Tensor:
        return _finished(torch.ones(1, shard.num_examples), shard, plans)[1][0]

    assert plans[0].num_queries == 1
    return torch.cat(list(plans[0].reader.map_shards(of_shard)))


def _normalise(scores: Tensor, shard: Shard, plan: ScoringPlan) -> Tensor:
    """Divide as asked; an example without any gradient has no score to scale and keeps 0."""
    if plan.normalisation == "none":
        return scores
    own = plan.reader.self_influence(shard) if plan.has_own_damping else None
    influence = self_influence(shard, plan.reader.modules, plan.preconditioner_of) if own is None else own
    root = (influence * plan.scale).sqrt()
    divisor = root.sqrt() if plan.normalisation == "tempered" else root
    if plan.normalisation == "unit":
        scores = scores / plan.query_norms.clamp_min(torch.finfo(scores.dtype).tiny).unsqueeze(1)
    return torch.where(divisor > 0, scores / divisor.clamp_min(torch.finfo(scores.dtype).tiny), 0.0)
