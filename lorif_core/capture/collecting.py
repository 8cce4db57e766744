"""From the uses of tracked weights to one gradient per weight and example.

A weight that is used several times (called twice, or shared by two modules) has the sum of its uses' gradients. It is
handed over when the gradient of its last use has arrived. Weights whose vectors are added up are handed over at the
end, as one.

Gradient checkpointing runs a forward twice. Under the re-entrant kind the first run has no
graph and the second one counts; under the other kind it is the reverse.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lorif_core.capture.layouts import BatchShape, Layout, layout_of, routed_layout
from lorif_core.capture.uses import Use
from lorif_core.errors import CaptureError
from lorif_core.linalg.gradients import (
    DenseGradient,
    Order,
    ProjectedGradient,
    finish_gradient,
    multiplication_order,
    multiply_sides,
    prepare_inputs,
    project_side,
    sum_gradients,
)
from lorif_core.linalg.maps import ModuleMaps, Side

GradientSink = Callable[[str, ProjectedGradient], None]
"""Called once per tracked module that received a gradient, in the order of the backward pass."""


class PendingUse(NamedTuple):
    """What is known of a use before its gradient arrives; not its output, whose hook holds this."""

    name: str
    prepared: Tensor
    order: Order
    layout: Layout
    is_swapped: bool
    scale: Tensor | None
    skips: Tensor | None


class Collector:
    """State of one pass: which uses were seen, and the gradients of those that are complete."""

    def __init__(
        self,
        maps: Mapping[str, ModuleMaps],
        sink: GradientSink,
        shape: BatchShape,
        *,
        keeps_tokens: bool,
        refusals: dict[str, str] | None,
    ) -> None:
        self.maps, self.sink = maps, sink
        self.shape, self.keeps_tokens, self.refusals = shape, keeps_tokens, refusals
        self._expected: Counter[str] = Counter()
        self._without_graph: Counter[str] = Counter()
        self._parts: dict[str, list[ProjectedGradient]] = defaultdict(list)
        self._joined: dict[str, DenseGradient] = {}
        self._hooks: list[RemovableHandle] = []

    def close(self) -> None:
        """Let go of the graph: hooks hold what gradients are made of, and the graph holds the hooks.

        No garbage collector sees that cycle. Nothing is handed over a second time either, if the graph is used again.
        """
        for hook in self._hooks:
            hook.remove()

    def on_use(self, use: Use) -> None:
        """Take in what a weight was multiplied by, and wait for the gradient of the product."""
        name = use.name
        if is_in_backward():  # a recomputation by gradient checkpointing
            if not self._without_graph[name]:
                return
            self._without_graph[name] -= 1
        else:
            self._expected[name] += 1
            if not use.output.requires_grad:
                self._without_graph[name] += 1
                return
        layout = self._layout(use)
        if layout is None:
            return
        prepared, order = self._prepare(use, layout(_as_multiplied(use)))
        # A tensor hook, not a module backward hook: the latter warns (and may copy) when the
        # module's input needs no gradient, as in the first layer.
        pending = PendingUse(use.name, prepared, order, layout, use.is_swapped, use.scale, use.skips)
        self._hooks.append(use.output.register_hook(partial(self._on_output_grad, pending)))

    def _layout(self, use: Use) -> Layout | None:
        if use.rows is not None:
            return routed_layout(use.rows, self.shape, keeps_tokens=self.keeps_tokens)
        leading = use.inputs.shape[:-1]
        # A head's rows are as wide as the vocabulary: there are none but where logits are.
        keeps_tokens = self.keeps_tokens and not self.maps[use.name].keeps_outputs_apart
        layout = layout_of(leading, self.shape, keeps_tokens=keeps_tokens)
        if layout is not None and use.output.shape[:-1] == leading:
            return layout
        seen = f"an input of shape {tuple(use.inputs.shape)}"
        if self.refusals is None:
            raise CaptureError(
                f"module {use.name!r} received {seen} for a batch of {self.shape.num_examples} examples of "
                f"{self.shape.num_tokens} tokens, so its gradient cannot be told apart by example (routed experts do "
                f"this). Leave it out with `--exclude {use.name!r}`."
            )
        self.refusals[use.name] = f"{seen} cannot be told apart by example"
        return None

    def _prepare(self, use: Use, inputs: Tensor) -> tuple[Tensor, Order]:
        """What of the inputs (B, R, width) is kept until the gradient arrives."""
        maps = self.maps[use.name]
        in_features, out_features = use.num_ids or inputs.shape[-1], use.output.shape[-1]
        if use.is_swapped:
            in_features, out_features = out_features, in_features
        order: Order = "sequence"
        if not self.keeps_tokens:
            order = multiplication_order(inputs.shape[1], in_features, out_features, maps)
        side = maps.output_map if use.is_swapped else maps.input_map
        if use.num_ids is not None:
            return _of_ids(inputs[..., 0], side, use), "both" if order in ("input", "output") else order
        if use.is_swapped:
            return project_side(inputs, side), "both" if order in ("input", "output") else order
        return prepare_inputs(inputs, maps, order), order

    def _on_output_grad(self, pending: PendingUse, output_grads: Tensor) -> None:
        name = pending.name
        if pending.scale is not None:
            output_grads = output_grads * pending.scale
        if pending.skips is not None:
            output_grads = output_grads.masked_fill(pending.skips[..., None], 0)
        self._parts[name].append(self._finish(pending, pending.layout(output_grads)))
        if len(self._parts[name]) == self._expected[name]:
            self._hand_over(name)

    def _finish(self, pending: PendingUse, output_grads: Tensor) -> ProjectedGradient:
        return finish_use(pending, output_grads, self.maps[pending.name])

    def flush(self) -> None:
        """Hand over modules some of whose calls had no effect on the objective, then what modules have together."""
        for name in list(self._parts):
            self._hand_over(name)
        for name in list(self._joined):
            self.sink(name, self._joined.pop(name))

    def _hand_over(self, name: str) -> None:
        gradients = self._parts.pop(name)
        gradient = gradients[0] if len(gradients) == 1 else sum_gradients(gradients)
        joined = self.maps[name].joined_as
        if joined is None:
            self.sink(name, gradient)
            return
        assert isinstance(gradient, DenseGradient)  # a sketch has multiplied it out
        before = self._joined.get(joined)
        self._joined[joined] = gradient if before is None else before.plus(gradient)


def is_in_backward() -> bool:
    """Whether a backward pass is at work in this thread, as it is while checkpointing computes a forward again."""
    return torch._C._current_graph_task_id() != -1  # what torch.utils.checkpoint asks itself


def _as_multiplied(use: Use) -> Tensor:
    """What a weight was multiplied by: on a GPU autocast rounds it for the product, and for the weight's gradient."""
    inputs, product = use.inputs.detach(), use.output.dtype
    return inputs.to(product) if inputs.is_cuda and use.num_ids is None and product == torch.bfloat16 else inputs


def _of_ids(ids: Tensor, side: Side, use: Use) -> Tensor:
    """One-hot rows times a map: its rows; without a matrix the one-hot rows or some of them, float32 or wider."""
    wide = torch.promote_types(use.output.dtype, torch.float32)
    if isinstance(side, Tensor):
        return side[ids].to(wide)
    return project_side(torch.nn.functional.one_hot(ids, use.num_ids or -1).to(wide), side)


def finish_use(pending: PendingUse, output_grads: Tensor, maps: ModuleMaps) -> ProjectedGradient:
    """The gradients of a use, from those of its output (B, R, width)."""
    if not pending.is_swapped:
        return finish_gradient(pending.prepared, output_grads, maps, pending.order)
    return multiply_sides(project_side(output_grads, maps.input_map), pending.prepared, maps, pending.order)
