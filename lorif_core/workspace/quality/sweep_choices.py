"""What a sweep combines: several values for each choice that is made when an index is asked."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypedDict

from lorif_core.config import Normalisation, ScoreConfig
from lorif_core.errors import ConfigError


class SweepChoices(TypedDict, total=False):
    """Values to try by choice; one that is not named keeps the value that ``ScoreConfig`` gives it."""

    damping_ratios: Sequence[float | None]
    """None is the index's own."""

    subspace_ranks: Sequence[int | None]
    """At most the stored rank; None is all of it."""

    query_ranks: Sequence[int | None]
    """Singular directions kept of each preconditioned query matrix; None is all."""

    refines: Sequence[int]
    """Refining steps of half-whitened indexes."""

    refine_ratios: Sequence[float]
    """Damping of the refinement over the mean self-influence."""

    normalisations: Sequence[Normalisation]
    """Each is a line of its own."""


FIELD_OF: Mapping[str, str] = {
    "damping_ratios": "damping_ratio",
    "subspace_ranks": "subspace_rank",
    "query_ranks": "query_rank",
    "refines": "refine",
    "refine_ratios": "refine_ratio",
    "normalisations": "normalisation",
}
"""Choice → the field of ``ScoreConfig`` that takes one of its values."""


def combinations_of(choices: SweepChoices) -> list[ScoreConfig]:
    """Settings for every combination of the values.

    Raises:
        ConfigError: There is no such choice, or no such value.
    """
    given: dict[str, Sequence[Any]] = dict(choices)  # pyright: ignore[reportAssignmentType]
    unknown = given.keys() - FIELD_OF.keys()
    if unknown:
        raise ConfigError(f"a sweep combines {', '.join(FIELD_OF)}, got {min(unknown)!r}.")
    named = [choice for choice in FIELD_OF if choice in given]
    fields = [FIELD_OF[choice] for choice in named]
    return [
        ScoreConfig(**dict(zip(fields, values, strict=True)))
        for values in product(*(given[choice] for choice in named))
    ]
