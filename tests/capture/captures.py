"""Steps that the capture tests share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lorif_core.capture.hooks import capture_gradients, frozen
from lorif_core.capture.objectives import example_objective
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.maps import ModuleMaps, random_maps
from lorif_core.models.modules import list_modules, tracked_shapes


def maps_of(model: nn.Module, f: int) -> dict[str, ModuleMaps]:
    """Maps of every tracked module in the model's dtype, on its device."""
    parameter = next(model.parameters())
    return {
        shape.name: random_maps(shape, f=f, seed=3).to(parameter.device, parameter.dtype)
        for shape in tracked_shapes(list_modules(model), f)
    }


def captured(
    model: nn.Module,
    maps: dict[str, ModuleMaps],
    examples: Sequence[EncodedExample],
    *,
    objective: str = "loss",
    padding_side: str = "right",
    keeps_tokens: bool = False,
) -> dict[str, Tensor]:
    """Projected gradients per module, (B, d_in, d_out), from one padded batch."""
    found: dict[str, Tensor] = {}

    def take(name, gradient):
        assert name not in found, "a module is handed over once"
        found[name] = gradient.dense()

    batch = pad_batch(examples, 1, padding_side=padding_side)
    with frozen(model):
        capture_gradients(model, maps, batch, example_objective(objective), take, keeps_tokens=keeps_tokens)
    return found


def state_of(model: nn.Module) -> dict[str, object]:
    """Everything about a model that a capture could leave changed."""
    hook_kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "training": {name: module.training for name, module in model.named_modules()},
        "hooks": {
            name: [dict(getattr(module, kind)) for kind in hook_kinds] for name, module in model.named_modules()
        },
        "attributes": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "parameters": {
            name: (parameter.requires_grad, parameter.grad, parameter.dtype, parameter.device)
            for name, parameter in model.named_parameters()
        },
        "weights": {name: float(tensor.detach().double().sum()) for name, tensor in model.state_dict().items()},
        "grad_enabled": torch.is_grad_enabled(),
    }
