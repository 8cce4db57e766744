"""How long the spans of an answer can be that each text of a data set holds, by the full-text index alone.

A text holds a span that counts exactly if it holds one of the answer's windows as a phrase (``verbatim``), so the
index names every such text without one being read. It also bounds the span: let the windows be [s₁, b₁), [s₂, b₂), …
with ascending ends. A span of the text holds a run of windows i … j that the text holds all, and neither window i − 1
nor j + 1, so it begins behind s_(i−1) and ends before b_(j+1): it has at most b_(j+1) − s_(i−1) − 2 words (with
s₀ = −1, and behind the last window one word more than the answer has). The longest such run bounds the text. That the
windows of a run stand in the text apart from each other is why it is a bound: the text itself says how long the span
is.
"""

import numpy as np
from numpy.typing import NDArray

from lorif_core.corpus.fulltext import FullText
from lorif_core.corpus.verbatim import Wording


def longest_possible(fulltext: FullText, wording: Wording, num_rows: int) -> NDArray[np.int32]:
    """For each row, the most words that a span of it can have; 0 where it holds none that counts, (N,).

    Args:
        fulltext: Index of all texts.
        wording: What was said.
        num_rows: N.
    """
    windows = wording.windows()
    begins = [-1, *(first for first, _ in windows)]
    ends = [*(behind for _, behind in windows), len(wording.words) + 1]
    bounds, begun = np.zeros(num_rows, np.int32), np.zeros(num_rows, np.int32)
    last = np.full(num_rows, -2, np.int32)
    phrases = (wording.words[first:behind] for first, behind in windows)
    for place, rows in enumerate(fulltext.iter_rows_with(phrases)):
        is_run = last[rows] == place - 1
        begun[rows] = np.where(is_run, begun[rows], begins[place])
        last[rows] = place
        bounds[rows] = np.maximum(bounds[rows], ends[place + 1] - begun[rows] - 2)
    return bounds
