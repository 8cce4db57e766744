"""Adapter layers in a form that can be tracked: linear maps and vectors, each a module called with activations.

PEFT computes some adapters from bare parameters. The same numbers come from

    AdaLoRA   x → A → ⊙ E → B, beside the base           A and B linear maps, E a vector
    VeRA      x → A → ⊙ d → B → ⊙ b, beside the base     d and b vectors, A and B random and frozen
    IA3       base → ⊙ l, or ⊙ l → base                   l a vector
    DoRA      (base + A → B) / ‖W + BA‖ → ⊙ m            m a vector, the norm constant in the gradient

DoRA asks for that norm in every forward, and PEFT gets the product BA by sending an identity matrix of the layer's
width through the two maps: as much work as a long text, and calls that belong to no example. The product of the two
weights is the same matrix.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """A product with a trained vector, component by component."""

    is_diagonal = True
    """Its weights stand on a diagonal, as a norm's do (``lorif_core.weights``)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().flatten())

    def forward(self, x: Tensor) -> Tensor:
        """In the vector's dtype, (…, width)."""
        return x.to(self.weight.dtype) * self.weight


class FactoredAdaLora(nn.Module):
    """A linear layer under AdaLoRA, its factors of the names that LoRA gives them."""

    adapter_layer_names = ("lora_A", "lora_B", "lora_E")

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.base_layer = layer.base_layer
        self.lora_A = _per_adapter(layer, lambda name: _linear(layer.lora_A[name]))
        self.lora_E = _per_adapter(layer, lambda name: Scale(layer.lora_E[name]))
        self.lora_B = _per_adapter(layer, lambda name: _linear(layer.lora_B[name]))
        # What is added to the rank is PEFT's.
        self.scaling = {name: layer.scaling[name] / (float(layer.ranknum[name]) + 1e-5) for name in self.lora_A}

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Base output plus the adapter's, in the base output's dtype."""
        result = self.base_layer(x, *args, **kwargs)
        for name, scaling in self.scaling.items():
            inner = self.lora_E[name](self.lora_A[name](_as(x, self.lora_A[name])))
            result = result + (self.lora_B[name](inner) * scaling).to(result.dtype)
        return result


class FactoredVera(nn.Module):
    """A linear layer under VeRA, its two vectors as modules."""

    adapter_layer_names = ("vera_lambda_d", "vera_lambda_b")

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.base_layer = layer.base_layer
        self.vera_lambda_d = _per_adapter(layer, lambda name: Scale(layer.vera_lambda_d[name]))
        self.vera_lambda_b = _per_adapter(layer, lambda name: Scale(layer.vera_lambda_b[name]))
        self._random = (layer.vera_A, layer.vera_B)  # in a tuple: the model shares them and they are not trained
        self._widths = (layer.in_features, layer.out_features)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Base output plus the adapter's, in the base output's dtype."""
        result = self.base_layer(x, *args, **kwargs)
        for name, inner in self.vera_lambda_d.items():
            first = self._random[0][name][:, : self._widths[0]]
            second = self._random[1][name][: self._widths[1]]
            rows = _as(x, inner)
            rows = nn.functional.linear(inner(nn.functional.linear(rows, first.to(rows))), second.to(rows))
            result = result + self.vera_lambda_b[name](rows).to(result.dtype)
        return result


class FactoredIa3(nn.Module):
    """A linear layer under IA3, its vector as a module before or behind it."""

    adapter_layer_names = ("ia3_l",)

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.base_layer, self.is_feedforward = layer.base_layer, layer.is_feedforward
        self.ia3_l = _per_adapter(layer, lambda name: Scale(layer.ia3_l[name]))

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The base's output for scaled inputs, or its output scaled."""
        if self.is_feedforward:
            return self.base_layer(self._scaled(x), *args, **kwargs)
        return self._scaled(self.base_layer(x, *args, **kwargs))

    def _scaled(self, x: Tensor) -> Tensor:
        result = x
        for scale in self.ia3_l.values():
            result = scale(result)
        return result.to(x.dtype)


class FactoredDora(nn.Module):
    """DoRA's part of a LoRA layer, which PEFT calls with the layer's factors; its magnitudes as a module."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.scale = Scale(layer.weight)
        self._layer = (layer,)  # in a tuple: its weight is the scale's

    def forward(
        self,
        x: Tensor,
        *,
        lora_A: Any,
        lora_B: Any,
        scaling: float,
        base_layer: Any,
        base_result: Any = None,
        **_: Any,
    ) -> Tensor:
        """What is added to the base's output."""
        from peft.utils.integrations import dequantize_module_weight

        (layer,) = self._layer
        with torch.no_grad():  # PEFT detaches the norm, as the paper says
            weight = dequantize_module_weight(base_layer).to(x.dtype)
            norm = layer.get_weight_norm(weight, (lora_B.weight @ lora_A.weight).to(x.dtype), scaling)
        bias = base_layer.bias
        if base_result is None:
            base_result, bias = nn.functional.linear(x, weight.T if layer.fan_in_fan_out else weight), None
        base = base_result if bias is None else base_result - bias
        return self.scale((base + lora_B(lora_A(x)) * scaling) / norm) - base


def factor_layers(model: nn.Module) -> None:
    """Bring every adapter layer of a model into the form of modules; changes the model in place."""
    for name, module in list(model.named_modules()):
        factored = _factored(module)
        if factored is not None:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, factored)


def _factored(module: Any) -> nn.Module | None:
    if type(module).__name__ == "DoraLinearLayer":
        return FactoredDora(module)
    for parameters, form in (("lora_E", FactoredAdaLora), ("vera_lambda_d", FactoredVera), ("ia3_l", FactoredIa3)):
        held = getattr(module, parameters, None)
        if isinstance(held, nn.ParameterDict) and len(held) and all(one.ndim <= 2 for one in held.values()):
            return form(module)
    return None


def _per_adapter(layer: Any, make: Callable[[str], nn.Module]) -> nn.ModuleDict:
    return nn.ModuleDict({name: make(name) for name in layer.active_adapters})


def _as(x: Tensor, module: nn.Module) -> Tensor:
    return x.to(next(module.parameters()).dtype)


def _linear(weight: nn.Parameter) -> nn.Linear:
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = weight
    return linear
