"""What is differentiated: one number per example, in nats, summed over its target tokens.

A mean over tokens or over the batch would make scores depend on how examples are batched.
``loss`` is the cross-entropy L. ``margin`` is TRAK's output function with the sign of a loss,
-(log p - log(1 - p)) = L + log(1 - e^(-L)) with p = e^(-L) the probability of the whole
completion, so that a positive score again means "supports the completion". ``contrast``, the
loss of completion A minus that of completion B, is linear: its gradient is the difference of
two ``loss`` gradients, taken where both are at hand.
Source: DESIGN §3.1; TRAK (arXiv:2303.14186), section 3.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lorif_core.errors import ConfigError, NumericalError

ExampleObjective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits (B, T, vocabulary), input_ids (B, T), target_mask (B, T)) → (B,)."""


def summed_cross_entropy(
    logits: Float[Tensor, "B T vocabulary"], input_ids: Int[Tensor, "B T"], target_mask: Bool[Tensor, "B T"]
) -> Float[Tensor, " B"]:
    """Cross-entropy of each example's target tokens, summed, in nats and at least float32.

    The token at position t is predicted by the logits at t - 1.
    """
    losses = token_losses(logits, input_ids, target_mask)
    example = target_mask[:, 1:].nonzero()[:, 0]
    return torch.zeros(len(input_ids), dtype=losses.dtype, device=losses.device).index_add(0, example, losses)


def token_losses(
    logits: Float[Tensor, "B T vocabulary"], input_ids: Int[Tensor, "B T"], target_mask: Bool[Tensor, "B T"]
) -> Float[Tensor, " targets"]:
    """Cross-entropy of every target token in nats, example by example and left to right."""
    chosen = target_mask[:, 1:]
    kept = logits[:, :-1][chosen]
    wide = kept.to(torch.promote_types(kept.dtype, torch.float32))
    return torch.nn.functional.cross_entropy(wide, input_ids[:, 1:][chosen], reduction="none")


def negative_margin(
    logits: Float[Tensor, "B T vocabulary"], input_ids: Int[Tensor, "B T"], target_mask: Bool[Tensor, "B T"]
) -> Float[Tensor, " B"]:
    """-(log p - log(1 - p)) of each completion.

    Raises:
        NumericalError: p rounds to 1, where the margin is infinite.
    """
    loss = summed_cross_entropy(logits, input_ids, target_mask)
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
