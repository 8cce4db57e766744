"""Projected per-example gradients of every tracked module, in one forward and one backward pass.

The weights are frozen, so no weight gradient is formed: the gradient enters through the input
embeddings, a forward hook takes each tracked module's input and a tensor hook on its output
takes the output gradient. The two are multiplied as soon as both exist and handed to a sink,
so one module's gradients are alive at a time. A module that is called several times (shared
weights) has the sum of its calls' gradients.

Gradient checkpointing runs a forward twice. Under the re-entrant kind the first run has no
graph and the second one counts; under the other kind it is the reverse.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from functools import lru_cache, partial
from inspect import Parameter, getsource, signature
from typing import Any

import torch
from torch import Tensor, nn

from lorif_core.capture.objectives import ExampleObjective
from lorif_core.errors import CaptureError, NumericalError
from lorif_core.linalg.gradients import (
    Order,
    ProjectedGradient,
    finish_gradient,
    multiplication_order,
    prepare_inputs,
    sum_gradients,
)
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.shapes import TokenBatch
from lorif_core.turns import base_of, turn_on

GradientSink = Callable[[str, ProjectedGradient], None]
"""Called once per tracked module that received a gradient, in the order of the backward pass."""


def capture_gradients(
    model: nn.Module,
    maps: Mapping[str, ModuleMaps],
    batch: TokenBatch,
    objective: ExampleObjective,
    sink: GradientSink,
    *,
    keeps_tokens: bool = False,
) -> Tensor:
    """Hand the projected gradients of a batch to ``sink``, module by module.

    The model must be inside ``frozen`` and is otherwise left as it was found, also when the
    pass raises. A module that no gradient reaches (an expert that no token was routed to) is
    not handed over; its gradient is zero.

    Args:
        model: A causal language model.
        maps: Maps of each tracked module, on that module's device.
        batch: Padded token sequences, on any device.
        objective: One number per example.
        sink: Receives (module name, gradients of the B examples).
        keeps_tokens: Hand over ``SequenceGradient``s, which split over tokens.

    Returns:
        The objective of each example in nats, (B,).

    Raises:
        CaptureError: A tracked module's input has no axis that tells the examples apart.
        NumericalError: An objective is not finite.
    """
    capture = _Capture(maps, sink, batch.input_ids.shape, keeps_tokens)
    with turn_on(model), ExitStack() as hooks:
        for name in maps:
            handle = model.get_submodule(name).register_forward_hook(partial(capture.on_forward, name))
            hooks.callback(handle.remove)
        with torch.enable_grad():
            values = evaluate_objective(model, batch, objective)
            bad = values.detach()[~torch.isfinite(values)]
            if len(bad):
                raise NumericalError(
                    f"the objective of an example is {float(bad[0])}: the model's outputs overflowed. Load it in "
                    "float32 or bfloat16, or check its weights."
                )
            capture.is_backward = True
            values.sum().backward()
    capture.flush()
    return values.detach()


def evaluate_objective(model: nn.Module, batch: TokenBatch, objective: ExampleObjective) -> Tensor:
    """The objective of each example, (B,), with a graph if gradients are enabled.

    Logits are computed only at positions that predict a target of some example, where the
    model's forward allows it: with a large vocabulary they would outweigh everything else.
    """
    inputs = model_inputs(model, batch)
    ids = inputs["input_ids"]
    device, targets = ids.device, batch.target_mask.to(ids.device)
    predicting = targets[:, 1:].any(0).nonzero().squeeze(1)  # (K,): the logits at t predict the token at t + 1
    keeps = "logits_to_keep" in _accepted(model) and len(predicting) > 0
    if keeps:
        inputs["logits_to_keep"] = predicting
    autocast = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    with turn_on(model), autocast:
        logits = model(**inputs).logits
    if not keeps:
        logits = logits[:, predicting.to(logits.device)]
    labels, is_target = ids[:, predicting + 1], targets[:, predicting + 1]
    return objective(logits, labels.to(logits.device), is_target.to(logits.device))


def model_inputs(model: nn.Module, batch: TokenBatch) -> dict[str, Any]:
    """What a model's forward takes of a batch, on the device of its input embeddings."""
    device = next(input_embeddings(model).parameters()).device
    ids, attention = batch.input_ids.to(device), batch.attention_mask.to(device)
    inputs = {"input_ids": ids, "attention_mask": attention, "use_cache": False}
    if "position_ids" in _accepted(model):
        # Explicit positions: counted from the first real token, so left padding shifts nothing.
        inputs["position_ids"] = (attention.cumsum(1) - 1).clamp_min(0)
    return inputs


def _accepted(model: nn.Module) -> Mapping[str, Parameter]:
    return signature(base_of(model).forward).parameters  # an adapter wrapper's names none


