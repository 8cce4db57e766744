"""How well scores tell the positive items (planted, mislabelled, relevant) from the others."""

import torch
from torch import Tensor

from lorif_core.errors import DataError
from lorif_core.metrics.correlation import mean_ranks, top_positions
from lorif_core.shapes import Bool, Float


def auc(scores: Float[Tensor, " N"], is_positive: Bool[Tensor, " N"]) -> float:
    """Probability that a positive item scores above a negative one, ties counted half; 0.5 is chance.

    Raises:
        DataError: The lengths differ, or there is no positive or no negative item.
        NumericalError: A score is not finite.
    """
    _require_pairs(scores, is_positive)
    num_positive = int(is_positive.sum())
    num_negative = len(is_positive) - num_positive
    if num_positive == 0 or num_negative == 0:
        raise DataError(
            f"an AUC needs positive and negative items, got {num_positive} and {num_negative}: both must be there."
        )
    wins = float(mean_ranks(scores)[is_positive].sum()) - num_positive * (num_positive + 1) / 2
    return wins / (num_positive * num_negative)


def precision_at_k(scores: Float[Tensor, " N"], is_positive: Bool[Tensor, " N"], k: int) -> float:
    """Share of positive items among the k highest scores; equal scores rank in order of position.

    Raises:
        ConfigError: k is not between 1 and N.
        DataError: The lengths differ.
        NumericalError: A score is not finite.
    """
    _require_pairs(scores, is_positive)
    return float(is_positive[top_positions(scores, k)].double().mean())


def _require_pairs(scores: Tensor, is_positive: Tensor) -> None:
    if scores.ndim != 1 or scores.shape != is_positive.shape or is_positive.dtype != torch.bool:
        raise DataError(
            "every score needs one true or false beside it, got shapes "
            f"{tuple(scores.shape)} and {tuple(is_positive.shape)} ({is_positive.dtype})."
        )
