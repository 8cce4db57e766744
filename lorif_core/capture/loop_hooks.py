"""Per-example gradients while somebody's own training loop makes its own: the weights' gradients are not touched.

A loop differentiates one number, a mean or a sum over what the batch holds. The gradient of a layer's product with
respect to that number, times what the loop divided by, is the gradient of the summed loss of every example, whose
rows are told apart by the first axis of the layer's input, or, where several texts share a row, by their segments.
What is differentiated twice, scaled, divided by accumulation or recomputed changes nothing but that divisor
(``collecting``).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from lorif_core.capture.collecting import Collector, PendingUse
from lorif_core.capture.layouts import BatchShape, Layout, Segments, layout_of, routed_layout
from lorif_core.capture.uses import Use, watch_uses
from lorif_core.errors import CaptureError
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, SequenceGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.sparse_maps import Mask

BatchSink = Callable[[str, ProjectedGradient], None]
"""Receives a module's name and the gradients of a batch's texts; a module comes once in a batch."""

NO_TOKENS = torch.zeros(0, dtype=torch.int64)


@dataclass
class LoopBatch:
    """What is known of a batch of a loop; what the forward pass tells is filled in when it comes."""

    num_rows: int
    """Along the first axis of what the layers are given."""

    divisors: float | Tensor | None
    """What the loss of each text was divided by, (texts,) or one number; None until the loss says so."""

    num_tokens: int | None = None
    """T, where rows are sequences of that length; None: a layer's rows of an example are whatever it is given."""

    segments: Segments | None = None
    """Which text each token is of, where several share a row."""

    is_one: bool = False
    """Whether all rows are of one example, whatever their shape."""

    rows_per_text: int = 1
    """Most rows of an example that a layer was given, where T is not known."""

    seen: set[str] = field(default_factory=set[str])
    """Modules whose products were seen."""

    taken: set[str] = field(default_factory=set[str])
    """Modules whose gradients were handed over."""

    @property
    def num_texts(self) -> int:
        """Texts whose gradients are told apart; a row, unless there are segments."""
        return self.num_rows if self.segments is None else self.segments.num_texts


class _LoopCollector(Collector):
    """Collects the gradients of one batch."""

    def __init__(
        self, maps: Mapping[str, ModuleMaps], sink: BatchSink, batch: LoopBatch, *, keeps_tokens: bool, narrows: bool
    ) -> None:
        shape = BatchShape(batch.num_rows, batch.num_tokens or 0, NO_TOKENS)
        super().__init__(maps, self._take, shape, keeps_tokens=keeps_tokens, refusals=None)
        self._batch, self._sink, self._narrows = batch, sink, narrows

    def on_use(self, use: Use) -> None:
        """Take in a product."""
        self._batch.seen.add(use.name)
        super().on_use(use)

    def _layout(self, use: Use) -> Layout | None:
        found = self._layout_of(use)
        leading = use.inputs.shape[:-1]
        if found is None or (use.rows is None and use.output.shape[:-1] != leading):
            raise CaptureError(
                f"the first axis of what every tracked layer is given must be the examples, and module {use.name!r} "
                f"received an input of shape {tuple(use.inputs.shape)} for {self._batch.num_rows} rows, so its "
                f"gradients cannot be told apart. Leave it out with `exclude=({use.name!r},)`."
            )
        is_narrowed = self._narrows and use.num_ids is None and not self.maps[use.name].keeps_outputs_apart
        return _narrowing(found) if is_narrowed else found

    def _layout_of(self, use: Use) -> Layout | None:
        batch, leading = self._batch, use.inputs.shape[:-1]
        if batch.is_one:
            return partial(_by_row, num_rows=1)
        shape = BatchShape(batch.num_rows, batch.num_tokens or 0, NO_TOKENS)
        if use.rows is not None:
            can_tell = batch.num_tokens is not None and batch.segments is None
            return routed_layout(use.rows, shape, keeps_tokens=self.keeps_tokens) if can_tell else None
        if batch.segments is not None:
            return batch.segments if leading in batch.segments.shapes else None
        found = None if batch.num_tokens is None else layout_of(leading, shape, keeps_tokens=False)
        if found is None and leading and leading[0] == batch.num_rows:
            batch.rows_per_text = max(batch.rows_per_text, math.prod(leading[1:]))
            return partial(_by_row, num_rows=batch.num_rows)
        return found

    def _finish(self, pending: PendingUse, output_grads: Tensor) -> ProjectedGradient:
        maps = self.maps[pending.name]
        is_plain = maps.sketch is None and not pending.is_swapped
        if not self._narrows or not is_plain or pending.order != "both" or isinstance(maps.output_map, Mask):
            return super()._finish(pending, output_grads)
        # A product of what was rounded already; a processor gives it rounded as well, four times as fast.
        rows = output_grads if maps.output_map is None else output_grads @ maps.output_map.to(output_grads.dtype)
        return DenseGradient((pending.prepared.to(torch.bfloat16).mT @ rows).float())

    def _take(self, name: str, gradient: ProjectedGradient) -> None:
        if name in self._batch.taken:
            raise CaptureError(
                f"a batch is differentiated once, and the gradients of module {name!r} came twice: add the losses up "
                "and call `backward` once, or give every `backward` a `run.batch` and a forward pass of its own."
            )
        if self._batch.divisors is None:
            raise CaptureError(
                "what the loss was divided by must be known before the gradients come: say `targets=` to `run.batch`."
            )
        self._batch.taken.add(name)
        weighed = weigh_gradient(gradient, self._batch.divisors, keeps_inputs=self.keeps_tokens)
        if self._narrows and isinstance(weighed, SequenceGradient) and not self.keeps_tokens:
            weighed = RoundedPair(weighed.inputs, weighed.output_grads)
        self._sink(name, weighed)


