"""Which texts of a whole data set hold the longest spans of an answer, by their full-text index.

A text holds a span that counts exactly if it holds one of the answer's windows as a phrase (``verbatim``), so the
index names every such text without one being read. Where they are more than are read, longer windows are asked for: a
text that holds none of the windows of n words has no span of n words, so the texts with the longest spans are never
among those that are left out.
"""

from typing import NamedTuple

from lorif_core.corpus.fulltext import FullText
from lorif_core.corpus.verbatim import Wording


class Candidates(NamedTuple):
    """The texts of a data set that are worth reading."""

    rows: list[int]
    """Ascending row numbers."""

    num_holding: int
    """Texts in which the index finds a span that counts, those left out among them."""

    unread_words: int
    """No text that is left out holds a span of more words than this; 0: none is left out."""


def find_candidates(fulltext: FullText, wording: Wording, most: int) -> Candidates:
    """The texts with the longest spans.

    Args:
        fulltext: Index of all texts.
        wording: What was said.
        most: Texts that are read at most.
    """
    every = fulltext.rows_with_any(wording.windows())
    if len(every) <= most:
        return Candidates(every, len(every), 0)
    fewest, rows = _fewest_words(fulltext, wording, most)
    chosen = set(rows)
    # All texts with spans of so many words, then those with one word less in their order.
    shorter = fulltext.rows_with_any(wording.windows(fewest - 1))
    rows += [row for row in shorter if row not in chosen][: most - len(rows)]
    return Candidates(sorted(rows), len(every), fewest - 1)


def _fewest_words(fulltext: FullText, wording: Wording, most: int) -> tuple[int, list[int]]:
    """The fewest words of which so few texts hold a span that they are all read, and those texts."""
    low, high, found = 1, len(wording.words) + 1, list[int]()
    while low < high:
        middle = (low + high) // 2
        rows = fulltext.rows_with_any(wording.windows(middle))
        if len(rows) <= most:
            high, found = middle, rows
        else:
            low = middle + 1
    return high, found
