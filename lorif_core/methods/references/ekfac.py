"""EK-FAC: Q_A [(Q_Aᵀ G_q Q_S) / (Λ + λ)] Q_Sᵀ with Λ = E_n[(Q_Aᵀ G_n Q_S)²], λ a ratio of mean Λ.

Source: EK-FAC (arXiv:1806.03884), for influence arXiv:2308.03296.
"""

from collections.abc import Sequence
from typing import ClassVar

from lorif_core.config import Normalisation
from lorif_core.errors import NumericalError
from lorif_core.linalg.metric import Eigenbasis, Metric
from lorif_core.methods.references.reference import Curvatures


class Ekfac:
    """The eigenvalue-corrected Kronecker factorisation."""

    label: ClassVar[str] = "ekfac uncompressed"
    needs_moments: ClassVar[bool] = True
    needs_bases: ClassVar[bool] = True

    def metric(self, module_name: str, fitted: Curvatures, ratio: float) -> Metric:
        """The damped inverse of one module."""
        return ekfac_metric(fitted.bases[module_name], ratio)

    def normalisations(self, asked: Sequence[Normalisation]) -> Sequence[Normalisation]:
        """All."""
        return asked


def ekfac_metric(basis: Eigenbasis, ratio: float) -> Metric:
    """The damped inverse of EK-FAC for one module; ``ratio`` is the damping over the mean of Λ."""
    if not float(basis.moments.mean()) > 0:
        raise NumericalError(
            "a module's gradients are all zero, so it has no curvature. Exclude it with `--exclude`."
        )
    return Metric(basis.inputs, basis.output_grads, 1 / (basis.moments + ratio * basis.moments.mean()))
