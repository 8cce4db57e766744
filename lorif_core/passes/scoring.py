"""Score a whole index against queries in one pass over its shards."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.linalg.preconditioner import SubspacePreconditioner
from lorif_core.linalg.refinement import refine_queries
from lorif_core.linalg.scores import (
    Plan,
    PreparedQueries,
    check_finite_scores,
    prepare_queries,
    rank_worth_finding,
)
from lorif_core.passes.fitting import preconditioner_of, self_influence
from lorif_core.passes.products import ModuleQueries, shard_products
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.stored_gram import add_up, score_plainly
from lorif_core.shapes import ModuleShape
from lorif_core.store.reader import Shard, StoreReader


@dataclass(frozen=True)
class ScoringPlan:
    """Preconditioned queries, laid out per module, and how the train side is normalised."""

    matrices: dict[str, Tensor]
    """Per module, (GᵀG + λI)⁻¹ g_q as (Q, d_in, d_out)."""

    prepared: dict[str, PreparedQueries]
    """The same, laid out for the plan chosen per module; unused for whole gradients."""

    plans: dict[str, Plan]
    """Plan per module."""

    query_norms: Tensor
    """(Q,), divided by under ``unit``."""

    normalisation: str
    preconditioner_of: Callable[[ModuleShape], SubspacePreconditioner]
    has_own_damping: bool
    """Whether the index's stored self-influences hold for these settings."""

    scale: float = 1.0
    """Multiplies every preconditioned product, so that a score is in nats; contained in ``matrices``."""

    @property
    def num_queries(self) -> int:
        """Q."""
        return len(self.query_norms)


def plan_scoring(
    reader: StoreReader, gradients: QueryGradients, built: CurvatureConfig, asked: ScoreConfig
) -> ScoringPlan:
    """Precondition the queries and choose how to multiply.

    Args:
        reader: A complete index.
        gradients: Of the queries.
        built: The index's own curvature settings.
        asked: May lower the rank or change the damping; neither needs a pass over the data.
    """
    _check_damping(reader, asked)
    curvature = curvature_asked(built, asked)
    _check_rank(reader, asked.subspace_rank)
    _check_refine(reader, asked.refine)
    matrices: dict[str, Tensor] = {}
    prepared: dict[str, PreparedQueries] = {}
    plans: dict[str, Plan] = {}

    scale = nats_per_product(reader)

    def preconditioner(module: ModuleShape) -> SubspacePreconditioner:
        return preconditioner_of(reader.subspace(module), curvature, asked.subspace_rank)

    for module in reader.modules:
        rows = gradients.matrices[module.name]
        matrices[module.name] = preconditioner(module).apply(rows.flatten(1)).view_as(rows) * scale
    if asked.refine:
        matrices = _refined(reader, matrices, scale, asked.refine_ratio, asked.refine)
    # A subspace and a refinement fill up the rank of a query; without them it is at most the number of its tokens.
    kept_rank = reader.manifest.subspace_rank if asked.subspace_rank is None else asked.subspace_rank
    is_low_rank = not asked.refine and kept_rank == 0
    rank_limit = rank_worth_finding(reader.manifest.num_examples) if is_low_rank else 0
    for module in reader.modules:
        prepared[module.name] = prepare_queries(
            matrices[module.name], query_rank=asked.query_rank, rank_limit=rank_limit
        )
        plans[module.name] = prepared[module.name].plan
    is_own = curvature == built and asked.subspace_rank in (None, reader.manifest.subspace_rank)
    return ScoringPlan(
        matrices, prepared, plans, gradients.norms(), asked.normalisation, preconditioner, is_own, scale
    )


def nats_per_product(reader: StoreReader) -> float:
    """What turns the inner product of two preconditioned gradients into nats.

    A subspace preconditioner inverts the sum GᵀG over examples, whose scores are in nats already. Half-whitening
    maps divide by second moments *per token*, so that their Fisher matrix is A ⊗ S times the number of tokens.
    """
    return 1 / reader.num_train_tokens if is_plain_product(reader) else 1.0


def is_plain_product(reader: StoreReader) -> bool:
    """Whether all curvature is in half-whitening maps."""
    return reader.manifest.whitening is not None and reader.manifest.subspace_rank == 0


def _check_refine(reader: StoreReader, steps: int) -> None:
    if steps and not is_plain_product(reader):
        raise ConfigError(
            f"refine is for half-whitened indexes without a subspace, got {steps} for one that has its "
            "curvature in a subspace. Leave it out, or ask an index of `--method kronecker`."
        )


