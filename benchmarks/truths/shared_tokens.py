"""The score that knows no model: target tokens that a query and a text share, rare ones counting more.

    score(q, n) = Σ over tokens t of  count(t, q) · count(t, n) / number of texts with t among their targets

A truth on which it does well cannot tell attribution from shared words.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lorif_core.data.sequences import EncodedText, sequences_of
from lorif_core.shapes import Float


def score_shared_tokens(
    queries: Sequence[EncodedText], texts: Sequence[EncodedText], num_ids: int
) -> Float[Tensor, "Q N"]:
    """Shared target tokens over how many texts have them."""
    asked, counts = _target_counts(queries, num_ids), _target_counts(texts, num_ids)
    num_texts = (counts > 0).sum(0).clamp_min(1)  # (V,)
    return (asked / num_texts) @ counts.T


def mean_targets(texts: Sequence[EncodedText]) -> float:
    """Target tokens per text."""
    return sum(sum(one.is_target) for text in texts for one in sequences_of(text)) / len(texts)


def _target_counts(texts: Sequence[EncodedText], num_ids: int) -> Tensor:
    counts = torch.zeros(len(texts), num_ids)  # (N, V)
    for row, text in enumerate(texts):
        targets = [
            token
            for one in sequences_of(text)
            for token, is_target in zip(one.input_ids, one.is_target, strict=True)
            if is_target
        ]
        counts[row] = torch.bincount(torch.tensor(targets, dtype=torch.int64), minlength=num_ids)
    return counts
