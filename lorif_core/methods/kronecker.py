"""Half-whitened factors: the projection holds the curvature, and influence is a plain inner product.

    Z = (A + λ_A)^-½ G (S + λ_S)^-½,   score(q, n) = Σ_modules ⟨Z_q, Z_n⟩ ÷ number of train tokens

A and S are a module's second moments of layer inputs and output gradients *per token*, so the Fisher matrix of all
examples is A ⊗ S times the number of their tokens; divided by it a score is in nats. What is stored of Z are rank-c
factors, one bit per number by default: the truncation and the rounding are taken in the metric in which they matter.
Of an output head, whose S is as wide as the vocabulary, only the diagonal is taken, and what is stored are the
heaviest columns of Z (docs/decisions/0033).
Source: K-FAC (arXiv:1503.05671); docs/explanation/design.md §2.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from lorif_core.linalg.maps import ModuleMaps, bytes_of_maps
from lorif_core.linalg.whitening import Moments, whitened_maps
from lorif_core.methods.graddot import NoCurvature
from lorif_core.methods.lorif import FactoredFeature, FactoredMethod, SubspaceCurvature
from lorif_core.methods.method_settings import KroneckerConfig
from lorif_core.methods.protocol import Curvature, Projection, StatisticsSample
from lorif_core.shapes import ModuleShape, Tracked

STATS_EXAMPLES = 2048
"""Fewer were measured to cost quality, however many tokens they hold (docs/decisions/0039)."""

STATS_TOKENS_PER_DIMENSION = 128
"""Of the widest side of a tracked module."""


@dataclass(frozen=True)
class WhitenedProjection:
    """Inverse roots of the module's second moments, followed by random maps for f > 1."""

    f: int | None
    seed: int
    alpha: float
    """Damping of each side over its mean eigenvalue."""

    stats_examples: int | None
    """As asked for; None: as many as the widest module needs."""

    head_columns: int | None
    """Columns of an output head that are stored; None where a budget decides, 0 where it is not tracked."""

    def sample(self, modules: Sequence[ModuleShape]) -> StatisticsSample | None:
        """Where the moments come from."""
        if self.stats_examples is not None:
            return StatisticsSample(self.stats_examples, self.seed)
        widest = max(one.moment_width for one in modules)
        return StatisticsSample(STATS_EXAMPLES, self.seed, STATS_TOKENS_PER_DIMENSION * widest)

    def recorded(self, modules: Sequence[ModuleShape]) -> dict[str, Any] | None:
        """Damping and sample, how sides are narrowed, and how much is kept of an output head."""
        sample = self.sample(modules)
        assert sample is not None  # whatever is asked for
        kept: dict[str, Any] = {"alpha": self.alpha, "stats_examples": sample.num_examples}
        if sample.num_tokens:
            kept["stats_tokens"] = sample.num_tokens
        if any((one.d_in, one.d_out) != (one.in_features, one.out_features) for one in modules):
            kept["directions"] = "orthonormal"
        return kept | ({"head_columns": self.head_columns} if self.head_columns else {})

    def shapes(self, modules: Sequence[ModuleShape]) -> list[ModuleShape]:
        """As the divisor leaves them."""
        return list(modules)

    def joint(self, modules: Sequence[ModuleShape]) -> ModuleShape | None:
        """Every module is stored by itself."""
        return None

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """Both sides have a map, whatever their widths."""
        return bytes_of_maps(modules, keeps_widths=True)

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The maps of one module from its moments."""
        assert self.f is not None  # a budget that chooses it has done so
        assert moments is not None  # there is a sample
        return whitened_maps(module, moments, alpha=self.alpha, seed=self.seed)


@dataclass(frozen=True)
class Kronecker(FactoredMethod[KroneckerConfig]):
    """Factored half-whitened gradients, plain products."""

    shares_gradients: ClassVar[bool] = True

    @property
    def projection(self) -> Projection:
        """Half-whitening maps."""
        own = self.settings
        return WhitenedProjection(own.f, own.seed, own.alpha, own.stats_examples, own.head_columns)

    @property
    def tracked(self) -> Tracked:
        """MLP and output head; attention adds less than it costs. A subspace is for factors only."""
        own = self.settings
        return Tracked(attention=False, head=own.head_columns != 0 and not own.subspace_rank)

    @property
    def feature(self) -> FactoredFeature:
        """Rank-c factors, and columns of the output head."""
        return replace(super().feature, num_columns=self.settings.head_columns or 1)

    @property
    def curvature(self) -> Curvature:
        """None beside the maps, unless directions are asked for."""
        if self.settings.subspace_rank:
            return SubspaceCurvature(self.settings.curvature, self.settings.seed)
        return NoCurvature(
            f"the damping of half-whitened gradients is in their maps (alpha = {self.settings.alpha}) and cannot be "
            "changed when asking. Build another index with `--alpha`; its statistics are kept."
        )

    @property
    def label(self) -> str:
        """The factors, and the damping of the maps."""
        own = self.settings
        head = f" head={own.head_columns}" if self.tracked.head and own.head_columns else ""
        return f"{super().label}{head} α={own.alpha:g}"

    def unit_per_product(self, num_train_tokens: int) -> float:
        """Moments are per token; a subspace inverts a sum over examples, whose scores are in nats already."""
        return 1.0 if self.settings.subspace_rank else 1 / num_train_tokens

    @property
    def can_be_refined(self) -> bool:
        """Plain products are."""
        return not self.settings.subspace_rank
