"""Losses of texts and objectives of queries under a model: forward passes only."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import evaluate_objective
from lorif_core.capture.objectives import ExampleObjective, example_objective, summed_cross_entropy
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedExample, EncodedText, sequences_of
from lorif_core.errors import NumericalError
from lorif_core.passes.queries import Query
from lorif_core.shapes import Float
from lorif_core.turns import turn_on


def text_losses(
    model: nn.Module,
    texts: Sequence[EncodedText],
    *,
    pad_id: int,
    tokens_per_batch: int,
    on_texts: Callable[[int], None] = lambda _: None,
) -> Float[Tensor, " n"]:
    """Loss of every text in nats: the weighted sum over its sequences of what is differentiated elsewhere, float64.

    Neither the size of the batches nor the order in them shows beyond float rounding.

    Args:
        model: Its training flags are restored.
        texts: Encoded; one without targets has the loss 0.
        pad_id: Any valid token.
        tokens_per_batch: Padding included.
        on_texts: Called after each batch with the number of texts that it finished.

    Raises:
        NumericalError: A loss is not finite; says of which text.
    """
    told = [(row, one) for row, text in enumerate(texts) for one in sequences_of(text) if one.has_targets]
    owners = torch.tensor([row for row, _ in told], dtype=torch.long)
    weights = torch.tensor([one.weight for _, one in told], dtype=torch.float64)
    left = Counter(row for row, _ in told)
    on_texts(len(texts) - len(left))

    def count(places: Sequence[int]) -> None:
        rows = Counter(told[place][0] for place in places)
        left.subtract(rows)
        on_texts(sum(not left[row] for row in rows))

    values = _objectives(model, [one for _, one in told], summed_cross_entropy, pad_id, tokens_per_batch, count)
    bad = (~values.isfinite()).nonzero().flatten().tolist()
    if bad:
        raise NumericalError(
            f"the loss of a text is {float(values[bad[0]])}, of row {told[bad[0]][0]} of a part: the model's outputs "
            "overflowed. Load it in float32 or bfloat16, or check its weights."
        )
    return torch.zeros(len(texts), dtype=torch.float64).index_add_(0, owners, values * weights)


def query_objectives(
    model: nn.Module, queries: Sequence[Query], objective: str, pad_id: int, tokens_per_batch: int
) -> Float[Tensor, " Q"]:
    """What would be differentiated of every query, in nats, float64: a loss, or a margin or contrast with the sign of
    a loss.

    Raises:
        NumericalError: An objective is not finite.
    """
    sequences = [one for query in queries for one in query.sequences]
    owners = torch.tensor([place for place, query in enumerate(queries) for _ in query.sequences])
    weights = torch.tensor([weight for query in queries for weight in query.weights], dtype=torch.float64)
    per_example = example_objective("loss" if objective == "contrast" else objective)
    values = _objectives(model, sequences, per_example, pad_id, tokens_per_batch)
    if not values.isfinite().all():
        raise NumericalError(
            "the objective of a question is not finite: the model's outputs overflowed. Load it in float32 or "
            "bfloat16, or check its weights."
        )
    return torch.zeros(len(queries), dtype=torch.float64).index_add_(0, owners, values * weights)


def _objectives(
    model: nn.Module,
    sequences: Sequence[EncodedExample],
    objective: ExampleObjective,
    pad_id: int,
    tokens_per_batch: int,
    on_places: Callable[[Sequence[int]], None] = lambda _: None,
) -> Tensor:
    values = torch.zeros(len(sequences), dtype=torch.float64)
    lengths = [len(one.input_ids) for one in sequences]
    with without_dropout(model), torch.no_grad():
        for places in plan_batches(lengths, tokens_per_batch, length_boundaries(model)):
            batch = pad_batch([sequences[place] for place in places], pad_id)
            values[places] = evaluate_objective(model, batch, objective).double().cpu()
            on_places(places)
    return values


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, gradients as they were; the training flags come back at the end.

    No other thread uses the model meanwhile: flags that it set would end up as the old ones here, and the reverse.
    """
    with turn_on(model):
        modes = {module: module.training for module in model.modules()}
        try:
            model.eval()
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
