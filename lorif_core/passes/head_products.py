"""Whole gradients of an output head, compared without forming any: queries stay the tokens that they are sums over.

What is kept is V numbers per target token of the queries: for GPT-2 (V = 50,257) and 64 queries of 5 target tokens
64 MB, where the queries' gradients would be 9.9 GB. Of the texts one at a time is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lorif_core.data.sequences import EncodedText
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.token_sums import TokenSum, products_of_rows, token_sums
from lorif_core.passes.queries import Query
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.text_gradients import capture_texts
from lorif_core.shapes import Float, Int


@dataclass(frozen=True)
class HeadQueries:
    """The queries' gradients of the head, and what every method makes of its hidden side."""

    name: str
    maps: ModuleMaps
    """What the head is captured with: the vocabulary's root as a diagonal."""

    rows: TokenSum
    """Of all queries, as captured."""

    owners: Int[Tensor, " s"]
    """The query of each row."""

    num_queries: int
    metrics: Sequence[Float[Tensor, "i i"] | None]
    """Per method, that of the hidden side; None for one that leaves the head out."""

    def compare(self, gradient: ProjectedGradient) -> tuple[Float[Tensor, "M Q B"], Float[Tensor, "M B"]]:
        """Products of every query with the gradients of a batch, and of these with themselves; on the CPU."""
        products, own = list[Tensor](), list[Tensor]()
        for text in token_sums(gradient):
            found = products_of_rows(self.rows.output_grads, self._weighed_rows, text)  # (methods with a head, s)
            products.append(found.new_zeros(len(found), self.num_queries).index_add_(1, self.owners, found).cpu())
            own.append(products_of_rows(text.output_grads, self._weigh(text.inputs), text).sum(1).cpu())
        return self._of_all(torch.stack(products, -1)), self._of_all(torch.stack(own, -1))

    @cached_property
    def _weighed_rows(self) -> list[Tensor]:
        return self._weigh(self.rows.inputs)

    def _weigh(self, inputs: Tensor) -> list[Tensor]:
        return [inputs @ metric.to(inputs) for metric in self.metrics if metric is not None]

    def _of_all(self, values: Tensor) -> Tensor:
        """With zeros for the methods that leave the head out."""
        methods = [method for method, metric in enumerate(self.metrics) if metric is not None]
        filled = values.new_zeros(len(self.metrics), *values.shape[1:])
        filled[methods] = values
        return filled


def capture_head(
    source: GradientSource,
    name: str,
    maps: ModuleMaps,
    queries: Sequence[Query],
    metrics: Sequence[Float[Tensor, "i i"] | None],
) -> HeadQueries:
    """The queries' gradients of the head: of their losses, as those of texts.

    Args:
        source: The model; its own maps are not used.
        name: Of the head.
        maps: The vocabulary's root, on the head's device.
        queries: What is explained.
        metrics: Per method, that of the hidden side.
    """
    found: list[tuple[int, TokenSum]] = []

    def take(_: str, place: Tensor, gradient: ProjectedGradient) -> None:
        found.extend(zip(place.tolist(), token_sums(gradient), strict=True))

    texts = [_as_text(query) for query in queries]
    capture_texts(
        source.model, {name: maps}, texts, take, pad_id=source.pad_id, tokens_per_batch=source.tokens_per_batch
    )
    owners = [owner for owner, one in found for _ in one.inputs]
    rows = TokenSum(*(torch.cat(side) for side in zip(*(one for _, one in found), strict=True)))
    return HeadQueries(name, maps, rows, torch.tensor(owners, device=rows.inputs.device), len(queries), metrics)


def _as_text(query: Query) -> EncodedText:
    weighted = zip(query.sequences, query.weights, strict=True)
    return tuple(one._replace(weight=weight) for one, weight in weighted)
