"""What a fast search says of itself, in the same words wherever its list is read."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class FastSearch:
    """What a list rests on whose texts were found without scoring all of them."""

    share_read: float
    """Bytes of stored gradients that went into scores, over all that are stored."""

    num_scored_in_full: int
    """Texts that were scored exactly: a sample, and those that could be on the list."""

    sample_size: int
    """Texts by which z and sums over all texts are estimated."""

    list_length: int
    """Of the longer list, as it was searched for."""

    expected_recall: float
    """Share of the exact list that is expected to be on this one, measured on the sample; of the worse list."""

    num_hits: int
    """Texts above z = 6 that were found, by the estimated spread."""

    expected_hit_recall: float | None
    """Share of all texts above z = 6 that is expected to be among them; None where there are none."""

    ceiling: float | None
    """No text with a larger score was missed, whatever the sample says; None: all were scored in full."""

    is_proved: bool
    """Whether nothing that was not scored in full can exceed the lists' last scores: then they are the exact ones."""

    def sentences(self) -> list[str]:
        """Short ones: what was read, what is proved or expected, what is estimated."""
        read = (
            f"fast search: {self.share_read:.0%} of the stored bytes were read, {self.num_scored_in_full:,} texts "
            "scored in full"
        )
        estimated = f"z and sums over all texts are estimated from a sample of {self.sample_size:,}"
        return [read, "proved to be the exact list" if self.is_proved else self._expected(), estimated]

    def _expected(self) -> str:
        said = f"expected recall {_percent(self.expected_recall)} of the list of {self.list_length}"
        if self.expected_hit_recall is not None:
            said += f" and {_percent(self.expected_hit_recall)} of texts above z = 6"
        beyond = "" if self.ceiling is None else f"; no text with a score above {self.ceiling:.3g} was missed"
        return f"not proved to be the exact list: {said}, measured on a sample{beyond}"


def _percent(share: float) -> str:
    """Rounded down: what is not all does not read as all."""
    return f"{math.floor(share * 1000) / 10:.1f} %"


@dataclass(frozen=True)
class MissingParts:
    """What an answer lacks because no worker could read it."""

    parts: dict[int, int]
    """Number of each missing part, and how many texts it has."""

    num_parts: int
    """Of the index."""

    num_texts: int
    """Of the index."""

    why: str
    """Why the first one could not be read."""

    @property
    def num_missing(self) -> int:
        """Texts of the missing parts."""
        return sum(self.parts.values())

    @property
    def sentence(self) -> str:
        """How many, and why."""
        return (
            f"not all texts: {len(self.parts):,} of {self.num_parts:,} parts could not be read, so "
            f"{self.num_missing:,} of {self.num_texts:,} texts are missing; "
            f"part {min(self.parts)}: {self.why.rstrip('.')}"
        )

    def joined(self, other: "MissingParts | None") -> "MissingParts":
        """What lacks in one of two passes over the same index."""
        return self if other is None else replace(self, parts=self.parts | other.parts)
