"""What a tracked weight is: a parameter of a module, or one expert's matrix of a parameter that holds them all.

A tracked weight is named like the module that owns it (`model.layers.0.mlp.up_proj`). Fused experts, whose matrices
of one kind are a single parameter with a first axis for the expert, are named as if each expert were a module of its
own: `model.layers.0.mlp.experts.3.gate_up_proj`.

The kind says which matrix a weight stands for. A linear map's gradient is (in, out). An embedding is the linear map
of one-hot inputs, (tokens, width). A norm's weights stand on a diagonal, which is a map from one number, (1, width).
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

Kind = Literal["linear", "embedding", "norm", "experts"]

_EXPERT = re.compile(r"(?P<module>.*)\.(?P<expert>\d+)\.(?P<parameter>\w+)")
_NUMBERED_EXPERT = re.compile(r"(?<=experts\.)\d+(?=\.)")


@dataclass(frozen=True)
class TrackedWeight:
    """One matrix whose gradients are stored."""

    name: str
    """As it stands in an index."""

    module_name: str
    """torch's dotted path of the module that owns it."""

    module: nn.Module
    parameter: nn.Parameter
    kind: Kind

    expert: int | None = None
    """Place on the parameter's first axis; None where the parameter is the matrix."""

    def of(self, tensor: Tensor) -> Tensor:
        """This weight's part of a tensor of the parameter's shape, as (in, out)."""
        part = tensor if self.expert is None else tensor[self.expert]
        if self.kind == "norm":
            return part[None]
        return part.mT if is_out_first(self.module) else part


def locate_weight(model: nn.Module, name: str) -> TrackedWeight:
    """The weight that a name in an index stands for.

    Raises:
        AttributeError: The model has no such weight.
    """
    try:
        module = model.get_submodule(name)
    except AttributeError:
        found = _EXPERT.fullmatch(name)
        if found is None:
            raise
        owner = model.get_submodule(found["module"])
        return TrackedWeight(
            name, found["module"], owner, getattr(owner, found["parameter"]), "experts", int(found["expert"])
        )
    weight: Any = module.weight
    return TrackedWeight(name, name, module, weight, kind_of(module) or "linear")


def output_head(model: nn.Module) -> nn.Module | None:
    """The module that makes logits, if the model names one."""
    return getattr(model, "get_output_embeddings", lambda: None)()


def expert_name(module_name: str, expert: int, parameter: str) -> str:
    """Name of one expert's matrix among fused ones."""
    return f"{module_name}.{expert}.{parameter}"


def family_of(name: str) -> str:
    """The name without the number of its expert: what all experts of one layer and matrix share."""
    return _NUMBERED_EXPERT.sub("*", name)


def kind_of(module: nn.Module) -> Kind | None:
    """What the module's own weights compute; None where nothing says so."""
    if fused_experts(module):
        return "experts"
    weight = own_weight(module)
    if weight is None:
        return None
    if isinstance(module, nn.Embedding):
        return "embedding"
    if weight.ndim == 1 and ("norm" in type(module).__name__.lower() or getattr(module, "is_diagonal", False)):
        return "norm"
    return "linear" if weight.ndim == 2 else None


def own_weight(module: nn.Module) -> nn.Parameter | None:
    """The module's parameter of that name; wrappers pass another module's on, which is not theirs."""
    return module._parameters.get("weight")  # `named_parameters` takes a hundred times as long, for every batch


def fused_experts(module: nn.Module) -> list[str]:
    """Names of the parameters that hold one matrix per expert, if transformers lets their computation be chosen."""
    if not hasattr(module, "_apply_gate") or not hasattr(module, "has_gate"):
        return []
    found = ("gate_up_proj" if module.has_gate else "up_proj", "down_proj")
    names = [name for name in found if getattr(getattr(module, name, None), "ndim", 0) == 3]
    return names if len(names) == len(found) else []


def is_out_first(module: nn.Module) -> bool:
    """Whether the module's matrices lie as (out, in), as torch's linear maps do, and not as (in, out)."""
    if fused_experts(module):
        return not getattr(module, "is_transposed", False)
    return not isinstance(module, (nn.Embedding, Conv1D))
