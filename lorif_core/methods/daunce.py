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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from lorif_core.errors import ConfigError
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.graddot import NoCurvature
from lorif_core.methods.logra import WholeFeature
from lorif_core.methods.method_settings import DaunceConfig
from lorif_core.methods.protocol import THE_MODEL, Member, StatisticsSample, TrainObjective, Unit
from lorif_core.shapes import ATTENTION_AND_MLP, Float, ModuleShape, Tracked

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
class NoProjection:
    """Losses are stored as they are."""

    f: int | None = 1
    seed: int = 0

    def sample(self, modules: Sequence[ModuleShape]) -> StatisticsSample | None:
        """No statistics."""
        return None

    def recorded(self, modules: Sequence[ModuleShape]) -> dict[str, Any] | None:
        """Nothing to say."""
        return None

    def shapes(self, modules: Sequence[ModuleShape]) -> list[ModuleShape]:
        """As they are."""
        return list(modules)

    def joint(self, modules: Sequence[ModuleShape]) -> ModuleShape | None:
        """There is one module only."""
        return None

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """None."""
        return 0

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The identity."""
        return ModuleMaps(None, None)


@dataclass(frozen=True)
class Daunce:
    """Centred losses, plain products."""

    shares_gradients: ClassVar[bool] = False

    settings: DaunceConfig

    @property
    def members(self) -> tuple[Member, ...]:
        """One: the sum over models is a product of features."""
        return (THE_MODEL,)

    @property
    def tracked(self) -> Tracked:
        """Nothing is differentiated; what the references beside an index of losses track."""
        return ATTENTION_AND_MLP

    @property
    def train_objective(self) -> TrainObjective:
        """A text's loss."""
        return "loss"

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

    @property
    def can_be_refined(self) -> bool:
        """There is no curvature to refine."""
        return False

    @property
    def budget_bytes(self) -> int | None:
        """A text has as many numbers as there are models."""
        return None

    def with_budget(self, f: int, ranks: Mapping[str, int]) -> "Daunce":
        """Refuse: there is nothing to buy.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("a budget is for factors, and daunce stores one loss per model. Use another `--method`.")
