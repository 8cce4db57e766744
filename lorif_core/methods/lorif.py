"""LoRIF: rank-c factors of randomly projected gradients and a truncated-SVD preconditioner.

    score(q, n) = Σ_modules ⟨g_q, (GᵀG + λI)⁻¹ g_n⟩,   GᵀG kept as its leading r directions

The Gram matrix is a sum over all examples, so a score is in nats: the first-order change of the query's objective
when the text is left out.
Source: LoRIF (arXiv:2601.21929).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.errors import ConfigError, ResourceError
from lorif_core.linalg.factors import factor_gradient, random_start
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.heaviest_columns import heaviest_columns
from lorif_core.linalg.maps import ModuleMaps, bytes_of_maps, random_maps
from lorif_core.linalg.subspace import OVERSAMPLING, RowStream, Subspace, fit_subspace
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.method_settings import FactoredSettings, LorifConfig
from lorif_core.methods.protocol import (
    AttributionMethod,
    Curvature,
    Projection,
)
from lorif_core.methods.usual_answers import DrawnFromSeed, OneModelMethod
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block
from lorif_core.store.manifest import Layout

Settings = TypeVar("Settings", bound=FactoredSettings)


@dataclass(frozen=True)
class RandomProjection(DrawnFromSeed):
    """Random sign maps, redrawn from the seed wherever they are needed."""

    f: int | None
    seed: int

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """A side that keeps its width has no map."""
        return bytes_of_maps(modules, keeps_widths=False)

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The maps of one module."""
        assert self.f is not None  # a budget that chooses it has done so
        return random_maps(module, f=self.f, seed=self.seed)


