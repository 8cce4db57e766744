"""The method that the settings name."""

from lorif_core.config import IndexConfig
from lorif_core.methods.logra import Logra
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.protocol import AttributionMethod


def choose_method(settings: IndexConfig) -> AttributionMethod:
    """The attribution method of an index."""
    if settings.method == "logra":
        return Logra()
    rank = 0 if settings.method == "graddot" else settings.subspace_rank
    return Lorif(factor_rank=settings.factor_rank, subspace_rank=rank, seed=settings.factors.seed)
