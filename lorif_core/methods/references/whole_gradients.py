"""The plain inner product of whole gradients, ⟨G_q, G_n⟩: GradDot with nothing projected, factored or rounded.

Source: TracIn (arXiv:2002.08484).
"""

from collections.abc import Sequence
from typing import ClassVar

from lorif_core.config import Normalisation
from lorif_core.linalg.metric import Metric
from lorif_core.methods.references.reference import Curvatures


class WholeGradients:
    """No curvature."""

    label: ClassVar[str] = "graddot uncompressed"
    needs_moments: ClassVar[bool] = False
    needs_bases: ClassVar[bool] = False

    def metric(self, module_name: str, fitted: Curvatures, ratio: float) -> Metric:
        """The identity."""
        return Metric()

    def normalisations(self, asked: Sequence[Normalisation]) -> Sequence[Normalisation]:
        """All."""
        return asked
