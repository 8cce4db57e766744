"""Texts made wrong on purpose, and whether scores find them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.data.example import Example
from lorif_core.errors import ConfigError, DataError
from lorif_core.metrics.detection import auc, precision_at_k
from lorif_core.shapes import Bool, Float


@dataclass(frozen=True)
class MislabelReport:
    """How well a score, high for suspicious texts, finds the corrupted ones."""

    auc: float
    """Probability that a corrupted text scores above an intact one; 0.5 is chance."""

    precision: Mapping[int, float]
    """k → share of corrupted texts among the k highest scores."""

    share_corrupted: float
    """Precision of a random ranking."""


def swap_completions(
    examples: Sequence[Example], fraction: float, seed: int
) -> tuple[list[Example], Bool[Tensor, " N"]]:
    """Exchange completions among a random fraction of the examples, so that none of these keeps its wording.

    Returns:
        The examples in their order, with their ids, and which ones were corrupted.

    Raises:
        ConfigError: ``fraction`` does not pick at least two examples, or picks more than there are.
        DataError: An example has no completion, or too many of those picked share one.
    """
    if any(example.completion is None for example in examples):
        raise DataError("only prompts with completions can be corrupted by swapping, got texts or chats among them.")
    size = round(fraction * len(examples)) if 0 < fraction <= 1 else 0
    if size < 2:
        raise ConfigError(
            f"swapping needs at least 2 examples and a fraction between 0 and 1, got {fraction} of {len(examples)}."
        )
    picked = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))[:size].tolist()
    completions = [examples[row].completion for row in picked]
    most_common, most = Counter(completions).most_common(1)[0]
    if 2 * most > size:
        raise DataError(
            f"no swap gives every picked example another completion: {most} of {size} share "
            f"{str(most_common)[:40]!r}. Take another fraction or seed, or more varied texts."
        )
    # With equal completions side by side, a shift by the size of the largest group leaves every group.
    first = {completion: place for place, completion in reversed(list(enumerate(completions)))}
    grouped = sorted(range(size), key=lambda place: first[completions[place]])
    changed = list(examples)
    for place, giver in zip(grouped, grouped[most:] + grouped[:most], strict=True):
        changed[picked[place]] = examples[picked[place]]._replace(completion=completions[giver])
    is_corrupted = torch.zeros(len(examples), dtype=torch.bool)
    is_corrupted[picked] = True
    return changed, is_corrupted


def mislabel_report(
    scores: Float[Tensor, " N"], is_corrupted: Bool[Tensor, " N"], ks: Sequence[int]
) -> MislabelReport:
    """AUC and precision at each k of a score that is high for suspicious texts (such as self-influence).

    Raises:
        ConfigError: A k is not between 1 and N.
        DataError: The lengths differ, or nothing or everything is corrupted.
        NumericalError: A score is not finite.
    """
    return MislabelReport(
        auc(scores, is_corrupted),
        {k: precision_at_k(scores, is_corrupted, k) for k in ks},
        float(is_corrupted.double().mean()),
    )
