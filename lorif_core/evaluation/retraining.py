"""Fine-tune a model again by its recipe, on other texts.

Dropout stays off, so a run is a function of the starting weights, the texts and the seed, which
only orders the batches. The loss of a step is the cross-entropy in nats averaged over the target
tokens of its batch, as fine-tuning code usually has it; losses that are compared between models
are summed over the target tokens of one text.
"""

import importlib.util
import math
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import evaluate_objective
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.config import ModelConfig
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedExample, EncodedText, has_targets, sequences_of
from lorif_core.errors import ConfigError, DataError, LorifError, NumericalError
from lorif_core.evaluation.recipe import Recipe
from lorif_core.files import fingerprint_of_value
from lorif_core.models.load import LoadedModel, load_model
from lorif_core.passes.text_losses import without_dropout as without_dropout  # read from here by who trains
from lorif_core.turns import turn_on

OnStep = Callable[[int, int], None]
"""(steps done, steps in all)."""

OnProgress = Callable[[str, int, int], None]
"""(stage, done, total)."""

ShouldStop = Callable[[], bool]
"""True when the person wants the run to end; asked before every step."""

EVALUATION_TOKENS = 4096


class RetrainingStopped(LorifError):
    """The person stopped a run; what was finished is kept."""


class SubsetChoices(TypedDict, total=False):
    """Which subsets ``draw_subsets`` draws; what is not named has its default."""

    num_subsets: int
    """S."""

    fraction: float
    """Of the examples in each subset."""

    seed: int


def load_start(recipe: Recipe, *, device: str = "auto") -> LoadedModel:
    """The model that fine-tuning starts from, with a fresh adapter where the recipe trains one.

    Raises:
        ConfigError: The recipe trains LoRA weights and peft is not installed.
        ModelError: The checkpoint cannot be loaded.
    """
    loaded = load_model(ModelConfig(model=recipe.checkpoint, device=device))
    return loaded if recipe.tuning == "full" else replace(loaded, model=_with_adapter(loaded.model, recipe))


