"""Projected per-example gradients of every tracked weight, in one forward and one backward pass.

The weights are frozen, so no weight gradient is formed: the gradient enters through the input
embeddings, ``uses`` sees what is multiplied by each tracked weight, and a tensor hook on the product
takes its gradient. The two are multiplied as soon as both exist and handed to a sink
(``collecting``), so one weight's gradients are alive at a time.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from functools import lru_cache
from inspect import Parameter, getsource, signature
from typing import Any

import torch
from torch import Tensor, nn

from lorif_core.capture.collecting import Collector, GradientSink
from lorif_core.capture.layouts import BatchShape
from lorif_core.capture.objectives import ExampleObjective
from lorif_core.capture.uses import watch_uses
from lorif_core.errors import CaptureError, NumericalError
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.shapes import TokenBatch
from lorif_core.turns import base_of, turn_on


def capture_gradients(
    model: nn.Module,
    maps: Mapping[str, ModuleMaps],
    batch: TokenBatch,
    objective: ExampleObjective,
    sink: GradientSink,
    *,
    keeps_tokens: bool = False,
    refusals: dict[str, str] | None = None,
    keeps_graph: bool = False,
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
        refusals: Receives, by module name, why one cannot be told apart by example, instead of an error.
        keeps_graph: The gradients can be differentiated again, by what the objective was made with.

    Returns:
        The objective of each example in nats, (B,).

    Raises:
        CaptureError: A tracked module's input has no axis that tells the examples apart.
        NumericalError: An objective is not finite.
    """
    num_examples, num_tokens = batch.input_ids.shape
    predicting = predicting_positions(batch.target_mask)
    shape = BatchShape(num_examples, num_tokens, predicting)
    collector = Collector(maps, sink, shape, keeps_tokens=keeps_tokens, refusals=refusals)
    heads = {name for name, one in maps.items() if one.keeps_outputs_apart}
    with (
        turn_on(model),
        closing(collector),
        watch_uses(model, maps, collector.on_use, heads=heads),
        _entries(model) as entered,
        torch.enable_grad(),
    ):
        values = _evaluate(model, batch, predicting, objective)
        if not torch.isfinite(values).all():  # the only time that a GPU is waited for
            bad = values.detach()[~torch.isfinite(values)]
            raise NumericalError(
                f"the objective of an example is {float(bad[0])}: the model's outputs overflowed. Load it in "
                "float32 or bfloat16, or check its weights."
            )
        if keeps_graph:
            torch.autograd.grad(values.sum(), entered, create_graph=True)
        else:
            values.sum().backward()
    collector.flush()
    return values.detach()


@contextmanager
def _entries(model: nn.Module) -> Iterator[list[Tensor]]:
    """What the input embeddings give while the block runs: where the gradient enters."""
    entered: list[Tensor] = []

    def enter(_: nn.Module, args: Any, output: Tensor) -> None:
        entered.append(output)

    hook = input_embeddings(model).register_forward_hook(enter)
    try:
        yield entered
    finally:
        hook.remove()


def evaluate_objective(model: nn.Module, batch: TokenBatch, objective: ExampleObjective) -> Tensor:
    """The objective of each example, (B,), with a graph if gradients are enabled.

    Logits are computed only at positions that predict a target of some example, where the
    model's forward allows it: with a large vocabulary they would outweigh everything else.
    """
    return _evaluate(model, batch, predicting_positions(batch.target_mask), objective)


def _evaluate(model: nn.Module, batch: TokenBatch, predicting: Tensor, objective: ExampleObjective) -> Tensor:
    inputs = model_inputs(model, batch)
    ids = inputs["input_ids"]
    device, targets = ids.device, batch.target_mask.to(ids.device)
    predicting = predicting.to(device)
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


def predicting_positions(targets: Tensor) -> Tensor:
    """Positions whose logits predict a target of some example, (K,): those at t predict the token at t + 1."""
    return targets[:, 1:].any(0).nonzero().squeeze(1)


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


def num_ids(model: nn.Module) -> int:
    """How many token ids the model has an embedding for.

    Raises:
        CaptureError: It has no input embeddings.
    """
    # The first matrix: what an adapter wraps around an embedding comes behind the embedding's own.
    return next(len(one) for one in input_embeddings(model).parameters() if one.ndim == 2)


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
