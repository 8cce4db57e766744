"""Which parameters of a model belong to an adapter, and how much of it is tracked."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import nn

from lorif_core.models.adapters import Adapter

FROZEN = "frozen under the adapters"
NOT_COVERED = "of the adapter, not covered: "
"""Begins the reason of a module of the adapter that is not tracked."""

WIDE = 16384
"""A module that was trained whole is tracked below this width: its map alone takes width²/f numbers, 8 GB in the
embedding of 128,000 tokens at f = 8."""

_PARTS = {
    "lora_magnitude_vector": "DoRA's magnitudes",
    "lora_embedding_A": "low-rank terms of an embedding",
    "lora_embedding_B": "low-rank terms of an embedding",
    "trainable_tokens_delta": "rows of single tokens",
    "modules_to_save": "a module that was trained whole",
    "bias": "biases",
}
"""Step of a parameter's name → what it is, in a person's words."""


@dataclass(frozen=True)
class AdapterCoverage:
    """How much of an adapter is tracked."""

    adapter: str
    """Its kind, rank and base in a few words."""

    num_parameters: int
    num_tracked: int

    left_out: Mapping[str, int]
    """What is not tracked, or why, → its parameters."""

    other_adapters: tuple[str, ...]
    """Folders inside the adapter's that hold adapters of their own, which are no part of this one."""

    def sentence(self) -> str:
        """All of it in one or two sentences."""
        share = _percent(self.num_tracked / max(self.num_parameters, 1))
        said = (
            f"{self.adapter}, which is frozen: {share} of the adapter's {self.num_parameters:,} weights are tracked"
        )
        if self.left_out:
            parts = ", ".join(f"{_percent(n / self.num_parameters)} ({what})" for what, n in self.left_out.items())
            said += f"; the influence is missing through {parts}"
        if self.other_adapters:
            said += f". Further adapters in its folder are not part of it: {', '.join(self.other_adapters)}"
        return said + "."


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that an adapter trained, by name; empty for a model without one.

    PEFT's layers say which of their children are the adapter's; which biases were trained with it is a setting.
    """
    everything = dict(model.named_parameters(remove_duplicate=False))
    prefixes = tuple(prefix for layer, module in model.named_modules() for prefix in _prefixes(layer, module))
    biases = _bias_settings(model)
    adapted = {layer for layer, module in model.named_modules() if _is_adapter_layer(module)}
    return {
        name: parameter
        for name, parameter in everything.items()
        if name.startswith(prefixes) or (name.endswith("bias") and _is_trained_bias(name, biases, adapted))
    }


def adapter_modules(model: nn.Module) -> frozenset[str]:
    """Names of the modules that own an adapter's weights, those aside of which only a bias was trained."""
    owned = (name.rpartition(".") for name in adapter_parameters(model))
    return frozenset(owner for owner, _, own in owned if own != "bias")


def adapter_part(name: str) -> str:
    """What a parameter of an adapter is, in a person's words."""
    return next((_PARTS[step] for step in reversed(name.split(".")) if step in _PARTS), "other weights")


def adapter_coverage(adapter: Adapter, model: nn.Module, reasons: Mapping[str, str | None]) -> AdapterCoverage:
    """How much of a model's adapter is tracked.

    Args:
        adapter: Of the model.
        model: With the adapter in it.
        reasons: Per module that owns weights, why it is not tracked; None for one that is.
    """
    total, left_out = count_adapter(model, reasons)
    tracked = total - left_out.total()
    return AdapterCoverage(adapter.describe(), total, tracked, dict(left_out), tuple(adapter.others))


def count_adapter(model: nn.Module, reasons: Mapping[str, str | None]) -> tuple[int, Counter[str]]:
    """All weights that an adapter trained, and how many of them are not tracked, by what they are or why.

    Args:
        model: With the adapter in it; without one all is 0.
        reasons: Per module that owns weights, why it is not tracked; None for one that is.
    """
    counted: dict[int, tuple[str, nn.Parameter]] = {}
    for name, parameter in adapter_parameters(model).items():
        counted.setdefault(id(parameter), (name, parameter))  # shared ones once
    left_out: Counter[str] = Counter()
    for name, parameter in counted.values():
        owner, _, own = name.rpartition(".")
        reason = reasons.get(owner)
        if own == "bias":
            left_out[_PARTS["bias"]] += parameter.numel()
        elif reason is not None or owner not in reasons:
            left_out[(reason or adapter_part(name)).removeprefix(NOT_COVERED)] += parameter.numel()
    return sum(parameter.numel() for _, parameter in counted.values()), left_out


def why_not_adapter(name: str, widths: tuple[int, int] | None) -> str | None:
    """Why a module of an adapter is not tracked unless a pattern means it; None for what is.

    Args:
        name: Of the module.
        widths: Of the map that its weights stand for; None where they stand for none.
    """
    if widths is None:
        return NOT_COVERED + adapter_part(name)
    if "modules_to_save" in name.split(".") and max(widths) >= WIDE:
        return NOT_COVERED + "a module that was trained whole, too wide to be tracked unless `--include` names it"
    return None


def _is_adapter_layer(module: nn.Module) -> bool:
    return hasattr(type(module), "adapter_layer_names")


def _prefixes(layer: str, module: nn.Module) -> Iterator[str]:
    """Beginnings of the names of a layer's adapter parameters."""
    if not _is_adapter_layer(module):
        return
    names: Any = module.adapter_layer_names
    for child in names:
        part: Any = reduce(lambda owner, step: getattr(owner, step, None), child.split("."), module)
        if isinstance(part, nn.Module):
            yield ".".join([*([layer] if layer else []), child, ""])


def _bias_settings(model: nn.Module) -> set[str]:
    configs: Any = getattr(model, "peft_config", None) or {}
    return {getattr(config, "bias", "none") for config in configs.values()}


def _is_trained_bias(name: str, settings: set[str], adapted: set[str]) -> bool:
    owner, _, own = name.rpartition(".")
    if own != "bias":
        return False
    return "all" in settings or (bool(settings - {"none"}) and owner.removesuffix(".base_layer") in adapted)


def _percent(share: float) -> str:
    """A share that is 100 % or 0 % only where it is exactly that."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}"