def train(
    model: nn.Module,
    examples: Sequence[EncodedText],
    recipe: Recipe,
    *,
    seed: int,
    pad_id: int,
    left_out: Collection[int] = (),
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> Tensor:
    """Fine-tune a model in place by its recipe; parameters that need no gradient stay as they are.

    Args:
        model: A causal language model; its training flags are restored.
        examples: The texts; one epoch sees each once.
        recipe: Optimiser, learning rate and so on; its own seed is not read here.
        seed: Of the order of the batches.
        pad_id: Any valid token id.
        left_out: Rows that are taken out of their batches; all others keep their places, so that a run without
            some texts differs from the run with them in nothing else. A batch that gets empty is no step.
        on_step: Called after every step.
        should_stop: Asked before every step.

    Returns:
        The loss of every step in nats per target token, (steps,) float64.

    Raises:
        DataError: No example that stays has a target.
        NumericalError: The loss is not finite.
        RetrainingStopped: ``should_stop`` said so.
    """
    check_trainable(examples, left_out)
    gone = frozenset(left_out)
    batches = batch_order(len(examples), recipe, seed)
    steps = [(place, kept) for place, rows in enumerate(batches) if (kept := [n for n in rows if n not in gone])]
    falls = recipe.schedule == "linear"
    losses = []
    with without_dropout(model):
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = make_optimiser(trained, recipe)
        for number, (place, rows) in enumerate(steps):
            if should_stop is not None and should_stop():
                raise RetrainingStopped(f"training was stopped after {number} of {len(steps)} steps.")
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * (1 - place / len(batches) if falls else 1)
            losses.append(take_step(model, [examples[row] for row in rows], optimiser, recipe, pad_id))
            if on_step is not None:
                on_step(number + 1, len(steps))
    return torch.tensor(losses, dtype=torch.float64)


def check_trainable(examples: Sequence[EncodedText], left_out: Collection[int] = ()) -> None:
    """Refuse a training without anything to learn.

    Raises:
        DataError: No example that stays has a target.
    """
    gone = frozenset(left_out)
    remaining = [example for row, example in enumerate(examples) if row not in gone]
    require_remaining(len(examples), len(examples) - len(remaining))
    if not any(map(has_targets, remaining)):
        raise DataError(f"training needs an example with a target token, none of {len(remaining)} has one.")


def require_remaining(num_examples: int, num_left_out: int) -> None:
    """Refuse a training from which every example is left out.

    Raises:
        DataError: None remains.
    """
    if num_examples and num_left_out == num_examples:
        raise DataError(f"training needs an example, all {num_examples} are left out.")


def make_optimiser(parameters: Sequence[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """A fresh optimiser of the recipe's kind."""
    return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)


def take_step(
    model: nn.Module,
    examples: Sequence[EncodedText],
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    pad_id: int,
) -> float:
    """One clipped step on a batch; the loss before it, in nats per target token.

    Texts of several sequences make a batch longer: it is then read in parts of as many sequences as it has texts.

    Raises:
        NumericalError: The loss is not finite.
    """
    sequences = [one for example in examples for one in sequences_of(example) if one.input_ids]
    num_targets = max(1, sum(sum(one.is_target) for one in sequences))
    value = 0.0
    with turn_on(model):
        optimiser.zero_grad()
        for start in range(0, len(sequences), len(examples)):
            part = sequences[start : start + len(examples)]
            weights = torch.tensor([one.weight for one in part])
            # A batch may hold only texts too short to have a target: its gradient is 0.
            losses = evaluate_objective(model, pad_batch(part, pad_id), summed_cross_entropy)
            loss = (losses * weights.to(losses)).sum() / num_targets
            value += float(loss.detach())
            if not math.isfinite(value):
                raise NumericalError(
                    f"the training loss is {value}: lower the learning rate, now {recipe.learning_rate:g}."
                )
            loss.backward()
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimiser.step()
    return value


def query_losses(model: nn.Module, examples: Sequence[EncodedExample], pad_id: int) -> Tensor:
    """Cross-entropy of each example's target tokens in nats, summed; (Q,) float64 on the CPU.

    Raises:
        NumericalError: A loss is not finite.
    """
    losses = torch.zeros(len(examples), dtype=torch.float64)
    with without_dropout(model), torch.no_grad():
        lengths = [len(example.input_ids) for example in examples]
        for rows in plan_batches(lengths, EVALUATION_TOKENS, length_boundaries(model)):
            batch = pad_batch([examples[row] for row in rows], pad_id)
            losses[rows] = evaluate_objective(model, batch, summed_cross_entropy).double().cpu()
    if not torch.isfinite(losses).all():
        raise NumericalError(
            "the loss of a query is not finite after training: lower the learning rate, or load the model in float32."
        )
    return losses


def draw_subsets(num_examples: int, *, num_subsets: int = 64, fraction: float = 0.5, seed: int = 0) -> Tensor:
    """Random subsets of one size, round(fraction · N), as masks (S, N) bool.

    Raises:
        ConfigError: ``num_subsets`` is below 1, or no subset of that size is neither empty nor everything.
    """
    size = round(fraction * num_examples) if 0 < fraction < 1 else 0
    if num_subsets < 1 or not 0 < size < num_examples:
        raise ConfigError(
            f"subsets must leave some of the {num_examples} examples out and keep some, and there must be one; got "
            f"fraction {fraction} and num_subsets {num_subsets}. Half of the examples is usual."
        )
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(num_subsets, num_examples, dtype=torch.bool)
    for subset in range(num_subsets):
        masks[subset, torch.randperm(num_examples, generator=generator)[:size]] = True
    return masks


def seed_of(*parts: object) -> int:
    """A seed that depends on all parts, far from that of any other parts."""
    return int(fingerprint_of_value(list(parts))[:15], 16)


@contextmanager
def restored(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Hand out a function that puts the weights back to what they are now; they also are at the end.

    No other thread uses the model meanwhile: it would meet weights that are about to be put back.
    """

    def restore() -> None:
        model.load_state_dict(start)
        model.zero_grad()

    with turn_on(model):
        start = {name: value.detach().clone() for name, value in model.state_dict().items()}
        try:
            yield restore
        finally:
            restore()


def batch_order(num_examples: int, recipe: Recipe, seed: int) -> list[list[int]]:
    """Rows of every step: each epoch is a new permutation cut into batches."""
    generator = torch.Generator().manual_seed(seed)
    order = []
    for _ in range(recipe.epochs):
        shuffled = torch.randperm(num_examples, generator=generator)
        order += [part.tolist() for part in shuffled.split(recipe.batch_size)]
    return order


def _with_adapter(model: nn.Module, recipe: Recipe) -> nn.Module:
    if importlib.util.find_spec("peft") is None:
        raise ConfigError(
            'tuning = "lora" needs the package peft, which is not installed: `pip install "lorif-studio[peft]"`.'
        )
    from peft import LoraConfig, get_peft_model

    untyped: Any = model
    settings = LoraConfig(
        r=recipe.lora_rank or 1,
        lora_alpha=recipe.lora_alpha,  # pyright: ignore[reportArgumentType] - a float works, peft says int
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        # peft corrects the setting for transposed weights (GPT-2's) itself, and reads a renamed attribute.
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(untyped, settings).eval()
