"""What really happens to some queries when some texts are taken out of the training: train twice and compare.

Both runs start from the recipe's checkpoint with the same seed and the same order of batches; the
texts that are removed only leave their batches. What is compared is the *support* of a query: the
objective with the sign turned, so that for the objective ``loss`` it is the log-probability of the
completion in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorif_core.capture.hooks import evaluate_objective, num_ids
from lorif_core.capture.objectives import example_objective
from lorif_core.config import Objective
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import pad_token
from lorif_core.data.sequences import EncodedText
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import OnProgress, ShouldStop, check_trainable, restored, train, without_dropout
from lorif_core.models.load import LoadedModel
from lorif_core.passes.queries import Query
from lorif_core.shapes import Float

STAGE = "verify"
MAX_ANSWER_TOKENS = 16


@dataclass(frozen=True)
class PosedQuery:
    """A query ready to be measured on any model with its tokenizer."""

    query: Query
    objective: Objective
    prompt_ids: tuple[int, ...]
    """Tokens from which the model's own answer is decoded."""


@dataclass(frozen=True)
class ModelBehaviour:
    """How one model treats the queries."""

    support: Float[Tensor, " Q"]
    """Turned objective of each query in nats, float64."""

    answers: list[str]
    """Greedy completion of each prompt."""


@dataclass(frozen=True)
class RemovalRun:
    """Behaviour after training on everything, and on everything but the removed texts."""

    seed: int
    complete: ModelBehaviour
    removed: ModelBehaviour

    @property
    def change(self) -> Float[Tensor, " Q"]:
        """What the removal did to each query's support, in nats."""
        return self.removed.support - self.complete.support


def run_removal(
    start: LoadedModel,
    examples: Sequence[EncodedText],
    removals: Sequence[Sequence[int]],
    queries: Sequence[PosedQuery],
    recipe: Recipe,
    *,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> list[RemovalRun]:
    """Train on everything once, and once without each of some sets of texts; one run per set.

    Args:
        start: From ``load_start(recipe)``; its weights are put back at the end.
        examples: All N train examples.
        removals: Rows that are taken out together.
        queries: What is measured after each training.
        recipe: How to train; its seed orders the batches of every run.
        on_progress: Called with ("verify", training steps done, total).
        should_stop: Asked before every step.

    Raises:
        DataError: A removal leaves nothing to train on; found before any training.
        RetrainingStopped: ``should_stop`` said so.
    """
    for rows in removals:
        check_trainable(examples, rows)
    pad_id = pad_token(start.tokenizer, num_ids(start.model))
    behaviours = []
    with restored(start.model) as restore:
        for number, rows in enumerate([(), *removals]):
            restore()

            def on_step(done: int, total: int, number: int = number) -> None:
                if on_progress is not None:
                    on_progress(STAGE, number * total + done, total * (len(removals) + 1))

            train(
                start.model,
                examples,
                recipe,
                seed=recipe.seed,
                pad_id=pad_id,
                left_out=rows,
                on_step=on_step,
                should_stop=should_stop,
            )
            behaviours.append(observe(start, queries))
    complete, *removed = behaviours
    return [RemovalRun(recipe.seed, complete, behaviour) for behaviour in removed]


def observe(loaded: LoadedModel, queries: Sequence[PosedQuery]) -> ModelBehaviour:
    """Support and greedy answer of each query under the model as it is now."""
    pad_id = pad_token(loaded.tokenizer, num_ids(loaded.model))
    with without_dropout(loaded.model), torch.no_grad():
        support = torch.tensor([_support(loaded.model, posed, pad_id) for posed in queries], dtype=torch.float64)
        answers = [_greedy_answer(loaded, posed, pad_id) for posed in queries]
    return ModelBehaviour(support, answers)


def _support(model: nn.Module, posed: PosedQuery, pad_id: int) -> float:
    objective = example_objective("loss" if posed.objective == "contrast" else posed.objective)
    parts = zip(posed.query.sequences, posed.query.weights, strict=True)
    # One sequence at a time: padding would change the last digits.
    values = [weight * evaluate_objective(model, pad_batch([one], pad_id), objective).item() for one, weight in parts]
    return -sum(values)


def _greedy_answer(loaded: LoadedModel, posed: PosedQuery, pad_id: int) -> str:
    prompt = torch.tensor([posed.prompt_ids], device=loaded.device)
    output = loaded.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=MAX_ANSWER_TOKENS,
        do_sample=False,
        pad_token_id=pad_id,
    )
    return str(loaded.tokenizer.decode(output[0, len(posed.prompt_ids) :], skip_special_tokens=True))
