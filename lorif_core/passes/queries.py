"""Query gradients: captured by the same code as train gradients, then preconditioned.

A query is one or two weighted sequences. ``loss`` and ``margin`` have one of weight 1;
``contrast`` has completion A with weight 1 and completion B with weight -1, because its
gradient is the difference of two loss gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import example_objective
from lorif_core.config import ScoreConfig
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient
from lorif_core.linalg.query_batch import BatchedQueries, directions_of, side_by_side
from lorif_core.passes.shards import GradientSource
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block, check_encoded, decode_block, encode_block


@dataclass(frozen=True)
class Query:
    """What is explained: weighted sequences whose objectives are added."""

    query_id: str
    sequences: tuple[EncodedExample, ...]
    weights: tuple[float, ...]
    """One per sequence."""

    losses: tuple[float, ...] | None = None
    """Under the models of an index of losses, where they came with the question; there are no sequences then."""


@dataclass(frozen=True)
class QueryGradients:
    """Projected gradients of some queries."""

    matrices: dict[str, Tensor]
    """Per module, (Q, d_in, d_out), float32; as captured, neither factored nor quantised."""

    objectives: Tensor
    """What was differentiated, in nats, (Q,): a loss, or the negative of a margin or a contrast."""

    stored: dict[str, Block]
    """Per module, the same gradients as an index would hold them: factored, quantised and read back. Empty unless the
    normalisation needs them, which is ``unit``."""


def capture_queries(source: GradientSource, queries: Sequence[Query], *asked: ScoreConfig) -> QueryGradients:
    """Projected gradients of the queries, in their order.

    Args:
        source: Captures as the index does.
        queries: What is explained.
        *asked: What the gradients will be scored with: settings of one objective, which is differentiated. Their
            stored form is kept where one of them is normalised by it.
    """
    matrices = {module.name: torch.zeros(len(queries), module.d_in, module.d_out) for module in source.modules}

    def take(name: str, gradient: ProjectedGradient, owners: Tensor, weight: Tensor) -> None:
        matrices[name].index_add_(0, owners, gradient.dense().cpu() * weight[:, None, None])

    values, codes = _capture(source, queries, asked, take)
    return QueryGradients(matrices, values, {} if codes is None else codes.blocks(matrices))


@dataclass(frozen=True)
class QueryDirections:
    """Projected gradients of some queries as the few directions that they have, which are never multiplied out."""

    modules: dict[str, BatchedQueries]
    """Per module; a query's directions are orthogonal on both sides, the strongest first."""

    objectives: Tensor
    """As in ``QueryGradients``."""

    stored: dict[str, Block]
    """As in ``QueryGradients``."""


def capture_directions(source: GradientSource, queries: Sequence[Query], *asked: ScoreConfig) -> QueryDirections:
    """The same of queries that are one sequence each, without a whole matrix of any.

    Args:
        source: Captures as the index does.
        queries: What is explained, ``is_one_sequence`` each.
        *asked: As for ``capture_queries``.
    """
    sides: dict[str, list[tuple[Tensor, Tensor] | None]] = {
        module.name: [None] * len(queries) for module in source.modules
    }

    def take(name: str, gradient: ProjectedGradient, owners: Tensor, weight: Tensor) -> None:
        for owner, *both in zip(owners.tolist(), *directions_of(gradient), strict=True):
            sides[name][owner] = both[0], both[1]

    assert all(is_one_sequence(query) for query in queries)
    values, codes = _capture(source, queries, asked, take)
    modules = {
        module.name: side_by_side(
            [both or (torch.zeros(module.d_in, 0), torch.zeros(module.d_out, 0)) for both in sides[module.name]]
        )
        for module in source.modules
    }
    return QueryDirections(modules, values, {} if codes is None else codes.blocks({}))


def is_one_sequence(query: Query) -> bool:
    """Whether a query is the gradient of one sequence, as it stands."""
    return query.weights == (1.0,)


Take = Callable[[str, ProjectedGradient, Tensor, Tensor], None]
"""Receives (module, gradients of a batch, positions of their queries, weights)."""


def _capture(
    source: GradientSource, queries: Sequence[Query], asked: Sequence[ScoreConfig], take_batch: Take
) -> "tuple[Tensor, _Codes | None]":
    """Hand over the gradients of all sequences; the queries' objectives, and their stored form where it is needed."""
    (objective,) = {one.objective for one in asked}
    sequences = [sequence for query in queries for sequence in query.sequences]
    owner = [position for position, query in enumerate(queries) for _ in query.sequences]
    weights = torch.tensor([weight for query in queries for weight in query.weights])
    codes = _Codes(source, queries) if any(one.normalisation == "unit" for one in asked) else None
    values = torch.zeros(len(queries))
    per_example = example_objective("loss" if objective == "contrast" else objective)
    lengths = [len(sequence.input_ids) for sequence in sequences]
    for positions in plan_batches(lengths, source.tokens_per_batch, length_boundaries(source.model)):
        batch = pad_batch([sequences[position] for position in positions], source.pad_id)
        owners = torch.tensor([owner[position] for position in positions])
        weight = weights[torch.tensor(positions)]

        def take(name: str, gradient: ProjectedGradient, owners: Tensor = owners, weight: Tensor = weight) -> None:
            take_batch(name, gradient, owners, weight)
            if codes is not None:
                codes.take(name, gradient, owners)

        found = capture_gradients(source.model, source.maps, batch, per_example, take)
        values.index_add_(0, owners, found.cpu().float() * weight)
    return values, codes


class _Codes:
    """The queries as an index would hold them, compressed in the same form in which an index meets its texts."""

    def __init__(self, source: GradientSource, queries: Sequence[Query]) -> None:
        self.source, self.num_queries = source, len(queries)
        self.is_whole = all(is_one_sequence(query) for query in queries)
        """Whether every query is one sequence; the gradients of others are known when they are summed."""

        self._by_name = {module.name: module for module in source.modules}
        self._tensors: dict[str, dict[str, Tensor]] = {}

    def take(self, name: str, gradient: ProjectedGradient, owners: Tensor) -> None:
        """File one module's gradients of a batch."""
        if not self.is_whole:
            return
        coded = self._encode(gradient, self._by_name[name])
        into = self._tensors.setdefault(
            name, {key: rows.new_zeros(self.num_queries, *rows.shape[1:]) for key, rows in coded.items()}
        )
        for key, rows in coded.items():
            into[key][owners] = rows

    def blocks(self, matrices: Mapping[str, Tensor]) -> dict[str, Block]:
        """Per module, the gradients read back."""
        return {module.name: self._block(module, matrices) for module in self.source.modules}

    def _block(self, module: ModuleShape, matrices: Mapping[str, Tensor]) -> Block:
        coded = self._tensors.get(module.name) or self._encode(DenseGradient(matrices[module.name]), module)
        return decode_block(coded, module, self.source.codec, self.source.method.feature.layout)

    def _encode(self, gradient: ProjectedGradient, module: ModuleShape) -> dict[str, Tensor]:
        block = self.source.method.feature.compress(gradient, module)
        coded = {key: rows.cpu() for key, rows in encode_block(block, module.name, self.source.codec).items()}
        check_encoded(coded)
        return coded
