"""GraSS: of the flat gradient over all modules some entries are kept, and hashed to one vector of k numbers.

    z_n = Σ_modules √(i·o ÷ m) S vec(G_n)[kept],    score(q, n) = ⟨z_q, (ZᵀZ + λI)⁻¹ z_n⟩

``mask_factor`` · k entries are kept over all modules, of each as many as it has a share of the weights, m, drawn
without replacement. An entry of a linear map's G = XᵀY' is Σ_t X[t, a] Y'[t, b], so no gradient is ever written out.
S is the sparse sketch with one entry per coordinate, drawn for each module by itself, and the vectors of all modules
are added up: the sketch of one flat gradient. There is one curvature, over all modules together, with their cross
terms; a score has no parts per module, and its parts per token add up as always. Damping as in ``factgrass``.
Source: GraSS (arXiv:2505.18976), sections 3.1 and 3.2, with its random mask; the learned mask is not built.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.sparse_draws import paired_maps, shares_of
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.sketched import ALL_MODULES, SketchedMethod, as_factors, joint_shape
from lorif_core.methods.sketched_settings import GrassConfig
from lorif_core.methods.usual_answers import DrawnFromSeed
from lorif_core.shapes import ModuleShape

PAIR_BYTES = 21
"""Of a kept entry: two places, a bucket and a sign."""


@dataclass(frozen=True)
class EntriesProjection(DrawnFromSeed):
    """Some entries of the flat gradient and a sketch of them, redrawn from the seed wherever they are needed."""

    sketch_width: int
    mask_factor: int
    seed: int

    @property
    def f(self) -> int | None:
        """Entries are kept of any width."""
        return 1

    def shapes(self, modules: Sequence[ModuleShape]) -> list[ModuleShape]:
        """As many entries of each module as it has a share of all weights."""
        sizes = [one.in_features * one.out_features for one in modules]
        kept = shares_of(sizes, self.mask_factor * self.sketch_width)
        return [as_factors(one, count, 1) for one, count in zip(modules, kept, strict=True)]

    def joint(self, modules: Sequence[ModuleShape]) -> ModuleShape | None:
        """One vector of k numbers."""
        return joint_shape(modules, self.sketch_width)

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """Of places, buckets and signs."""
        return PAIR_BYTES * sum(one.dim for one in self.shapes(modules))

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The maps of one module."""
        return paired_maps(module, sketch_width=self.sketch_width, seed=self.seed, joined_as=ALL_MODULES)


@dataclass(frozen=True)
class Grass(SketchedMethod[GrassConfig]):
    """One sketch of the masked flat gradient, one full curvature."""

    @property
    def projection(self) -> EntriesProjection:
        """Entries and a sketch."""
        return EntriesProjection(self.settings.sketch_width, self.settings.mask_factor, self.settings.seed)
