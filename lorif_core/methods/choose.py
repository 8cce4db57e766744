"""The method that the settings name."""

from lorif_core.config import IndexConfig
from lorif_core.methods.logra import Logra
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.protocol import AttributionMethod


def choose_method(settings: IndexConfig) -> AttributionMethod:
    """The attribution method of an index."""
    factors, curvature = settings.factors, settings.curvature
    if settings.method == "logra":
        return Logra()
    rank = 0 if settings.method == "graddot" else curvature.subspace_rank
    return Lorif(factor_rank=factors.factor_rank, subspace_rank=rank, seed=factors.seed)
