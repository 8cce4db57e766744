"""What a person chose to see: plain values, without SQL."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from lorif_core.corpus.conditions import Condition
from lorif_core.errors import QueryError

MAX_TYPED = 1_000
"""Longest text of a search, in characters."""

SearchMode = Literal["words", "contains", "regex"]
Status = Literal["kept", "flagged", "excluded"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""What an example can be."""

Value = str | bool | int | float | Decimal | date | time | timedelta
"""A value of a column; a ``date`` may be a ``datetime``, which has a zone where the column's times have one."""

Number = int | float | Decimal | date | timedelta
"""An end of a range."""


def check_typed(text: str) -> None:
    """Refuse a text that no file or database holds.

    Raises:
        QueryError: It has a NUL or half of a surrogate pair.
    """
    for column, character in enumerate(text, start=1):
        if character == "\0" or unicodedata.category(character) == "Cs":
            raise QueryError(
                f"a search or filter is plain text, the character at column {column} is {character!r}: remove it."
            )


@dataclass(frozen=True)
class TextSearch:
    """A search in the texts; all that was typed is meant literally, but for what its mode says."""

    mode: SearchMode
    """``words``: all of the words, "phrases" and prefixes*, without accents; ``contains``: the characters, in
    either case; both in the form of ``normalising``. ``regex``: an RE2 expression over the text in NFC, upper and
    lower case differ unless it begins with ``(?i)``, which folds single letters only (ß is not ss)."""

    text: str
    """As typed."""

    def __post_init__(self) -> None:
        if len(self.text) > MAX_TYPED:
            raise QueryError(
                f"a search has at most {MAX_TYPED:,} characters, this one has {len(self.text):,}: shorten it."
            )
        check_typed(self.text)


@dataclass(frozen=True)
class Range:
    """Numbers, or times, from ``minimum`` to ``maximum``; NaN is in no range."""

    minimum: Number | time | None = None
    """Smallest number, itself included; None: no limit."""

    maximum: Number | time | None = None
    """Largest number; None: no limit."""

    includes_maximum: bool = True
    """Whether ``maximum`` itself is in the range."""

    includes_missing: bool = False
    """Whether examples without a number are chosen too."""


@dataclass(frozen=True)
class Filter:
    """Which examples to show: those for which everything that is set holds. The empty filter shows all."""

    choices: Mapping[str, tuple[Value | None, ...] | Range] = field(default_factory=dict)
    """Column → chosen values, None for a missing one, or a range of numbers. A column without a choice, or with
    an empty one, restricts nothing."""

    search: TextSearch | None = None
    """What the text must match."""

    statuses: frozenset[Status] = frozenset()
    """Decisions to show; none chosen restricts nothing. An example without a decision is kept."""

    where: Condition | None = None
    """A condition from ``parse_where``."""

    zone: str | None = None
    """IANA name of the person's time zone: what typed times without a zone are meant in, where a column holds
    instants; None: that of this process."""


@dataclass(frozen=True)
class SortKey:
    """One key of an order. Missing values and NaN come last in both directions."""

    by: str = ""
    """Name of the column, or column and path of a field of its objects (``meta.year``), or id of the query whose
    score is meant; unused for ``row`` and ``relevance``."""

    of: Literal["column", "score", "relevance", "row"] = "column"
    """What is compared: ``relevance`` is the BM25 of a search for words, ``row`` the order of import."""

    descending: bool = False
    """Largest first."""


@dataclass(frozen=True)
class SideTables:
    """What other parts know about the examples, by ``train_id``; at most one row for each."""

    decisions: pl.DataFrame | None = None
    """Columns ``train_id`` and ``status``, as available ``reason``, ``actor``, ``labels`` (list of text) and
    ``has_conflict``; only examples about which something was decided. None: nothing was."""

    scores: Mapping[str, pl.DataFrame | Path] = field(default_factory=dict)
    """Query id → scores of all examples that were scored (not a top list, or ranks mean nothing), as a frame or
    Parquet file with columns ``train_id`` or ``example_id``, ``score``, and ``query_id`` where it holds several."""

    among: pl.DataFrame | None = None
    """Column ``row`` of the only examples that may be shown, each once, such as those of a cluster; None: all may."""


EVERYTHING = Filter()
NOTHING_BESIDE = SideTables()
