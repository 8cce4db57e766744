"""Models whose weights are stored in few bits: which package reads them, and what is known of their modules."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lorif_core.errors import ModelError
from lorif_core.files import read_json

_PACKAGES = {
    "bitsandbytes": ("bitsandbytes",),
    "gptq": ("gptqmodel", "optimum"),
    "awq": ("gptqmodel",),
    "hqq": ("hqq",),
    "compressed-tensors": ("compressed_tensors",),
    "torchao": ("torchao",),
    "quanto": ("optimum.quanto",),
    "aqlm": ("aqlm",),
    "eetq": ("kernels",),
    "auto-round": ("auto_round",),
    "vptq": ("vptq",),
    "spqr": ("spqr_quant",),
}
"""What reads each method, by the names under which it is imported."""


_TAKES_FLOAT32 = {"bitsandbytes", "torchao", "hqq", "quanto"}
"""Methods that unpack weights to whatever dtype they multiply; others have kernels for the stored one."""


def quantisation_of(folder: Path) -> Mapping[str, Any] | None:
    """How a model's weights were quantised, as its config.json says; None for weights in full precision."""
    found = read_json(folder / "config.json").get("quantization_config")
    return found if isinstance(found, dict) and found else None


def method_of(quantisation: Mapping[str, Any]) -> str:
    """Name of the method, such as ``gptq``; bitsandbytes did not always write one."""
    if quantisation.get("quant_method"):
        return str(quantisation["quant_method"]).replace("_", "-")
    return "bitsandbytes" if quantisation.get("load_in_4bit") or quantisation.get("load_in_8bit") else "unknown"


def takes_float32(quantisation: Mapping[str, Any]) -> bool:
    """Whether everything around the packed weights can be computed in float32."""
    return method_of(quantisation) in _TAKES_FLOAT32


def quantised_alone(quantisation: Mapping[str, Any] | None, name: str) -> str:
    """Why a quantised model without an adapter cannot be indexed, and what can."""
    return (
        f"{name!r} is quantised with {method_of(quantisation or {})}, and nothing trains packed weights: only an "
        "adapter on it could be tracked. Give the adapter's folder, or the model in full precision: "
        f"`AutoModelForCausalLM.from_pretrained({name!r}).dequantize().save_pretrained(OUT)`, then give OUT."
    )


def require_packages(quantisation: Mapping[str, Any], name: str) -> None:
    """Refuse a quantised model that nothing installed can read.

    Args:
        quantisation: Of ``config.json``.
        name: The model, as the person gave it.

    Raises:
        ModelError: Names the package to install, and what to do without it.
    """
    method = method_of(quantisation)
    missing = [package for package in ("accelerate", *_PACKAGES.get(method, ())) if not _is_installed(package)]
    if missing:
        wanted = " ".join(package.replace(".", "-").replace("_", "-") for package in missing)
        raise ModelError(
            f"{name!r} is quantised with {method}, which needs a package that is not installed: `pip install "
            f"{wanted}`. Or give the model in full precision that it was made from (for an adapter, as "
            "`base_model_name_or_path` in its adapter_config.json)."
        )


def packed_widths(module: nn.Module) -> tuple[int, int] | None:
    """Input and output width of a linear module whose weights are packed into whole numbers; None for any other."""
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    if not any(tensor.ndim >= 1 and not tensor.is_floating_point() for tensor in tensors):
        return None
    for names in (("in_features", "out_features"), ("infeatures", "outfeatures")):
        widths = [getattr(module, name, None) for name in names]
        if isinstance(widths[0], int) and isinstance(widths[1], int):
            return widths[0], widths[1]
    return None


def num_weights(module: nn.Module) -> int:
    """Weights that a module owns itself, packed ones as many as they stand for."""
    widths = packed_widths(module)
    if widths is None:
        return sum(parameter.numel() for parameter in module.parameters(recurse=False))
    bias = getattr(module, "bias", None)
    return widths[0] * widths[1] + (bias.numel() if isinstance(bias, Tensor) else 0)


def count_weights(model: nn.Module) -> int:
    """All weights of a model, tied ones once, packed ones as many as they stand for."""
    packed = {module for module in model.modules() if packed_widths(module) is not None}
    owned = {id(parameter) for module in packed for parameter in module.parameters(recurse=False)}
    plain = sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in owned)
    return plain + sum(num_weights(module) for module in packed)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a package inside one that is not there
        return False
