"""Which hits of a list a person wants to see. Filters hide; they never change ranks or scores."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from lorif_core.corpus.normalising import comparable
from lorif_core.errors import QueryError
from lorif_core.views.hits import Hit

MISSING = "(missing)"
"""Name of no value."""


@dataclass(frozen=True)
class HitFilter:
    """What a hit must be; empty parts restrict nothing."""

    find: str = ""
    """Characters that its text holds, whatever their case and Unicode form; a regular expression between slashes:
    ``/syd.*y/``."""

    sources: tuple[str, ...] = ()
    """Any of these sources."""

    statuses: tuple[str, ...] = ()
    """Any of kept, flagged, excluded."""

    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Metadata columns, each with the values of which a hit has one; see ``MISSING``."""

    reasons: tuple[str, ...] = ()
    """Any of these reasons of a decision."""

    smallest: float | None = None
    """Least score."""

    largest: float | None = None
    """Greatest score."""

    @property
    def is_active(self) -> bool:
        """Whether it can hide anything."""
        return self != HitFilter()


def filter_hits(
    hits: Sequence[Hit],
    chosen: HitFilter,
    status_of: Mapping[str, str],
    reason_of: Mapping[str, str | None] = MappingProxyType({}),
) -> list[Hit]:
    """The hits that pass, in their order.

    Args:
        hits: Of one list.
        chosen: What they must be.
        status_of: Train id → status; who is missing is kept.
        reason_of: Train id → reason of the status.

    Raises:
        QueryError: The regular expression cannot be read.
    """
    matches = _matches([hit.text for hit in hits], chosen.find)
    return [
        hit
        for hit, is_match in zip(hits, matches, strict=True)
        if is_match
        and (not chosen.sources or hit.source in chosen.sources)
        and (not chosen.statuses or status_of.get(hit.train_id, "kept") in chosen.statuses)
        and (not chosen.reasons or reason_of.get(hit.train_id) in chosen.reasons)
        and (chosen.smallest is None or hit.score >= chosen.smallest)
        and (chosen.largest is None or hit.score <= chosen.largest)
        and all(value_of(hit, column) in values for column, values in chosen.values if values)
    ]


def value_of(hit: Hit, column: str) -> str:
    """A hit's metadata value as filters name it."""
    value = hit.metadata.get(column)
    return MISSING if value is None else str(value)


def _matches(texts: list[str], find: str) -> list[bool]:
    if len(find) > 2 and find.startswith("/") and find.endswith("/"):
        try:  # polars' expressions take linear time, whatever the pattern
            in_nfc = [unicodedata.normalize("NFC", text) for text in texts]
            pattern = unicodedata.normalize("NFC", find[1:-1])
            return pl.Series(in_nfc, dtype=pl.String).str.contains(f"(?i){pattern}").to_list()
        except pl.exceptions.ComputeError as error:
            raise QueryError(
                f"{find!r} is no regular expression: correct it, or leave out the slashes to find the characters."
            ) from error
    wanted = comparable(find)
    return [wanted in comparable(text) if wanted.strip() else find in text for text in texts]


def statuses_of(states: pl.DataFrame) -> dict[str, tuple[str, str | None]]:
    """Train id → (status, reason) of every example with a decision, from ``Workspace.states``."""
    return {
        one: (status, reason) for one, status, reason in states.select("train_id", "status", "reason").iter_rows()
    }
