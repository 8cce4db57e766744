"""TRAK: projected gradients of the margin over all modules, their Gram inverse, and the (1 - p) of each text.

    f(n) = log p_n - log(1 - p_n),  φ_n = P ∇f(n),
    score(q, n) = ( 1/M Σ_m φ_qᵀ (ΦᵀΦ + λI)⁻¹ φ_n ) · ( 1/M Σ_m (1 - p_n) )

p_n is the probability of all that is learnt of text n, and M models take part: the index's own and its members, with
`--member-weights average`. The features are those of one pass over each model. The second mean is multiplied into the
finished products, whatever the members' own weights are, and after a normalisation, which is of the features.

**P** is a sparse sketch of random projections: signs to d_in and d_out numbers on both sides of a module (divisor f),
whose d_in·d_out products are hashed to k buckets, for each module by itself, and added up over all modules. It keeps
inner products in expectation; the paper takes one dense matrix of signs, as wide as the model has weights, which is
for a GPU. f = 1 leaves the signs out.

**What is differentiated.** With L = -log p, ∇f = -∇L ÷ (1 - p): so (1 - p_n) φ_n is the gradient of the text's loss,
and a query's margin gradient is its loss gradient times a number above zero. With M = 1 the texts therefore have the
same order under `--objective margin`, which is the paper's, and under `loss`; with more models the queries' numbers
differ between these, and only `margin` is the paper's. λ → ∞ with M = 1: λ · score → ⟨φ_q, (1 - p_n) φ_n⟩, the inner
product of the projected gradients of the query's margin and the text's loss, whose order is that of GradDot.

A text of several sequences (windows, or both sides of a preference) is the weighted sum of its sequences' margins,
and its 1 - p is that of the sum, 1 ÷ (1 + e^f): of one sequence that is 1 - p itself, of a preference one minus how
likely the chosen side is beside the rejected one, by their odds. Of a long text p is close to 0 and its weight to 1.

There is no λ in the paper's formula (its code has a small one); here λ is a share of the mean eigenvalue, so that
fewer texts than k need no other rule.
Source: TRAK (arXiv:2303.14186), section 3, equation 17.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lorif_core.linalg.maps import ModuleMaps, bytes_of_maps
from lorif_core.linalg.sparse_draws import BYTES_PER_COORDINATE, hashed_maps
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.protocol import TrainObjective
from lorif_core.methods.sketched import ALL_MODULES, SketchedMethod, as_factors, joint_shape
from lorif_core.methods.sketched_settings import TrakConfig
from lorif_core.methods.usual_answers import DrawnFromSeed
from lorif_core.shapes import ModuleShape


@dataclass(frozen=True)
class HashedProjection(DrawnFromSeed):
    """Random signs on both sides and a sketch of their product, redrawn from the seed wherever they are needed."""

    f: int | None
    sketch_width: int
    seed: int

    def shapes(self, modules: Sequence[ModuleShape]) -> list[ModuleShape]:
        """As the divisor leaves them."""
        return [as_factors(one, one.d_in, one.d_out) for one in modules]

    def joint(self, modules: Sequence[ModuleShape]) -> ModuleShape | None:
        """One vector of k numbers."""
        return joint_shape(modules, self.sketch_width)

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """Of signs on both sides, of buckets and of their signs."""
        dense = bytes_of_maps(modules, keeps_widths=False)
        return dense + BYTES_PER_COORDINATE * sum(one.dim for one in modules)

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The maps of one module."""
        assert self.f is not None  # the settings say it
        width = self.sketch_width
        return hashed_maps(module, f=self.f, sketch_width=width, seed=self.seed, joined_as=ALL_MODULES)


@dataclass(frozen=True)
class Trak(SketchedMethod[TrakConfig]):
    """One sketch of the margin's gradient, one full curvature, (1 - p) weights."""

    @property
    def train_objective(self) -> TrainObjective:
        """The margin, which also gives every text its 1 - p."""
        return "margin"

    @property
    def projection(self) -> HashedProjection:
        """Signs and a sketch."""
        return HashedProjection(self.settings.f, self.settings.sketch_width, self.settings.seed)