def input_embeddings(model: nn.Module) -> nn.Module:
    """The module through which the gradient enters: an embedding, or what an adapter wraps around it.

    Raises:
        CaptureError: The model does not name one.
    """
    embeddings = getattr(model, "get_input_embeddings", lambda: None)()
    if not isinstance(embeddings, nn.Module) or not hasattr(embeddings, "weight"):
        raise CaptureError(
            f"a model must have input embeddings for the gradient to enter through, {type(model).__name__} names "
            "none. Only causal language models over token ids can be indexed."
        )
    return embeddings


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, frozen weights and a gradient that starts at the input embeddings.

    No other thread uses the model meanwhile: its forwards would run into the hooks, and its own ``frozen`` would end
    this one. Restores the training flag of every submodule and ``requires_grad`` of every parameter,
    also when the block raises. Layers that checkpoint their activations stay in training mode
    themselves, because transformers checkpoints only there; what they contain does not, and a
    layer whose own ``forward`` reads the flag (for a dropout of its own, as OPT's) is rather not
    checkpointed.
    """
    with turn_on(model):
        modes = {module: module.training for module in model.modules()}
        trainable = {parameter: parameter.requires_grad for parameter in model.parameters()}
        entry = input_embeddings(model).register_forward_hook(lambda module, args, output: output.requires_grad_())
        try:
            for parameter in trainable:
                parameter.requires_grad_(False)
            model.eval()
            for module in modes:
                if getattr(module, "gradient_checkpointing", False) and not _reads_training_flag(type(module)):
                    module.training = True
            yield
        finally:
            entry.remove()
            for module, mode in modes.items():
                module.training = mode
            for parameter, requires_grad in trainable.items():
                parameter.requires_grad_(requires_grad)


@lru_cache
def _reads_training_flag(layer: type[nn.Module]) -> bool:
    try:
        return "self.training" in getsource(layer.forward)
    except (OSError, TypeError):  # no source to read: assume the worst
        return True


class _Capture:
    """State of one pass: which calls were seen, and the gradients of those that are complete."""

    def __init__(
        self, maps: Mapping[str, ModuleMaps], sink: GradientSink, batch_shape: torch.Size, keeps_tokens: bool
    ) -> None:
        self.maps, self.sink = maps, sink
        self.batch_shape, self.keeps_tokens = batch_shape, keeps_tokens
        self.is_backward = False
        self._expected: Counter[str] = Counter()
        self._without_graph: Counter[str] = Counter()
        self._parts: dict[str, list[tuple[Tensor, Tensor, Order]]] = defaultdict(list)

    def on_forward(self, name: str, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if self.is_backward:  # a recomputation by gradient checkpointing
            if not self._without_graph[name]:
                return
            self._without_graph[name] -= 1
        else:
            self._expected[name] += 1
            if not output.requires_grad:
                self._without_graph[name] += 1
                return
        inputs = self._with_batch_axis(name, args[0].detach())
        maps = self.maps[name]
        order: Order = "sequence"
        if not self.keeps_tokens:
            order = multiplication_order(inputs.shape[1], inputs.shape[2], output.shape[-1], maps)
        prepared = prepare_inputs(inputs, maps, order)
        # A tensor hook, not a module backward hook: the latter warns (and may copy) when the
        # module's input needs no gradient, as in the first layer.
        output.register_hook(partial(self._on_output_grad, name, prepared, order))

    def _on_output_grad(self, name: str, prepared: Tensor, order: Order, output_grads: Tensor) -> None:
        self._parts[name].append((prepared, self._with_batch_axis(name, output_grads), order))
        if len(self._parts[name]) == self._expected[name]:
            self._hand_over(name)

    def flush(self) -> None:
        """Hand over modules some of whose calls had no effect on the objective."""
        for name in list(self._parts):
            self._hand_over(name)

    def _hand_over(self, name: str) -> None:
        calls = self._parts.pop(name)
        gradients = [finish_gradient(prepared, grads, self.maps[name], order) for prepared, grads, order in calls]
        self.sink(name, gradients[0] if len(gradients) == 1 else sum_gradients(gradients))

    def _with_batch_axis(self, name: str, rows: Tensor) -> Tensor:
        """(B, T, width), also for models that flatten examples and tokens into one axis."""
        size, length = self.batch_shape
        if rows.ndim == 3 and rows.shape[0] == size:
            return rows
        if rows.ndim == 2 and rows.shape[0] == size * length:
            return rows.view(size, length, -1)
        raise CaptureError(
            f"module {name!r} received an input of shape {tuple(rows.shape)} for a batch of {size} examples of "
            f"{length} tokens, so its gradient cannot be told apart by example (routed experts do this). "
            f"Leave it out with `--exclude {name!r}`."
        )
