"""Batches by token budget: sorted by length so that little is padding, order restored by the caller."""

from collections.abc import Sequence
from typing import Literal

import torch

from lorif_core.data.encoding import EncodedExample
from lorif_core.shapes import TokenBatch


def plan_batches(lengths: Sequence[int], tokens_per_batch: int, boundaries: Sequence[int] = ()) -> list[list[int]]:
    """Positions grouped so that (batch size) × (longest sequence) stays within the budget.

    Longest first, so that the largest batch, which decides the peak memory, comes first. A
    sequence longer than the budget is a batch of its own.

    Args:
        lengths: Of the sequences, in tokens.
        tokens_per_batch: Padding included.
        boundaries: Lengths above which a model computes otherwise; a batch lies on one side of each.
    """
    order = sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))
    batches: list[list[int]] = []
    for position in order:
        longest = lengths[batches[-1][0]] if batches else 0
        fits = batches and (len(batches[-1]) + 1) * longest <= tokens_per_batch
        if fits and not any(lengths[position] <= boundary < longest for boundary in boundaries):
            batches[-1].append(position)
        else:
            batches.append([position])
    return batches


def pad_batch(
    examples: Sequence[EncodedExample], pad_id: int, *, padding_side: Literal["left", "right"] = "right"
) -> TokenBatch:
    """Stack sequences, padded to the longest; padding is neither attended to nor a target."""
    length = max(len(example.input_ids) for example in examples)
    ids = torch.full((len(examples), length), pad_id)
    attention = torch.zeros(len(examples), length, dtype=torch.long)
    targets = torch.zeros(len(examples), length, dtype=torch.bool)
    for row, example in enumerate(examples):
        used = len(example.input_ids)
        place = slice(0, used) if padding_side == "right" else slice(length - used, length)
        ids[row, place] = torch.tensor(example.input_ids)
        attention[row, place] = 1
        targets[row, place] = torch.tensor(example.is_target)
    return TokenBatch(ids, attention, targets)
