"""How much of what should be found stands at the top of a ranking."""

from collections.abc import Sequence, Set


def recall_at_k(ranking: Sequence[str], relevant: Set[str], k: int) -> float:
    """Share of the relevant ids among the first k, in [0, 1].

    Raises:
        ValueError: Nothing is relevant, so there is nothing to recall.
    """
    if not relevant:
        raise ValueError("recall needs at least one relevant id, got none")
    return len(relevant & set(ranking[:k])) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], relevant: Set[str]) -> float:
    """1 ÷ rank of the first relevant id; 0 if none is ranked."""
    return next((1 / rank for rank, found in enumerate(ranking, start=1) if found in relevant), 0.0)
