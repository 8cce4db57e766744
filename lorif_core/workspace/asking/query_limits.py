"""How a file of queries is scored: in as few passes over the index as their memory allows. No torch is imported."""

from dataclasses import dataclass
from pathlib import Path

from lorif_core.config import require

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class QueryLimits:
    """What the queries of one pass may take, and what may be left out of them."""

    query_memory_mb: float = 1000
    """Memory for the queries of one pass, in MB; more queries take more passes, which is said. Beside it stand the
    scores in work (up to about 300 MB) and what takes the gradients of a few queries at a time."""

    query_tolerance: float | None = None
    """Share of each query's norm, over all modules, that may be left out with its weakest directions: larger ones
    make a file of queries faster. Unset: 1e-5, which is below the rounding of what is stored."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require(self.query_memory_mb > 0, f"query_memory_mb must be above 0, got {self.query_memory_mb}.")
        require(
            self.query_tolerance is None or 0 < self.query_tolerance < 1,
            f"query_tolerance must be above 0 and below 1, got {self.query_tolerance}: leave it unset for exact "
            "scores.",
        )


USUAL_LIMITS = QueryLimits()


@dataclass(frozen=True)
class QueryFile:
    """Queries of a file."""

    path: Path

    ends: bool = False
    """Whether the completions end their texts: their end tokens are explained, too. Empty ones always do."""

    limits: QueryLimits = USUAL_LIMITS

    @classmethod
    def of(cls, given: "str | Path | QueryFile") -> "QueryFile":
        """What a person gave; completions are taken as they stand unless it says otherwise."""
        return given if isinstance(given, QueryFile) else cls(Path(given))


@dataclass(frozen=True)
class PassReport:
    """How the queries of a file were scored."""

    num_passes: int
    """Over the index."""

    query_bytes: int
    """Most that the queries of one pass took."""

    left_out: float
    """Largest share of a query's norm that was left out."""

    tolerance: float | None
    """That was asked for; None: what is below rounding."""

    refined: str | None = None
    """How the model's own curvature refined the queries, in words; None: it did not."""

    @property
    def sentence(self) -> str:
        """For people."""
        passes = "one pass" if self.num_passes == 1 else f"{self.num_passes:,} passes"
        told = f"{passes} over the index, the queries of a pass in {max(self.query_bytes / MEGABYTE, 0.1):,.1f} MB"
        told += "" if self.refined is None else f"; {self.refined}"
        if self.tolerance is None:
            return told
        return f"{told}; not exact: up to {self.left_out:.2%} of a query's norm was left out"
