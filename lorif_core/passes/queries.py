"""Query gradients: captured by the same code as train gradients, then preconditioned.

A query is one or two weighted sequences. ``loss`` and ``margin`` have one of weight 1;
``contrast`` has completion A with weight 1 and completion B with weight -1, because its
gradient is the difference of two loss gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import example_objective
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.passes.shards import GradientSource


@dataclass(frozen=True)
class Query:
    """What is explained: weighted sequences whose objectives are added."""

    query_id: str
    sequences: tuple[EncodedExample, ...]
    weights: tuple[float, ...]
    """One per sequence."""


@dataclass(frozen=True)
class QueryGradients:
    """Projected gradients of some queries."""

    matrices: dict[str, Tensor]
    """Per module, (Q, d_in, d_out), float32; as captured, neither factored nor quantised."""

    objectives: Tensor
    """Value of each query's objective in nats, (Q,)."""

    def norms(self) -> Tensor:
        """Gradient norm of each query over all modules, (Q,)."""
        squares = [matrix.square().sum((1, 2)) for matrix in self.matrices.values()]
        return torch.stack(squares).sum(0).sqrt()


def capture_queries(source: GradientSource, queries: Sequence[Query], objective: str) -> QueryGradients:
    """Projected gradients of the queries, in their order."""
    sequences = [sequence for query in queries for sequence in query.sequences]
    owner = [position for position, query in enumerate(queries) for _ in query.sequences]
    weights = torch.tensor([weight for query in queries for weight in query.weights])
    matrices = {module.name: torch.zeros(len(queries), module.d_in, module.d_out) for module in source.modules}
    values = torch.zeros(len(queries))
    per_example = example_objective("loss" if objective == "contrast" else objective)
    for positions in plan_batches([len(sequence.input_ids) for sequence in sequences], source.tokens_per_batch):
        batch = pad_batch([sequences[position] for position in positions], source.pad_id)
        owners = torch.tensor([owner[position] for position in positions])
        weight = weights[torch.tensor(positions)]

        def take(name: str, gradient: ProjectedGradient, owners: Tensor = owners, weight: Tensor = weight) -> None:
            matrices[name].index_add_(0, owners, gradient.dense().cpu() * weight[:, None, None])

        found = capture_gradients(source.model, source.maps, batch, per_example, take)
        values.index_add_(0, owners, found.cpu().float() * weight)
    return QueryGradients(matrices, values)
