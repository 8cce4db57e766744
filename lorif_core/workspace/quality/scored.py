"""What is compared, by name, and its scores.

A candidate is named by an index id, or by a reference: `ekfac`, `kfac`, both with the output head
(`ekfac+head`, `kfac+head`), `graddot`, `cosine`, `repsim` (cosine of last hidden states), `bm25` (words in common) or
`tokens` (target tokens in common, each ÷ its frequency). A damping
ratio may follow after a colon: `ekfac:0.01`, `ix-0123456789ab:5`.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lorif_core.config import Normalisation, ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.methods.registry import REFERENCES


class CandidateName(NamedTuple):
    """What is to be scored."""

    name: str
    """Index id or reference."""

    damping_ratio: float | None

    @property
    def is_reference(self) -> bool:
        """Whether it keeps nothing on disk."""
        return self.name in REFERENCES

    def __str__(self) -> str:
        return self.name if self.damping_ratio is None else f"{self.name}:{self.damping_ratio:g}"


TOKENS = CandidateName("tokens", None)
"""The score that knows no model; partial LDS is given it."""


@dataclass(frozen=True)
class Scored:
    """A candidate's scores on a set of queries, and what they cost."""

    candidate: CandidateName
    label: str
    """For people: method and settings."""

    normalisation: Normalisation
    scores: Tensor
    """(Q, N), positive = supports."""

    codes_bytes: float | None
    """Bytes of codes, scales and numbers per example; None where nothing is kept."""

    total_bytes: float | None
    """Bytes of everything on disk ÷ N; None where nothing is kept."""

    build_seconds: float | None
    query_seconds: float
    """Per query, once query gradients are there; references: including their pass over the data."""

    asked: ScoreConfig | None = None
    """How an index was scored; None for a reference."""


def parse_candidate(text: str) -> CandidateName:
    """A candidate from its name and, after a colon, its damping ratio.

    Raises:
        ConfigError: The part after the colon is no positive number.
    """
    name, colon, ratio = text.partition(":")
    try:
        value = float(ratio) if colon else None
    except ValueError:
        value = 0.0
    if value is not None and not 0 < value < float("inf"):
        raise ConfigError(f"after the colon stands a damping ratio above 0, such as ekfac:0.01; got {text!r}.")
    return CandidateName(name, value)
