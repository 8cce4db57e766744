"""Passes over the texts for references that compress nothing (``methods.references``).

They keep nothing per example: every train gradient is formed again, in full, for each set of
queries, so they cost a pass over the data per question and anchor the curve of quality
against bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedText, sequences_of
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.metric import Eigenbasis, Metric
from lorif_core.linalg.whitening import Moments
from lorif_core.passes.head_products import HeadQueries
from lorif_core.passes.text_gradients import capture_texts
from lorif_core.shapes import Float
from lorif_core.turns import turn_on


@dataclass(frozen=True)
class TrainPass:
    """What a pass over train gradients needs."""

    model: nn.Module
    """Inside ``frozen``."""

    pad_id: int
    tokens_per_batch: int

    def each_gradient(
        self,
        maps: Mapping[str, ModuleMaps],
        examples: Sequence[EncodedText],
        take: Callable[[str, Tensor, Tensor], None],
    ) -> None:
        """Call ``take(module name, positions (B,), whole gradients (B, d_in, d_out))`` for every batch and module."""
        self.each_projected(maps, examples, lambda name, place, gradient: take(name, place, gradient.dense()))

    def each_projected(
        self,
        maps: Mapping[str, ModuleMaps],
        examples: Sequence[EncodedText],
        take: Callable[[str, Tensor, ProjectedGradient], None],
    ) -> None:
        """The same, multiplied out or not."""
        capture_texts(self.model, maps, examples, take, pad_id=self.pad_id, tokens_per_batch=self.tokens_per_batch)


def fit_eigenbases(
    train: TrainPass, moments: Mapping[str, Moments], sample: Iterable[Sequence[EncodedText]]
) -> dict[str, Eigenbasis]:
    """Eigenvectors of the Kronecker factors, and the eigenvalues of EK-FAC over a sample.

    Args:
        train: The model.
        moments: Per module, as taken by the statistics pass.
        sample: Examples in groups of any size.
    """
    vectors = {
        name: (torch.linalg.eigh(moment.inputs.double()).eigenvectors.float(),
               torch.linalg.eigh(moment.output_grads.double()).eigenvectors.float())
        for name, moment in moments.items()
    }  # fmt: skip
    maps = {name: ModuleMaps(*sides) for name, sides in vectors.items()}
    squares = {name: torch.zeros(len(left), len(right)) for name, (left, right) in vectors.items()}
    count = 0

    def take(name: str, _: Tensor, rotated: Tensor) -> None:
        squares[name] += rotated.square().sum(0).cpu()

    for group in sample:
        train.each_gradient(maps, group, take)
        count += len(group)
    return {name: Eigenbasis(*sides, squares[name] / max(count, 1)) for name, sides in vectors.items()}


def score_uncompressed(
    train: TrainPass,
    gradients: Mapping[str, Float[Tensor, "Q i o"]],
    metrics: Sequence[Mapping[str, Metric]],
    examples: Sequence[EncodedText],
    head: HeadQueries | None = None,
) -> tuple[Float[Tensor, "M Q n"], Float[Tensor, "M n"]]:
    """Scores of some examples' whole gradients under several metrics, and their self-influences.

    Args:
        train: The model.
        gradients: Per module, query gradients as captured.
        metrics: M methods, each with a metric per module.
        examples: Encoded.
        head: The output head's part, for the methods that have one.
    """
    num_queries = len(next(iter(gradients.values())))
    scores = torch.zeros(len(metrics), num_queries, len(examples))
    self_influences = torch.zeros(len(metrics), len(examples))
    queries = {
        name: torch.cat([metric[name].apply(matrices) for metric in metrics]).flatten(1)
        for name, matrices in gradients.items()
    }

    def take(name: str, place: Tensor, gradient: ProjectedGradient) -> None:
        if head is not None and name == head.name:
            products, own = head.compare(gradient)
            scores[:, :, place] += products
            self_influences[:, place] += own
            return
        found = gradient.dense().cpu()
        scores[:, :, place] += (queries[name] @ found.flatten(1).mT).view(len(metrics), num_queries, -1)
        for row, metric in enumerate(metrics):
            self_influences[row, place] += metric[name].squared_norm(found)

    maps = {name: ModuleMaps(None, None) for name in gradients}
    train.each_projected(maps if head is None else maps | {head.name: head.maps}, examples, take)
    return scores, self_influences


def last_states(train: TrainPass, texts: Sequence[EncodedText]) -> Float[Tensor, "n width"]:
    """The last layer's hidden state at the last token of each text; zero for one without any token."""
    states: dict[int, Tensor] = {}
    last_ones = [sequences_of(text)[-1:] for text in texts]
    places = [place for place, last in enumerate(last_ones) if last and last[0].input_ids]
    examples = [last_ones[place][0] for place in places]
    with turn_on(train.model), torch.no_grad():
        for positions in plan_batches([len(example.input_ids) for example in examples], train.tokens_per_batch):
            batch = pad_batch([examples[position] for position in positions], train.pad_id)
            device = next(train.model.parameters()).device
            output = train.model(
                input_ids=batch.input_ids.to(device),
                attention_mask=batch.attention_mask.to(device),
                output_hidden_states=True,
                use_cache=False,
            )
            last = batch.attention_mask.sum(1) - 1  # padding is on the right
            found = output.hidden_states[-1][torch.arange(len(positions)), last.to(device)].float().cpu()
            states |= dict(zip((places[position] for position in positions), found, strict=True))
    nothing = torch.zeros_like(next(iter(states.values())))
    return torch.stack([states.get(place, nothing) for place in range(len(texts))])
