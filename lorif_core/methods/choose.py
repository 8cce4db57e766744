"""The method that the settings name."""

from collections.abc import Mapping

from lorif_core.config import IndexConfig
from lorif_core.methods.logra import Logra
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.protocol import AttributionMethod


def choose_method(settings: IndexConfig, ranks: Mapping[str, int] | None = None) -> AttributionMethod:
    """The attribution method of an index.

    Args:
        settings: Of the index.
        ranks: Factor rank of every module, where a budget decided it.
    """
    if settings.method == "logra":
        return Logra()
    rank = 0 if settings.method == "graddot" else settings.subspace_rank
    return Lorif(settings.factors.factor_rank or 1, rank, settings.factors.seed, ranks=ranks or {})
