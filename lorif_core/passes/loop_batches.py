"""What a batch of somebody's training loop leaves: stored rows of its texts, or its part of the statistics.

The rows of a batch are encoded as a shard's are, module by module while the backward pass comes by, and kept when the
batch has ended well. Beside what a shard holds they say of every text what was kept of it, since nobody knows yet
beside which others it will lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.capture.loop_hooks import LoopBatch
from lorif_core.errors import NumericalError
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, SequenceGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.passes.shards import GradientSource, ShardRows
from lorif_core.shapes import ModuleShape

ENERGY = "energy"
"""Tensor of rows, (n, modules, 3) float32: squared norm kept before the codec, as stored, and of the whole."""


class LoopRows(ShardRows):
    """The rows of one batch, in the order of its texts; of a text that is in it twice they are of the sum."""

    def __init__(self, source: GradientSource, places: Tensor) -> None:
        """Begin a batch.

        Args:
            source: Maps, method and modules.
            places: Row of each text of the batch, (texts,).
        """
        super().__init__(source, int(places.max()) + 1)
        self._own = torch.arange(self.num_examples)
        self._places = None if torch.equal(places, self._own) else places
        numbers = (self.num_examples, len(source.modules), 3)
        self._of_texts = torch.zeros(numbers)
        self._numbers = {module.name: number for number, module in enumerate(source.modules)}

    def take_module(self, name: str, gradient: ProjectedGradient) -> None:
        """Compress and encode one module's gradients of the batch's texts."""
        self.take(name, self._own, gradient if self._places is None else add_same(gradient, self._places))

    def finish(self) -> dict[str, Tensor]:
        """All tensors, on the CPU.

        Raises:
            NumericalError: A gradient was not finite.
        """
        self.compress_waiting()
        tensors = self.fill_missing()
        if not bool(torch.isfinite(tensors["norms"]).all()):
            raise NumericalError("a gradient of the batch is not finite.")
        return tensors | {ENERGY: self._of_texts}

    def _add_energies(self, modules: Sequence[ModuleShape], energies: Sequence[Tensor]) -> None:
        assert self._place is not None  # there are gradients
        found = torch.stack(list(energies), 2).float().cpu()  # (modules, n, 3)
        for module, own in zip(modules, found, strict=True):
            self._of_texts[self._place, self._numbers[module.name]] = own


def add_same(gradient: ProjectedGradient, places: Tensor) -> ProjectedGradient:
    """The gradients of a batch with those of one place added up."""
    matrix = gradient.dense()
    there = places.to(matrix.device)
    return DenseGradient(matrix.new_zeros(int(places.max()) + 1, *matrix.shape[1:]).index_add_(0, there, matrix))


@dataclass
class LoopStatistics:
    """Second moments of every tracked module over the first batches of a loop.

    A batch that fails half-way may be in the moments of some modules and not of others; each module's are a mean over
    the tokens that it has seen itself, so they stay what they are.
    """

    moments: dict[str, Moments]
    in_bfloat16: bool

    num_examples: int = 0
    num_tokens: int = 0

    def take(self, name: str, gradient: ProjectedGradient, batch: LoopBatch, is_real: Tensor | None) -> None:
        """Add one module's layer inputs and output gradients.

        Args:
            name: Of the module.
            gradient: Of the batch's texts, tokens apart.
            batch: The batch.
            is_real: Which tokens are no padding, (rows, T); None: all.
        """
        assert isinstance(gradient, SequenceGradient)
        inputs, output_grads = gradient.inputs, gradient.output_grads
        calls = max(1, inputs.shape[1] // (batch.num_tokens or inputs.shape[1]))
        num_tokens = inputs.shape[0] * inputs.shape[1]
        if batch.segments is not None:
            num_tokens = int(batch.segments.counts.sum())
        elif is_real is not None and inputs.shape[1] == calls * is_real.shape[1]:
            num_tokens = calls * int(is_real.sum())
            padding = ~is_real.to(inputs.device).repeat(1, calls)[..., None]
            inputs, output_grads = inputs.masked_fill(padding, 0), output_grads.masked_fill(padding, 0)
        moments = self.moments[name]
        if moments.output_grads.ndim == 1:  # a head: tokens that carry a gradient
            kept = output_grads.any(2)
            inputs, output_grads = inputs[kept], output_grads[kept]
        else:
            inputs, output_grads = inputs.flatten(0, 1), output_grads.flatten(0, 1)
        moments.add(inputs.float(), output_grads.float(), num_tokens, in_bfloat16=self.in_bfloat16)


def whole_maps(moments: Mapping[str, Moments]) -> dict[str, ModuleMaps]:
    """Maps that leave gradients as they are; a head's with its outputs apart."""
    return {
        name: ModuleMaps(None, torch.ones_like(one.output_grads) if one.output_grads.ndim == 1 else None)
        for name, one in moments.items()
    }
