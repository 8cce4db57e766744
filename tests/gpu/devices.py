"""Models on a device in each precision that they are used in, and how far off each may be."""

import pytest
import torch
from captures import maps_of
from tiny_models import ARCHITECTURES, WIDEST, tiny_model
from torch import Tensor, nn

from lorif_core.linalg.maps import ModuleMaps

PRECISIONS = ("float32", "autocast", "bfloat16")
"""All of the model in float32; its weights in float32 and its products in bfloat16; all of it in bfloat16."""

FLOAT32 = 2e-5
"""Some hundred roundings of 2⁻²⁴ each, over two layers."""

BFLOAT16 = dict.fromkeys(ARCHITECTURES, 32 * 2**-8) | {"opt": 64 * 2**-8}
"""Some ten products, each rounded to 2⁻⁸, there and back, in models whose weights are wide enough for sharp
attention. A ReLU also opens or closes where a number is rounded across zero."""

NOT_IN = {
    # Rounding may send a token to another expert, which is another function.
    "autocast": {"qwen3_moe"},
    # peft keeps adapters in float32, whatever the model is in.
    "bfloat16": {"qwen3_moe", "llama_lora"},
}
CASES = [(one, how) for one in ARCHITECTURES for how in PRECISIONS if one not in NOT_IN.get(how, ())]


def model_on(device: torch.device, architecture: str, precision: str) -> nn.Module:
    """A tiny model that computes in a precision of ``PRECISIONS``, or in its widest dtype: ``widest``."""
    if architecture == "llama_lora":
        pytest.importorskip("peft")
    if precision == "widest":
        # Autocast leaves float64 as it is, but not the float32 of the models that have no float64.
        model = tiny_model(architecture)
        return _with_autocast(model, device, on=False) if WIDEST[architecture] == torch.float32 else model.to(device)
    if precision == "bfloat16":
        return tiny_model(architecture, dtype=torch.bfloat16).to(device)
    return _with_autocast(tiny_model(architecture, dtype=torch.float32), device, on=precision == "autocast")


def _with_autocast(model: nn.Module, device: torch.device, *, on: bool) -> nn.Module:
    """On a GPU the engine turns autocast on itself, on the CPU nothing does."""
    if on == (device.type == "cuda"):
        return model.to(device)
    model.forward = torch.autocast(device.type, torch.bfloat16, enabled=on)(model.forward)
    return model.to(device)


def oracle_model(architecture: str, precision: str = "widest") -> nn.Module:
    """The same function on the CPU in the widest dtype: where weights are bfloat16, with the rounded ones."""
    if precision != "bfloat16":
        return tiny_model(architecture)
    return tiny_model(architecture, dtype=torch.bfloat16).to(WIDEST[architecture])


def float32_maps(model: nn.Module, f: int) -> dict[str, ModuleMaps]:
    """Random maps as an index has them: on the model's device, float32 whatever the model's dtype."""
    device = next(model.parameters()).device
    return {name: maps.to(device, torch.float32) for name, maps in maps_of(model, f).items()}


def distance(found: Tensor, wanted: Tensor) -> float:
    """Norm of the difference over the norm of what was wanted."""
    return float((found.detach().double().cpu() - wanted.double().cpu()).norm() / wanted.double().norm())
