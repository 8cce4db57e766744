"""K-FAC: ⟨(A + λ_A)⁻¹ G_q (S + λ_S)⁻¹, G_n⟩, λ a ratio of each mean eigenvalue.

Source: K-FAC (arXiv:1503.05671).
"""

from collections.abc import Sequence
from typing import ClassVar

from lorif_core.config import Normalisation
from lorif_core.linalg.metric import Metric
from lorif_core.linalg.roots import inverse_root
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.references.reference import Curvatures


class Kfac:
    """The Kronecker factorisation."""

    label: ClassVar[str] = "kfac uncompressed"
    needs_moments: ClassVar[bool] = True
    needs_bases: ClassVar[bool] = False

    def metric(self, module_name: str, fitted: Curvatures, ratio: float) -> Metric:
        """The damped inverse of one module."""
        return kfac_metric(fitted.moments[module_name], ratio, what=module_name)

    def normalisations(self, asked: Sequence[Normalisation]) -> Sequence[Normalisation]:
        """All."""
        return asked


def kfac_metric(moments: Moments, ratio: float, *, what: str) -> Metric:
    """(A + λ_A)⁻¹ ⊗ (S + λ_S)⁻¹ for one module.

    Args:
        moments: Of the module.
        ratio: Damping of each side over its mean eigenvalue.
        what: Name of the module, for messages.
    """
    return Metric(
        inverse_root(moments.inputs, moments.num_tokens, ratio, what=what).float(),
        inverse_root(moments.output_grads, moments.num_tokens, ratio, what=what).float(),
    )
