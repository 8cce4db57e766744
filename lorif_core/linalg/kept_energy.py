"""How much of a gradient its stored form keeps: 1 - ‖G̃ - Ĝ‖² / ‖G̃‖² = (2⟨G̃, Ĝ⟩ - ‖Ĝ‖²) / ‖G̃‖².

Ĝ is what is read back, truncated and rounded. Of a projection onto some directions that is ‖Ĝ‖² / ‖G̃‖²; rounding
makes Ĝ no projection, and then the share is less, and below 0 where Ĝ is further from G̃ than zero is. Scores may rank
well with little of it: they need directions, not lengths.
"""

from torch import Tensor

from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.shapes import Float


def kept_as_stored(gradient: ProjectedGradient, stored: Factors | DenseGradient | Columns) -> Float[Tensor, " B"]:
    """2⟨G̃, Ĝ⟩ - ‖Ĝ‖² of every gradient of a batch, in float64, on the stored form's device.

    Args:
        gradient: G̃, multiplied out or not; it is not multiplied out for this, unless the stored form is whole.
        stored: Ĝ, as it is read back.
    """
    lengths = stored.squared_norm().double()
    return 2 * _products(gradient, stored).to(lengths) - lengths


def _products(gradient: ProjectedGradient, stored: Factors | DenseGradient | Columns) -> Tensor:
    """⟨G̃, Ĝ⟩, (B,)."""
    device = gradient.device
    if isinstance(stored, Factors):
        left = gradient.apply(stored.right.mT.to(device))  # (B, d_in, c)
        return (left * stored.left.mT.to(device)).sum((1, 2))
    if isinstance(stored, Columns):
        return (gradient.columns(stored.places.to(device)) * stored.left.mT.to(device)).sum((1, 2))
    return (gradient.dense() * stored.matrix.to(device)).sum((1, 2))
