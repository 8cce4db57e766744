"""The cosine of whole gradients: their inner product, divided by both norms."""

from collections.abc import Sequence
from typing import ClassVar

from lorif_core.config import Normalisation
from lorif_core.methods.references.whole_gradients import WholeGradients


class Cosine(WholeGradients):
    """Normalised by itself."""

    label: ClassVar[str] = "cosine"

    def normalisations(self, asked: Sequence[Normalisation]) -> Sequence[Normalisation]:
        """Its own."""
        return ("unit",)
