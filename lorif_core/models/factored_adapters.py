"""Adapter layers whose arithmetic is brought into the form of two linear maps, which can be tracked.

AdaLoRA computes ``x (A * E)ᵀ Bᵀ`` from bare parameters. The same numbers come from a linear map A, a vector E and a
linear map B, called one after the other. DoRA asks for the norm of its merged weight in every forward and gets the
product of its factors by sending an identity matrix of the layer's width through the two maps: as much work as a long
text, and calls that belong to no example. The product of the two weights is the same matrix.
"""

from typing import Any

import torch
from torch import Tensor, nn


def apply_factors(model: nn.Module) -> None:
    """Bring every adapter layer of a model into the form of linear maps; changes the layers in place."""
    for name, module in list(model.named_modules()):
        kind = type(module).__name__
        if kind == "DoraLinearLayer":
            object.__setattr__(module, "get_lora_weight", _product_of_factors)
        if kind == "SVDLinear":
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, FactoredAdaLora(module))


def _product_of_factors(lora_A: nn.Linear, lora_B: nn.Linear, adapter_name: str | None = None) -> Tensor:
    return lora_B.weight @ lora_A.weight


class FactoredAdaLora(nn.Module):
    """A linear layer under AdaLoRA, its factors as linear modules of the names that LoRA gives them."""

    adapter_layer_names = ("lora_A", "lora_B", "lora_E")

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.base_layer = layer.base_layer
        self.lora_A, self.lora_B, self.lora_E = nn.ModuleDict(), nn.ModuleDict(), nn.ParameterDict()
        self.scaling: dict[str, float] = {}
        for adapter in layer.active_adapters:
            self.lora_A[adapter] = _linear(layer.lora_A[adapter])
            self.lora_B[adapter] = _linear(layer.lora_B[adapter])
            self.lora_E[adapter] = layer.lora_E[adapter]
            self.scaling[adapter] = layer.scaling[adapter] / (float(layer.ranknum[adapter]) + 1e-5)  # PEFT's 1e-5

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Base output plus the adapter's, in the base output's dtype."""
        result = self.base_layer(x, *args, **kwargs)
        for adapter, first in self.lora_A.items():
            inner = first(x.to(self.lora_E[adapter].dtype)) * self.lora_E[adapter].squeeze(1)
            result = result + (self.lora_B[adapter](inner) * self.scaling[adapter]).to(result.dtype)
        return result


def _linear(weight: nn.Parameter) -> nn.Linear:
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = weight
    return linear
