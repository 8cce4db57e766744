"""Projected gradients of texts: of one sequence each, or summed over the sequences that a text consists of.

Sequences are summed before anything is factored or rounded, so a text of many windows takes the bytes of any other
and its stored form is that of the gradient of its whole loss (docs/decisions/0022).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import ExampleObjective, summed_cross_entropy
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedExample, EncodedText, has_targets, is_single, sequences_of
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, sum_over_sequences
from lorif_core.linalg.maps import ModuleMaps

SUMMED_NUMBERS = 1 << 28
"""Numbers of whole gradients that are alive at a time for a text that is longer than a batch (1 GiB). Modules beyond
that wait for another pass over the text."""

OnBatch = Callable[[int, int], None]
"""(texts, tokens of them)."""


class TrainTarget(NamedTuple):
    """What is differentiated of a text, and who is told what it is."""

    objective: ExampleObjective = summed_cross_entropy
    """Of each of its sequences; a text has their weighted sum."""

    take_values: Callable[[Tensor, Tensor], None] = lambda place, values: None
    """Receives (positions (B,) among the texts, their values (B,), where the model is)."""


LOSS = TrainTarget()


def capture_texts(
    model: nn.Module,
    maps: Mapping[str, ModuleMaps],
    texts: Sequence[EncodedText],
    take: Callable[[str, Tensor, ProjectedGradient], None],
    *,
    pad_id: int,
    tokens_per_batch: int,
    on_batch: OnBatch = lambda *_: None,
    target: TrainTarget = LOSS,
) -> None:
    """Hand over the gradients of every text that has a target, batch by batch and module by module.

    Neither the size of the batches nor the order in them shows in a gradient beyond float rounding.

    Args:
        model: Inside ``frozen``.
        maps: Per tracked module, on that module's device.
        texts: Encoded. Those without targets are not handed over: their gradient is zero.
        take: Receives (module name, positions (B,) among the texts, their gradients).
        pad_id: Any valid token.
        tokens_per_batch: Padding included; a longer text is read in several batches.
        on_batch: Called after each batch with (texts, tokens).
        target: What is differentiated.
    """
    told = [position for position, text in enumerate(texts) if has_targets(text)]
    if len(told) < len(texts):
        on_batch(len(texts) - len(told), 0)
    boundaries, work = length_boundaries(model), _Work(model, pad_id, target.objective)
    for positions in _plan(texts, told, tokens_per_batch, boundaries):
        sequences = [one for position in positions for one in sequences_of(texts[position])]
        count = len(sequences) // len(positions)
        if count > 1 and (boundaries or count * _longest(texts[positions[0]]) > tokens_per_batch):
            values = _capture_long(work, maps, sequences, _at(take, positions), tokens_per_batch)
        else:
            fold = None if all(is_single(texts[position]) for position in positions) else count
            values = _capture_batch(work, maps, sequences, _at(take, positions), fold)
        target.take_values(torch.tensor(positions), values)
        on_batch(len(positions), sum(len(one.input_ids) for one in sequences))


def _plan(
    texts: Sequence[EncodedText], positions: Sequence[int], tokens_per_batch: int, boundaries: Sequence[int]
) -> Iterator[list[int]]:
    """Batches of texts of as many sequences each; one that does not fit into a batch is by itself.

    So is one of several sequences where a model computes otherwise above some length: they may lie on both sides.
    """
    by_count: dict[int, list[int]] = {}
    for position in positions:
        by_count.setdefault(len(sequences_of(texts[position])), []).append(position)
    for count, chosen in sorted(by_count.items()):
        room = 1 if boundaries and count > 1 else tokens_per_batch // count
        for places in plan_batches([_longest(texts[position]) for position in chosen], room, boundaries):
            yield [chosen[place] for place in places]


def _longest(text: EncodedText) -> int:
    return max(len(one.input_ids) for one in sequences_of(text))


def _at(
    take: Callable[[str, Tensor, ProjectedGradient], None], positions: Sequence[int]
) -> Callable[[str, ProjectedGradient], None]:
    place = torch.tensor(positions)
    return lambda name, gradient: take(name, place, gradient)


class _Work(NamedTuple):
    """What is the same for all batches."""

    model: nn.Module
    pad_id: int
    objective: ExampleObjective


def _capture_batch(
    work: _Work,
    maps: Mapping[str, ModuleMaps],
    sequences: Sequence[EncodedExample],
    take: Callable[[str, ProjectedGradient], None],
    count: int | None,
) -> Tensor:
    """Gradients of a batch of whole texts, of ``count`` sequences each; None: of single ones as they are.

    Returns:
        The objective of each text, where the model is.
    """
    weights = torch.tensor([one.weight for one in sequences])

    def sink(name: str, gradient: ProjectedGradient) -> None:
        take(name, gradient if count is None else sum_over_sequences(gradient, count, weights))

    values = capture_gradients(work.model, maps, pad_batch(sequences, work.pad_id), work.objective, sink)
    return values if count is None else (values * weights.to(values)).view(-1, count).sum(1)


def _capture_long(
    work: _Work,
    maps: Mapping[str, ModuleMaps],
    sequences: Sequence[EncodedExample],
    take: Callable[[str, ProjectedGradient], None],
    tokens_per_batch: int,
) -> Tensor:
    """Gradients of one text that takes several batches, summed up whole; of so many modules at a time as fit.

    Returns:
        The objective of the text, (1,), where the model is.
    """
    left, values = dict(maps), list[Tensor]()
    while left:
        sums, values = _Sums({}, set()), list[Tensor]()
        lengths = [len(one.input_ids) for one in sequences]
        for places in plan_batches(lengths, tokens_per_batch, length_boundaries(work.model)):
            some = [sequences[place] for place in places]
            values.append(_capture_batch(work, left, some, sums.add, len(places)))
        for name, matrix in sums.matrices.items():
            take(name, DenseGradient(matrix))
        left = {name: left[name] for name in sums.waiting}
    return torch.stack(values).sum(0)


class _Sums(NamedTuple):
    """Whole gradients of one text, added up over its batches for as many modules as fit."""

    matrices: dict[str, Tensor]
    waiting: set[str]
    """Modules for another pass."""

    def add(self, name: str, gradient: ProjectedGradient) -> None:
        """Add one module's gradient of a batch."""
        if name in self.waiting:
            return
        matrix = gradient.dense()
        if name in self.matrices:
            self.matrices[name] += matrix
        elif self.matrices and sum(map(torch.numel, self.matrices.values())) + matrix.numel() > SUMMED_NUMBERS:
            self.waiting.add(name)
        else:
            self.matrices[name] = matrix
