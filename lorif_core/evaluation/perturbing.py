"""Fine-tune a model against noise, so that its fluctuation has the inverse of its curvature as covariance.

Let z(θ) be the logits at the target tokens of the texts, p = softmax(z), y the tokens, θ₀ the trained weights and
z₀ = z(θ₀). Every text i gets a random sign r_i. What is minimised over θ is a sum over texts and their tokens of

    [L(z) − L(z₀) − ⟨∇L(z₀), z − z₀⟩]  −  ρ r_i ⟨∇L(z₀), z − z₀⟩,        ∇L(z₀) = p₀ − onehot(y).

For cross-entropy the bracket is KL(p₀ ‖ p): it is 0 at θ₀, never negative, and does not know y. Its second derivative
at θ₀ is the model's Gauss–Newton matrix G = Σ Jᵀ (diag p₀ − p₀ p₀ᵀ) J, J = ∂z/∂θ. So θ₀ need not be a minimum of the
training loss for this to be well posed. The second term pulls with −ρ r_i g_i, g_i the text's gradient. To second
order the minimum lies at

    δ = θ − θ₀ = ρ G⁻¹ Σ_i r_i g_i,   E δ = 0,   Cov δ = ρ² G⁻¹ (Σ g_i g_iᵀ) G⁻¹ ≈ ρ² G⁻¹,

since the r_i are independent with variance 1, and the sum of g gᵀ is G in expectation where the texts are what the
model expects (both are its Fisher matrix). Hence Cov(ℓ_q, ℓ_n) ≈ ρ² g_qᵀ G⁻¹ g_n over such models
(``methods/daunce.py``). A few steps do not reach the minimum: from θ₀ the directions of large curvature arrive first
and those of small curvature hardly move, which damps G⁻¹ as a ridge does.

The paper draws 1 + ρ(2ξ − 1) with ξ uniform, of variance ρ²/3, where this has signs, of variance ρ². Its code
writes the linear term in logits, too, which this follows; in weights it would keep the part of the Hessian that the
logits' own curvature makes, and need not be positive.
Source: Daunce (arXiv:2505.23223), section 3; the logits' form is that of its released code.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lorif_core.capture.hooks import evaluate_objective
from lorif_core.data.batches import pad_batch
from lorif_core.data.sequences import EncodedExample, EncodedText, has_targets, sequences_of
from lorif_core.errors import DataError, NumericalError
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import OnStep, RetrainingStopped, ShouldStop, batch_order, make_optimiser
from lorif_core.passes.text_losses import without_dropout
from lorif_core.shapes import Bool, Float, Int, TokenBatch


def perturb(
    model: nn.Module,
    texts: Sequence[EncodedText],
    recipe: Recipe,
    *,
    noise: float,
    seed: int,
    pad_id: int,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Move a model's trainable weights from where they are to about the minimum that random signs pull them to.

    Args:
        model: A causal language model, or one with a fresh adapter; its training flags are restored.
        texts: Encoded; one epoch sees each once, and each keeps its sign over all epochs.
        recipe: Optimiser, learning rate, epochs and so on; its own seed is not read here.
        noise: ρ.
        seed: Of the signs and of the order of the batches.
        pad_id: Any valid token id.
        on_step: Called after every step.
        should_stop: Asked before every step.

    Raises:
        DataError: No text has a target.
        NumericalError: The objective is not finite.
        RetrainingStopped: ``should_stop`` said so.
    """
    if not any(map(has_targets, texts)):
        raise DataError(f"perturbing needs a text with a target token, none of {len(texts)} has one.")
    signs = random_signs(len(texts), seed)
    steps = batch_order(len(texts), recipe, seed)
    with without_dropout(model):
        base, as_base = _unperturbed(model)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = make_optimiser(trained, recipe)
        for number, rows in enumerate(steps):
            if should_stop is not None and should_stop():
                raise RetrainingStopped(f"perturbing was stopped after {number} of {len(steps)} steps.")
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * (1 - number / len(steps) if recipe.schedule == "linear" else 1)
            optimiser.zero_grad()
            sequences, pulls = _weighted([(texts[row], noise * float(signs[row])) for row in rows])
            if sequences:
                batch = pad_batch(sequences, pad_id)
                with as_base():
                    before = logits_of(base, batch)
                weights = torch.tensor([one.weight for one in sequences])
                value = _objective(model, batch, before, weights, torch.tensor(pulls)) / _num_targets(sequences)
                if not torch.isfinite(value):
                    raise NumericalError(
                        f"what is minimised is {float(value)}: lower the learning rate, now {recipe.learning_rate:g}."
                    )
                value.backward()
                optimiser.step()
            if on_step is not None:
                on_step(number + 1, len(steps))


