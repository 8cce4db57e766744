"""SOURCE: what leaving a text out of the whole training changes, with the training between checkpoints unrolled.

The steps of a training are cut into L stretches, its *segments*, over each of which the curvature H_l of the training
loss and the gradient g_l(n) of a text are taken to be what they are on average at the segment's checkpoints. Let τ_l
be the learning rates of a segment's steps, summed. A text that weighs more by a small number moves the weights in
segment l by -F_r^l g_l(n), and of what it moved them by before it leaves F_S^l, so that at the end of the training,
with q the gradient of a query's objective there,

    score(q, n) = Σ_l ⟨ F_r^l F_S^(l+1) … F_S^L q,  g_l(n) ⟩
    F_S = exp(-τ H),    F_r = (1 - exp(-τ H)) H⁻¹    (linalg/spectra.py)

All of it acts on the query; g_l(n) is a mean over members, whose stored gradients stay as they are, so a member of a
segment of C_l checkpoints weighs 1/C_l. The query is differentiated in the final model alone. All members have the
same random maps, so a projected query means the same to each.

**Units.** The training loss is the mean over M target tokens, and H its Fisher matrix: the Gram matrix of the texts'
summed gradients, GᵀG, over M. With eigenvalues of the sum, and τ / M for τ, a score is in nats: by how much the
query's objective changes when the text is left out. For τ → ∞ it is the influence ⟨q, (GᵀG)⁻¹ g⟩ in the last segment,
for τ → 0 the plain product times τ / M. No damping is needed: outside of what is kept the curvature is its mean.

**AdamW** divides gradients by √v, v their squares averaged over batches. Its step is θ ← θ - η P g with P = 1/√v, so
in coordinates P^-½ θ it is gradient descent on P^½ H P^½ with gradients P^½ g, as long as P stays. An elementwise P
would have to be applied to whole gradients before they are projected, and it is another one at every checkpoint. Here
P is one number p per module and segment, 1 over the root mean square of a batch's gradient, which commutes with all
else: τ becomes τ p. With B texts in a batch, N texts, and W numbers in a module's weight, the noise of batches gives
1/p² = N trace(GᵀG) / (M² B W), so τ p / M = τ √(B W / (N trace)): neither M nor the scale of gradients matters, as
they do not to Adam. What is left out: how P differs within a module, momentum (it delays, and sums to the same),
weight decay, clipping.

Normalisations divide by the self-influence in the index's own model, damped by half of the mean eigenvalue.
Source: Bae et al. 2024, "Training Data Attribution via Approximate Unrolled Differentiation" (arXiv:2405.12186).
"""

from dataclasses import dataclass

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.methods.lorif import FactoredMethod, SubspaceCurvature
from lorif_core.methods.method_settings import SourceConfig
from lorif_core.methods.protocol import Curvature


@dataclass(frozen=True)
class UnrolledCurvature(SubspaceCurvature):
    """What is kept of one checkpoint's curvature; functions of it are taken where all checkpoints meet."""

    def asked(self, built: CurvatureConfig, asked: ScoreConfig) -> CurvatureConfig:
        """What the index was built with.

        Raises:
            ConfigError: A damping or a rank is asked for.
        """
        given = (asked.subspace_rank, asked.damping_rule, asked.damping_ratio, asked.damping)
        if given != (None, None, None, None):
            raise ConfigError(
                "source has no damping: learning rates and steps of the training take its place, and all directions "
                "that are kept count. Leave damping and rank out, or ask an index of `--method lorif`."
            )
        return built


@dataclass(frozen=True)
class Source(FactoredMethod[SourceConfig]):
    """Factored gradients of one checkpoint, and its curvature in a subspace."""

    @property
    def curvature(self) -> Curvature:
        """The directions that are kept."""
        return UnrolledCurvature(self.settings.curvature, self.settings.seed)

    @property
    def label(self) -> str:
        """The factors, and the rank of the subspace."""
        return f"{super().label} r={self.settings.subspace_rank}"