@dataclass(frozen=True)
class FactoredFeature:
    """Rank-c factors of each projected gradient."""

    factor_rank: int
    """c; a module narrower than this keeps its full rank."""

    codec: str
    seed: int
    """Of the power iteration's start."""

    ranks: Mapping[str, int] = field(default_factory=dict[str, int])
    """c of modules that have one of their own, by name."""

    num_columns: int = 1
    """Of modules that are stored as columns."""

    @property
    def layout(self) -> Layout:
        """Factors."""
        return "factors"

    def rank_of(self, module: ModuleShape) -> int:
        """c, or the number of columns."""
        if module.form == "columns":
            return min(self.ranks.get(module.name, self.num_columns), module.d_out)
        return min(self.ranks.get(module.name, self.factor_rank), module.d_in, module.d_out)

    def compress(self, gradient: ProjectedGradient, *modules: ModuleShape) -> Block:
        """Rank-c factors of each gradient, or its heaviest columns."""
        rank = self.rank_of(modules[0])
        if modules[0].form == "columns":
            return heaviest_columns(gradient, rank)
        starts = [_start(module, rank, self.seed, gradient.device) for module in modules]
        if len(starts) == 1:
            return factor_gradient(gradient, starts[0])
        return factor_gradient(gradient, torch.stack(starts).repeat_interleave(len(gradient) // len(starts), 0))


@lru_cache(maxsize=4096)
def _start(module: ModuleShape, rank: int, seed: int, device: torch.device) -> Tensor:
    """Kept on the device: to bring it there for every batch would make the host wait."""
    return random_start(module.name, module.d_out, rank, seed=seed).to(device)


@dataclass(frozen=True)
class SubspaceCurvature:
    """``(GᵀG + λI)⁻¹`` with GᵀG restricted to its leading r directions."""

    fitted: CurvatureConfig
    seed: int
    """Of the randomised SVD."""

    @property
    def subspace_rank(self) -> int | None:
        """r."""
        return self.fitted.subspace_rank

    def check(self, modules: Sequence[ModuleShape], available_bytes: int) -> None:
        """Refuse when the widest module's sketch would not fit.

        Raises:
            ResourceError: Names the memory it would need and the way out.
        """
        rank = self.subspace_rank or 0
        widest = max(modules, key=lambda module: module.dim)
        needed = fit_bytes(widest, rank) if rank else 0
        if needed > available_bytes:
            raise ResourceError(
                f"a subspace of rank {rank} needs {needed / 1e9:.1f} GB for module {widest.name!r} "
                f"(D = {widest.dim}), {available_bytes / 1e9:.1f} GB are free. Lower `--subspace-rank`, raise `--f`, "
                "or exclude the module."
            )

    def fit(self, module: ModuleShape, stream_rows: RowStream) -> Subspace:
        """Leading r directions of the module's gradient Gram matrix."""
        return fit_subspace(stream_rows, module.dim, self.subspace_rank or 0, key=f"{self.seed}:{module.name}")

    def asked(self, built: CurvatureConfig, asked: ScoreConfig) -> CurvatureConfig:
        """The index's curvature with the asked-for damping and rank in their place."""
        return curvature_asked(built, asked)


def fit_bytes(module: ModuleShape, subspace_rank: int) -> int:
    """Memory of fitting one module: three float64 matrices as wide as the sketch."""
    return 3 * 8 * module.dim * min(subspace_rank + OVERSAMPLING, module.dim)


def curvature_asked(built: CurvatureConfig, asked: ScoreConfig) -> CurvatureConfig:
    """The curvature that an index was built with, under the damping and the rank that somebody asks for.

    Raises:
        ConfigError: The rule and the values do not go together, or the index keeps fewer directions.
    """
    rank = built.subspace_rank if asked.subspace_rank is None else asked.subspace_rank
    if built.subspace_rank is not None and (rank or 0) > built.subspace_rank:
        raise ConfigError(
            f"subspace_rank must be at most the {built.subspace_rank} directions that this index keeps, got {rank}. "
            "Run `lorif index` again with the larger rank; stored gradients are reused."
        )
    rule = asked.damping_rule or ("absolute" if asked.damping is not None else built.damping_rule)
    if rule == "absolute" and asked.damping_ratio is not None:
        raise ConfigError(
            f"damping_ratio needs the rule trace or spectrum, got {asked.damping_ratio} under absolute damping. Pass "
            "`--damping-rule trace`, or `--damping` instead."
        )
    keeps_rule = rule == built.damping_rule
    ratio, damping = asked.damping_ratio, asked.damping
    return CurvatureConfig(
        subspace_rank=rank,
        damping_rule=rule,
        damping_ratio=built.damping_ratio if ratio is None and keeps_rule else ratio,
        damping=built.damping if damping is None and keeps_rule else damping,
    )


@dataclass(frozen=True)
class FactoredMethod(OneModelMethod[Settings]):
    """What methods have in common that differentiate one model and store factors of its gradients."""

    ranks: Mapping[str, int] = field(default_factory=dict[str, int])
    """Rank of every module, where a budget decided it."""

    @property
    def projection(self) -> Projection:
        """Random maps."""
        return RandomProjection(self.settings.f, self.settings.seed)

    @property
    def feature(self) -> FactoredFeature:
        """Rank-c factors."""
        own = self.settings
        return FactoredFeature(own.factor_rank or 1, own.codec, own.seed, self.ranks)

    @property
    def curvature(self) -> Curvature:
        """What each of these methods has of its own."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Name, divisor, size and codec."""
        own = self.settings
        size = f"budget {own.budget}" if own.budget else f"c={own.factor_rank}"
        return f"{own.name} f={own.f} {size} {own.codec}"

    @property
    def budget_bytes(self) -> int | None:
        """Bytes per example."""
        return self.settings.budget_bytes

    def with_budget(self, f: int, ranks: Mapping[str, int]) -> AttributionMethod:
        """The same method with the divisor and the ranks that its budget buys."""
        return replace(self, settings=replace(self.settings, f=f), ranks=ranks)


@dataclass(frozen=True)
class Lorif(FactoredMethod[LorifConfig]):
    """Factored gradients, curvature in a rank-r subspace per module."""

    shares_gradients: ClassVar[bool] = True

    @property
    def curvature(self) -> Curvature:
        """The damped inverse in a subspace."""
        return SubspaceCurvature(self.settings.curvature, self.settings.seed)

    @property
    def label(self) -> str:
        """The factors, and the rank of the subspace."""
        return f"{super().label} r={self.settings.subspace_rank}"
