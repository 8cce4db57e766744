"""What is differentiated: one number per example, in nats, summed over its target tokens.

A mean over tokens or over the batch would make scores depend on how examples are batched.
``loss`` is the cross-entropy L. ``margin`` is TRAK's output function with the sign of a loss,
-(log p - log(1 - p)) = L + log(1 - e^(-L)) with p = e^(-L) the probability of the whole
completion, so that a positive score again means "supports the completion". ``contrast``, the
loss of completion A minus that of completion B, is linear: its gradient is the difference of
two ``loss`` gradients, taken where both are at hand.
Source: docs/explanation/design.md §2.2; TRAK (arXiv:2303.14186), section 3.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lorif_core.errors import ConfigError, NumericalError
from lorif_core.shapes import Bool, Float, Int

ExampleObjective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits (B, K, vocabulary), labels (B, K), is_target (B, K)) → (B,): one number per example from
the logits at K positions, the tokens that follow these positions, and which of them are targets."""

_IGNORED = -100

NUMBERS_AT_ONCE = 1 << 22
"""Logits that are in float32 at a time (16 MiB)."""


def summed_cross_entropy(
    logits: Float[Tensor, "B K vocabulary"], labels: Int[Tensor, "B K"], is_target: Bool[Tensor, "B K"]
) -> Float[Tensor, " B"]:
    """Cross-entropy of each example's target tokens, summed, in nats and at least float32."""
    return token_losses(logits, labels, is_target).sum(1)


def token_losses(
    logits: Float[Tensor, "B K vocabulary"], labels: Int[Tensor, "B K"], is_target: Bool[Tensor, "B K"]
) -> Float[Tensor, "B K"]:
    """Cross-entropy of every target token in nats, 0 elsewhere."""
    wanted = labels.masked_fill(~is_target, _IGNORED)
    losses: Tensor = _TokenLosses.apply(logits.flatten(0, 1), wanted.flatten())  # pyright: ignore - torch has no type
    return losses.view(labels.shape)


class _TokenLosses(torch.autograd.Function):
    """Cross-entropy of rows of logits (n, vocabulary), whose gradient softmax - onehot is of their dtype.

    A few rows are in float32 at a time, there and back: with a vocabulary of 128,000, a batch in float32 with its
    logarithms and gradients outweighs the model. The gradient can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, wanted: Tensor) -> Tensor:
        """Losses (n,); 0 where nothing is wanted."""
        ctx.save_for_backward(logits, wanted)
        wide = torch.promote_types(logits.dtype, torch.float32)
        losses = torch.empty(len(logits), dtype=wide, device=logits.device)
        for rows in _few_rows(logits):
            losses[rows] = torch.nn.functional.cross_entropy(
                logits[rows].to(wide), wanted[rows], ignore_index=_IGNORED, reduction="none"
            )
        return losses

    @staticmethod
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Of the losses' gradient (n,)."""
        logits, wanted = ctx.saved_tensors
        weights = weights.masked_fill(wanted == _IGNORED, 0)[:, None]
        places = wanted.clamp_min(0)[:, None]
        gradient = torch.empty_like(logits)
        for rows in _few_rows(logits):
            weighed = logits[rows].to(weights.dtype).softmax(1) * weights[rows]
            gradient[rows] = weighed.scatter_add(1, places[rows], -weights[rows]).to(logits.dtype)
        return gradient, None


def _few_rows(logits: Tensor) -> Iterator[slice]:
    count = max(1, NUMBERS_AT_ONCE // logits.shape[1])
    for start in range(0, len(logits), count):
        yield slice(start, start + count)


def negative_margin(
    logits: Float[Tensor, "B K vocabulary"], labels: Int[Tensor, "B K"], is_target: Bool[Tensor, "B K"]
) -> Float[Tensor, " B"]:
    """-(log p - log(1 - p)) of each completion.

    Raises:
        NumericalError: p rounds to 1, where the margin is infinite.
    """
    loss = summed_cross_entropy(logits, labels, is_target)
    if bool((loss <= 0).any()):
        raise NumericalError(
            "the margin log p - log(1 - p) needs a completion probability below 1, but it rounds to 1: the model is "
            "certain. Use the objective `loss`."
        )
    return loss + torch.log(-torch.expm1(-loss))


_OBJECTIVES: dict[str, ExampleObjective] = {"loss": summed_cross_entropy, "margin": negative_margin}


def example_objective(name: str) -> ExampleObjective:
    """The objective of that name; ``contrast`` is composed of two losses by the caller."""
    if name not in _OBJECTIVES:
        raise ConfigError(f"objective must be one of {', '.join(_OBJECTIVES)} here, got {name!r}.")
    return _OBJECTIVES[name]
