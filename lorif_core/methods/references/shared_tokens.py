"""Shared target tokens ÷ their frequency: what a score reaches that knows no model at all.

    score(q, n) = Σ over tokens t of c_q(t) · c_n(t) / f(t)

c counts the targets of a text that are t, each with the weight of its sequence; f(t) is the number of train texts
with the target t. What a method knows beyond shared completions is its partial LDS given this score.
"""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lorif_core.data.sequences import EncodedText, sequences_of
from lorif_core.shapes import Float


class SharedTokens:
    """Compares what is to be predicted, token by token."""

    label: ClassVar[str] = "shared tokens"

    def score_tokens(self, queries: Sequence[EncodedText], texts: Sequence[EncodedText]) -> Float[Tensor, "Q n"]:
        """Weighted number of pairs of equal target tokens."""
        return shared_token_scores(queries, texts)


def shared_token_scores(queries: Sequence[EncodedText], texts: Sequence[EncodedText]) -> Float[Tensor, "Q n"]:
    """The score of every text on every query, in float64; 0 where they share no target token."""
    asked, kept = ([_target_counts(text) for text in side] for side in (queries, texts))
    frequency = Counter(token for counts in kept for token in counts)
    column = {token: place for place, token in enumerate(sorted({token for counts in asked for token in counts}))}
    weighted = torch.zeros(len(asked), len(column), dtype=torch.float64)
    for row, counts in enumerate(asked):
        for token, count in counts.items():
            weighted[row, column[token]] = count / max(1, frequency[token])
    scores = torch.zeros(len(asked), len(kept), dtype=torch.float64)
    for place, counts in enumerate(kept):
        shared = [token for token in counts if token in column]
        numbers = torch.tensor([counts[token] for token in shared], dtype=torch.float64)
        scores[:, place] = weighted[:, [column[token] for token in shared]] @ numbers
    return scores


def _target_counts(text: EncodedText) -> dict[int, float]:
    """How often each token is a target of a text, weighted as the losses of its sequences are."""
    counts = dict[int, float]()
    for one in sequences_of(text):
        for token, is_target in zip(one.input_ids, one.is_target, strict=True):
            if is_target:
                counts[token] = counts.get(token, 0.0) + one.weight
    return counts
