"""FactGraSS: of every module some coordinates of both sides are kept, and their product is hashed to k numbers.

    z_n = S vec( M_inᵀ G_n M_out ),    score(q, n) = Σ_modules ⟨z_q, (Z ᵀZ + λI)⁻¹ z_n⟩

A linear map's gradient is G = XᵀY', so masks M_in (i, i') and M_out (o, o') are gathers of columns of X and of Y' and
cost nothing, the product of what is left costs T·i'·o', and the sparse sketch S, one entry per coordinate, i'·o'
additions: no product with a random matrix is taken, which is what makes it the fastest of the methods here. i'·o' is
``mask_factor`` · k, i' and o' as equal as the widths allow. Scaled by √(i·o ÷ i'·o'), E⟨z, z'⟩ = ⟨g, g'⟩.

ZᵀZ is a sum over the texts (the empirical Fisher matrix times their number) per module, and λ is a share of its mean
eigenvalue, trace ÷ k, by default. With fewer texts than k its eigenvectors come from Z Zᵀ
(``linalg.whole_spectrum``). Here the query is preconditioned and not the texts, as everywhere: the scores are the
same, and another damping needs no second pass. The paper searches for λ on a part of its truth; here nothing is.
Source: GraSS and FactGraSS (arXiv:2505.18976), section 3.3.2; https://github.com/TRAIS-Lab/GraSS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.sparse_draws import BYTES_PER_COORDINATE, kept_widths, masked_maps
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.sketched import SketchedMethod, as_factors
from lorif_core.methods.sketched_settings import FactgrassConfig
from lorif_core.methods.usual_answers import DrawnFromSeed
from lorif_core.shapes import ModuleShape


@dataclass(frozen=True)
class MaskedProjection(DrawnFromSeed):
    """Masks of both sides and a sketch of their product, redrawn from the seed wherever they are needed."""

    sketch_width: int
    mask_factor: int
    seed: int

    @property
    def f(self) -> int | None:
        """Masks keep what they keep of any width."""
        return 1

    def shapes(self, modules: Sequence[ModuleShape]) -> list[ModuleShape]:
        """A vector of k numbers of each module, or of as many as there are pairs of kept coordinates."""
        return [as_factors(one, 1, min(self.sketch_width, self._num_kept(one))) for one in modules]

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """Of buckets and signs."""
        return BYTES_PER_COORDINATE * sum(map(self._num_kept, modules))

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The maps of one module."""
        return masked_maps(module, sketch_width=self.sketch_width, mask_factor=self.mask_factor, seed=self.seed)

    def _num_kept(self, module: ModuleShape) -> int:
        kept_in, kept_out = kept_widths(module.in_features, module.out_features, self.mask_factor * self.sketch_width)
        return kept_in * kept_out


@dataclass(frozen=True)
class Factgrass(SketchedMethod[FactgrassConfig]):
    """A sketch of every module's masked gradient, full curvature per module."""

    @property
    def projection(self) -> MaskedProjection:
        """Masks and a sketch."""
        return MaskedProjection(self.settings.sketch_width, self.settings.mask_factor, self.settings.seed)