def random_signs(count: int, seed: int) -> Float[Tensor, " n"]:
    """+1 or −1 for every text."""
    drawn = torch.randint(0, 2, (count,), generator=torch.Generator().manual_seed(seed))
    return drawn.float() * 2 - 1


def perturbed_objective(
    logits: Float[Tensor, "B K V"],
    before: Float[Tensor, "B K V"],
    labels: Int[Tensor, "B K"],
    is_target: Bool[Tensor, "B K"],
    pulls: Float[Tensor, " B"],
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """KL(p₀ ‖ p), and ρ r ⟨p₀ − onehot(y), z − z₀⟩, of each example, summed over its target tokens, in nats.

    Args:
        logits: z.
        before: z₀.
        labels: y.
        is_target: Which of them count.
        pulls: ρ r of each example.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    logits, before = logits.to(wide), before.to(wide)
    moved = logits - before
    expected = (before.softmax(-1) * moved).sum(-1)
    kept = is_target.to(wide)
    divergence = (logits.logsumexp(-1) - before.logsumexp(-1) - expected) * kept
    pull = (expected - moved.gather(-1, labels[..., None]).squeeze(-1)) * kept
    return divergence.sum(1), pulls.to(pull) * pull.sum(1)


def logits_of(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Logits at the positions that predict targets, without a graph."""
    found: list[Tensor] = []

    def keep(logits: Tensor, labels: Tensor, is_target: Tensor) -> Tensor:
        found.append(logits.detach())
        return logits.new_zeros(len(logits))

    with torch.no_grad():
        evaluate_objective(model, batch, keep)
    return found[0]


def _objective(model: nn.Module, batch: TokenBatch, before: Tensor, weights: Tensor, pulls: Tensor) -> Tensor:
    """Of a batch. A rejected side pulls with its negative weight, and holds on to what it was all the same."""

    def of_examples(logits: Tensor, labels: Tensor, is_target: Tensor) -> Tensor:
        divergence, pull = perturbed_objective(logits, before, labels, is_target, pulls)
        return weights.to(pull).abs() * divergence - weights.to(pull) * pull

    return evaluate_objective(model, batch, of_examples).sum()


def _weighted(rows: Sequence[tuple[EncodedText, float]]) -> tuple[list[EncodedExample], list[float]]:
    """The sequences of some texts that have targets, each with its text's pull."""
    pairs = [(one, pull) for text, pull in rows for one in sequences_of(text) if one.has_targets]
    return [one for one, _ in pairs], [pull for _, pull in pairs]


def _num_targets(sequences: Sequence[EncodedExample]) -> int:
    return max(1, sum(sum(one.is_target) for one in sequences))


def _unperturbed(model: nn.Module) -> tuple[nn.Module, Callable[[], AbstractContextManager[Any]]]:
    """The model as it was: a copy, or the same one with its adapter switched off."""
    untyped: Any = model
    if hasattr(untyped, "disable_adapter"):
        return model, untyped.disable_adapter
    return copy.deepcopy(model).requires_grad_(False), nullcontext
