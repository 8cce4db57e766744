"""A model that is trained again and asked: what training learns from, and what is asked after it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lorif_core.capture.hooks import num_ids
from lorif_core.data.encoding import EncodedExample, pad_token
from lorif_core.data.sequences import EncodedText
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import ShouldStop, query_losses, train
from lorif_core.models.load import LoadedModel


@dataclass(frozen=True)
class Trial:
    """What is trained, on what, and what is asked of it."""

    start: LoadedModel
    """Usually from ``load_start(recipe)``; whoever trains it puts its weights back."""

    examples: Sequence[EncodedText]
    """All N train examples, encoded with the recipe's ``max_length``."""

    queries: Sequence[EncodedExample]
    """The Q queries, encoded likewise."""

    recipe: Recipe
    """How to train."""

    @property
    def pad_id(self) -> int:
        """The token that fills short texts of a batch."""
        return pad_token(self.start.tokenizer, num_ids(self.start.model))

    def train_on(self, rows: Sequence[int], *, seed: int, should_stop: ShouldStop | None = None) -> None:
        """Fine-tune the model, from the weights that it has, on some of the examples.

        Raises:
            LorifError: As for ``train``.
        """
        kept = [self.examples[row] for row in rows]
        train(self.start.model, kept, self.recipe, seed=seed, pad_id=self.pad_id, should_stop=should_stop)

    def losses(self) -> Tensor:
        """Cross-entropy of each query under the model as it is now, in nats, summed; (Q,) float64.

        Raises:
            NumericalError: A loss is not finite.
        """
        return query_losses(self.start.model, self.queries, self.pad_id)
