"""Daunce: the covariance of two losses over K models that differ a little is the influence of one text on another.

Let ℓ_k(z) be the loss of text z under model k. A score is

    score(q, n) = 1/(K − 1) Σ_k (ℓ_k(q) − mean ℓ(q)) (ℓ_k(n) − mean ℓ(n)),

so all that an index stores of a text are its K centred losses, and all that a question needs are its own. No gradient
is taken and no model is differentiated: a model behind an interface that tells losses is enough.

**Why that is influence.** Around the trained weights θ, ℓ(z; θ + δ) ≈ ℓ(z; θ) + g_zᵀ δ. Let the models be θ + δ_k
with mean 0 and covariance s H⁻¹, where H is the Hessian of the summed training loss. Then

    Cov(ℓ_q, ℓ_n) ≈ g_qᵀ Cov(δ) g_n = s g_qᵀ H⁻¹ g_n,

which is s times what every other method here estimates: how many nats the loss of q rises when n is taken out of the
training texts, positive where n supports q. ``evaluation/perturbing.py`` makes such models, with s the variance of
its noise where it is trained to its end. Of models from elsewhere s is not known, so the unit of a score is nats² and
a what-if, which adds nats, is refused.

**Models trained on random subsets** (datamodels) take the same formula: a model that saw n has a smaller loss on n,
and, where n supports q, a smaller loss on q, so the covariance is positive then, too.

**Noise.** A covariance over K models is a sample's: under normal losses its standard error is
√((σ_q² σ_n² + Cov²)/(K − 1)), about σ_q σ_n / √(K − 1) for texts that have nothing to do with one another. So a
correlation (the normalisation ``unit``) below some 2 / √(K − 1) is noise: 0.5 for K = 16.

Source: Daunce (arXiv:2505.23223), section 3. The centred losses are stored and not the covariance with anything, as
in design §9's table: one loss each, centred, no curvature, weight 1/(K − 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.graddot import NoCurvature
from lorif_core.methods.logra import WholeFeature
from lorif_core.methods.method_settings import DaunceConfig
from lorif_core.methods.protocol import Unit
from lorif_core.methods.usual_answers import DrawnFromSeed, OneModelMethod
from lorif_core.shapes import Float, ModuleShape

LOSSES = "losses"
"""Name of the only pseudo-module of such an index."""


def losses_module(num_models: int) -> ModuleShape:
    """What holds a text's centred losses, one per model."""
    return ModuleShape(LOSSES, 1, num_models, 1, num_models)


def centred(losses: Float[Tensor, "n K"]) -> DenseGradient:
    """Losses of n texts without each text's own mean over the models, as what an index stores, (n, 1, K) float32.

    The mean is taken in the precision that the losses have: it may outweigh what is left a thousandfold.
    """
    return DenseGradient((losses - losses.mean(1, keepdim=True)).float()[:, None, :])


@dataclass(frozen=True)
class NoProjection(DrawnFromSeed):
    """Losses are stored as they are."""

    f: int | None = 1
    seed: int = 0

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """None."""
        return 0

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The identity."""
        return ModuleMaps(None, None)


@dataclass(frozen=True)
class Daunce(OneModelMethod[DaunceConfig]):
    """Centred losses, plain products."""

    @property
    def projection(self) -> NoProjection:
        """None."""
        return NoProjection()

    @property
    def feature(self) -> WholeFeature:
        """Numbers as they are."""
        return WholeFeature(self.settings.codec)

    @property
    def curvature(self) -> NoCurvature:
        """None: it is in how the models differ."""
        return NoCurvature(
            "daunce has its curvature in how its models differ, which no damping changes. Leave it out, or ask an "
            "index of another method."
        )

    @property
    def label(self) -> str:
        """The method and the number of its models."""
        return f"{self.settings.name} {len(self.settings.models)} models {self.settings.codec}"

    @property
    def unit(self) -> Unit:
        """Products of two losses: by how much the models differ is not known."""
        return "nats²"

    def unit_per_product(self, num_train_tokens: int) -> float:
        """1/(K − 1)."""
        return 1.0 / max(1, len(self.settings.models) - 1)