class RoundedPair(SequenceGradient):
    """A pair whose norm, which is for people, is that of its product in bfloat16."""

    def squared_norm(self) -> Tensor:
        """Squared Frobenius norm per example, (B,)."""
        pairs = zip(self.inputs.to(torch.bfloat16), self.output_grads, strict=True)
        # One example at a time, which stays in the cache: a third of the time of all at once.
        return torch.stack([_gram_product(inputs, rows.to(torch.bfloat16)) for inputs, rows in pairs])


def _gram_product(inputs: Tensor, rows: Tensor) -> Tensor:
    """‖XᵀY‖² = ⟨XXᵀ, YYᵀ⟩."""
    return ((inputs @ inputs.mT).float() * (rows @ rows.mT).float()).sum().clamp_min(0)


def _by_row(rows: Tensor, num_rows: int) -> Tensor:
    return rows.reshape(num_rows, -1, rows.shape[-1])


def _narrowing(layout: Layout) -> Layout:
    return lambda rows: layout(rows).to(torch.bfloat16)


def weigh_gradient(gradient: ProjectedGradient, weights: float | Tensor, *, keeps_inputs: bool) -> ProjectedGradient:
    """Gradients of the examples times one number each, or one for all; of a pair the narrower side is multiplied,
    unless its inputs are to stay as they are."""
    if not isinstance(weights, Tensor):
        if weights == 1:
            return gradient
        factor: float | Tensor = weights
    else:
        factor = weights.to(gradient.device)[:, None, None]
    if isinstance(gradient, DenseGradient):
        return DenseGradient(_times(gradient.matrix, factor))
    wide = gradient.wide
    if not keeps_inputs and wide.widths[0] < wide.widths[1]:
        return SequenceGradient(_times(wide.inputs, factor), wide.output_grads)
    return SequenceGradient(wide.inputs, _times(wide.output_grads, factor))


def _times(rows: Tensor, factor: float | Tensor) -> Tensor:
    return rows * (factor.to(rows.dtype) if isinstance(factor, Tensor) else factor)


class LoopWatch:
    """Sees the products of tracked weights for as long as a run lasts; between batches nothing is taken."""

    def __init__(self) -> None:
        self._collector: _LoopCollector | None = None

    def on_use(self, use: Use) -> None:
        """Hand a product to the batch that is at work."""
        if self._collector is not None:
            self._collector.on_use(use)

    @contextmanager
    def batch(
        self,
        maps: Mapping[str, ModuleMaps],
        sink: BatchSink,
        batch: LoopBatch,
        *,
        keeps_tokens: bool = False,
        narrows: bool = False,
    ) -> Iterator[None]:
        """Hand the projected gradients of a batch to ``sink``, module by module, while the block trains.

        The forward and the backward pass both lie in the block. The model's own gradients are what they would be.

        Args:
            maps: Of each tracked module, on that module's device.
            sink: Receives (module name, gradients of the batch's texts).
            batch: What is known of it.
            keeps_tokens: Hand over ``SequenceGradient``s.
            narrows: Multiply by the maps in bfloat16.

        Raises:
            CaptureError: The examples cannot be told apart, or a batch is differentiated twice.
        """
        collector = self._collector = _LoopCollector(maps, sink, batch, keeps_tokens=keeps_tokens, narrows=narrows)
        try:
            yield
            collector.flush()
        finally:
            self._collector = None
            collector.close()


@contextmanager
def watch_loop(model: nn.Module, names: list[str], heads: set[str]) -> Iterator[LoopWatch]:
    """What sees the products with the named weights while the block runs; the model is left as it was found."""
    watch = LoopWatch()
    with watch_uses(model, names, watch.on_use, heads=heads):
        yield watch
