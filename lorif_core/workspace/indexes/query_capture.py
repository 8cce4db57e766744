"""How questions become features of an index: by gradients through its model, or by losses under its models.

An index is asked with what it stores. Nothing above this file knows which of the two that is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError, FingerprintMismatch
from lorif_core.linalg.codecs import ColumnCodec
from lorif_core.models.load import LoadedModel
from lorif_core.passes.device_shards import ScoringDevice
from lorif_core.passes.loss_shards import loss_queries
from lorif_core.passes.queries import Query, QueryGradients, capture_queries
from lorif_core.passes.text_losses import query_objectives
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.scoring_devices import with_room


@runtime_checkable
class QueryCapture(Protocol):
    """What makes features of questions."""

    def capture(self, queries: Sequence[Query], *asked: ScoreConfig) -> QueryGradients:
        """Features of the queries, in their order.

        Args:
            queries: What is explained.
            *asked: What they will be scored with: settings of one objective.

        Raises:
            ConfigError: The index cannot be asked so.
        """
        ...


@dataclass(frozen=True)
class GradientCapture:
    """Differentiates the queries, by the code that differentiated the texts."""

    engine: Engine
    scored_on: ScoringDevice | None

    def capture(self, queries: Sequence[Query], *asked: ScoreConfig) -> QueryGradients:
        """Their projected gradients."""
        with self.engine.gradients() as source:
            return with_room(self.scored_on, lambda: capture_queries(source, queries, *asked))


@dataclass(frozen=True)
class LossCapture:
    """Takes the queries' losses: those that came with them, or under the models of the index, one after the other."""

    index_id: str
    codec: ColumnCodec

    models: Callable[[], Iterator[LoadedModel]] | None
    """The models, in the order of the stored numbers; None: their losses came with a table."""

    own: Engine | None
    """With the model that speaks, whose objective is shown; None: the mean over the models is."""

    def capture(self, queries: Sequence[Query], *asked: ScoreConfig) -> QueryGradients:
        """Their centred losses.

        Raises:
            ConfigError: A query has no losses and there is no model to take them, or it has, and is asked for
                something else than its loss.
        """
        (objective,) = {one.objective for one in asked}
        given = [query.losses for query in queries]
        known = [one for one in given if one is not None]
        if known and objective != "loss":
            raise ConfigError(
                f"losses were given with the question, and they say nothing of the objective {objective!r}. Ask with "
                "the objective loss."
            )
        if len(known) == len(queries):
            losses = torch.tensor(known, dtype=torch.float64)
            return loss_queries(losses, losses.mean(1), asked, self.codec)
        if known:
            raise ConfigError("losses are given with every question of a file or with none, some have them here.")
        return self._computed(queries, asked, objective)

    def _computed(self, queries: Sequence[Query], asked: Sequence[ScoreConfig], objective: str) -> QueryGradients:
        if self.models is None or self.own is None:
            raise ConfigError(
                f"index {self.index_id!r} holds losses that were imported and has no model, so a question comes with "
                "its losses: name one of the table's with `--question ID`, or pass `--losses FILE`."
            )
        own = self.own
        columns = [self._under(loaded, own, queries, objective) for loaded in self.models()]
        return loss_queries(
            torch.stack(columns, 1), self._under(own.loaded, own, queries, objective), asked, self.codec
        )

    def _under(self, loaded: LoadedModel, own: Engine, queries: Sequence[Query], objective: str) -> torch.Tensor:
        if loaded.tokenizer_fingerprint != own.loaded.tokenizer_fingerprint:
            raise FingerprintMismatch(
                f"every model of index {self.index_id!r} reads the same tokens, and {loaded.name!r} has another "
                "tokenizer than the index's own model. Restore it, or build a new index."
            )
        return query_objectives(loaded.model, queries, objective, own.pad_id, own.tokens_per_batch)
