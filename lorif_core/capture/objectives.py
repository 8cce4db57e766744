"""What is differentiated: one number per example, in nats, summed over its target tokens.

A mean over tokens or over the batch would make scores depend on how examples are batched.
``loss`` is the cross-entropy L. ``margin`` is TRAK's output function with the sign of a loss,
-(log p - log(1 - p)) = L + log(1 - e^(-L)) with p = e^(-L) the probability of the whole
completion, so that a positive score again means "supports the completion". ``contrast``, the
loss of completion A minus that of completion B, is linear: its gradient is the difference of
two ``loss`` gradients, taken where both are at hand.
Source: docs/explanation/design.md §2.2; TRAK (arXiv:2303.14186), section 3.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lorif_core.errors import ConfigError, NumericalError
from lorif_core.shapes import Bool, Float, Int

ExampleObjective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits (B, K, vocabulary), labels (B, K), is_target (B, K)) → (B,): one number per example from
the logits at K positions, the tokens that follow these positions, and which of them are targets."""

_IGNORED = -100


def summed_cross_entropy(
    logits: Float[Tensor, "B K vocabulary"], labels: Int[Tensor, "B K"], is_target: Bool[Tensor, "B K"]
) -> Float[Tensor, " B"]:
    """Cross-entropy of each example's target tokens, summed, in nats and at least float32."""
    return token_losses(logits, labels, is_target).sum(1)


def token_losses(
    logits: Float[Tensor, "B K vocabulary"], labels: Int[Tensor, "B K"], is_target: Bool[Tensor, "B K"]
) -> Float[Tensor, "B K"]:
    """Cross-entropy of every target token in nats, 0 elsewhere."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    wanted = labels.masked_fill(~is_target, _IGNORED)
    losses = torch.nn.functional.cross_entropy(
        wide.flatten(0, 1), wanted.flatten(), ignore_index=_IGNORED, reduction="none"
    )
    return losses.view(labels.shape)


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