def _refined(
    reader: StoreReader, matrices: dict[str, Tensor], scale: float, ratio: float, steps: int
) -> dict[str, Tensor]:
    own = torch.cat([reader.self_influence(shard) for shard in reader.iter_shards()])
    return refine_queries(
        matrices,
        own * scale,
        score=partial(score_plainly, reader),
        add_up=partial(add_up, reader),
        scale=scale,
        ratio=ratio,
        steps=steps,
    )


def curvature_asked(built: CurvatureConfig, asked: ScoreConfig) -> CurvatureConfig:
    """The index's curvature settings with the asked-for damping in their place.

    Raises:
        ConfigError: The rule and the values do not go together.
    """
    rule = asked.damping_rule or ("absolute" if asked.damping is not None else built.damping_rule)
    if rule == "absolute" and asked.damping_ratio is not None:
        raise ConfigError(
            f"damping_ratio needs the rule trace or spectrum, got {asked.damping_ratio} under absolute damping. Pass "
            "`--damping-rule trace`, or `--damping` instead."
        )
    keeps_rule = rule == built.damping_rule
    ratio, damping = asked.damping_ratio, asked.damping
    return CurvatureConfig(
        subspace_rank=built.subspace_rank,
        damping_rule=rule,
        damping_ratio=built.damping_ratio if ratio is None and keeps_rule else ratio,
        damping=built.damping if damping is None and keeps_rule else damping,
    )


def _check_damping(reader: StoreReader, asked: ScoreConfig) -> None:
    whitening = reader.manifest.whitening
    is_asked = (asked.damping_rule, asked.damping_ratio, asked.damping) != (None, None, None)
    if whitening is not None and is_plain_product(reader) and is_asked:
        raise ConfigError(
            f"the damping of half-whitened gradients is in their maps (alpha = {whitening['alpha']}) and cannot be "
            "changed when asking. Build another index with `--alpha`; its statistics are kept."
        )


def _check_rank(reader: StoreReader, subspace_rank: int | None) -> None:
    stored = reader.manifest.subspace_rank
    if subspace_rank is not None and stored is not None and subspace_rank > stored:
        raise ConfigError(
            f"subspace_rank must be at most the {stored} directions that this index keeps, got {subspace_rank}. Run "
            "`lorif index` again with the larger rank; stored gradients are reused."
        )


def iter_scores(reader: StoreReader, plan: ScoringPlan) -> Iterator[tuple[int, Tensor]]:
    """Scores of every shard in store order: (first position, (Q, n)).

    Raises:
        NumericalError: A score is not finite; names the shard.
    """

    def scores_of(shard: Shard) -> tuple[int, Tensor]:
        products = shard_products(shard, reader.modules, _queries(reader, plan))
        scores = _normalise(products, shard, reader, plan)
        check_finite_scores(scores, shard.number)
        return shard.start, scores

    return reader.map_shards(scores_of)


def split_over_modules(reader: StoreReader, plan: ScoringPlan, position: int) -> dict[str, Tensor]:
    """One example's scores as sums over the modules: module name → its part for each query, (Q,).

    A score is a sum over modules, and every normalisation divides the sum by one number; so the parts add up to
    what ``iter_scores`` gives.
    """
    example = reader.at(position)
    parts = {
        module.name: _normalise(shard_products(example, [module], _queries(reader, plan)), example, reader, plan)[
            :, 0
        ]
        for module in reader.modules
    }
    check_finite_scores(torch.stack(list(parts.values())), example.number)
    return parts


def _queries(reader: StoreReader, plan: ScoringPlan) -> Mapping[str, ModuleQueries]:
    return plan.matrices if reader.manifest.layout == "dense" else plan.prepared


def _normalise(scores: Tensor, shard: Shard, reader: StoreReader, plan: ScoringPlan) -> Tensor:
    """Divide as asked; an example without any gradient has no score to scale and keeps 0."""
    if plan.normalisation == "none":
        return scores
    if plan.normalisation == "unit":
        scores = scores / plan.query_norms.clamp_min(torch.finfo(scores.dtype).tiny).unsqueeze(1)
        divisor = shard.norms()
    else:
        own = reader.self_influence(shard) if plan.has_own_damping else None
        influence = self_influence(shard, reader.modules, plan.preconditioner_of) if own is None else own
        influence = influence * plan.scale
        divisor = influence.sqrt() if plan.normalisation == "relatif" else influence.sqrt().sqrt()
    return torch.where(divisor > 0, scores / divisor.clamp_min(torch.finfo(scores.dtype).tiny), 0.0)
