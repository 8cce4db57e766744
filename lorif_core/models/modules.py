"""Which modules of a model are tracked, and for every other one with weights, why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn
from transformers.pytorch_utils import Conv1D

from lorif_core.errors import TargetError
from lorif_core.linalg.maps import projected_width
from lorif_core.models.adapter_weights import FROZEN, NOT_COVERED, adapter_parameters, adapter_part, why_not_adapter
from lorif_core.models.quantised import num_weights, packed_widths
from lorif_core.shapes import ModuleShape


@dataclass(frozen=True)
class ModuleEntry:
    """One module that owns weights."""

    name: str
    """torch's dotted path, verbatim."""

    kind: str
    """Class name."""

    in_features: int | None
    """None for anything but a linear map."""

    out_features: int | None

    num_parameters: int
    """Weights owned by the module itself."""

    reason: str | None
    """Why the module is not tracked; None when it is."""

    @property
    def is_tracked(self) -> bool:
        """Whether gradients of this module are stored."""
        return self.reason is None


def list_modules(model: nn.Module, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[ModuleEntry]:
    """Every module that owns weights, in the model's order, tracked or with the reason why not.

    Tracked by default: the linear maps of attention and MLP (``nn.Linear`` and GPT-2's
    ``Conv1D``); in a model with LoRA adapters, the adapters' linear maps instead.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    trained = adapter_parameters(model)
    owners = {name.rpartition(".")[0] for name in trained if not name.endswith(".bias")}
    entries = []
    for name, module in model.named_modules():
        weights = num_weights(module)
        widths = linear_widths(module)
        if not weights and widths is None:
            continue
        reason = _why_not_linear(model, module) if widths is None or module is head else None
        if name in owners:
            reason = why_not_adapter(name, model) if widths else NOT_COVERED + adapter_part(name)
        elif trained and (reason is None or packed_widths(module) is not None):
            reason = FROZEN
        elif packed_widths(module) is not None:
            reason = "quantised: only an adapter on it could be tracked"
        if reason is None:
            reason = _why_not_chosen(name, include, exclude)
        entries.append(ModuleEntry(name, type(module).__name__, *(widths or (None, None)), weights, reason))
    return entries


def tracked_shapes(entries: list[ModuleEntry], f: int) -> list[ModuleShape]:
    """Shapes of the tracked modules after projection by the divisor ``f``, in the model's order.

    Raises:
        TargetError: Nothing is tracked.
    """
    shapes = [
        ModuleShape(
            e.name,
            e.in_features,
            e.out_features,
            projected_width(e.in_features, f),
            projected_width(e.out_features, f),
        )
        for e in entries
        if e.is_tracked and e.in_features is not None and e.out_features is not None
    ]
    if not shapes:
        names = [entry.name for entry in entries if entry.in_features is not None][:3]
        raise TargetError(
            f"no module is left to track. Linear modules are named like {names}; `lorif index --list-modules` shows "
            "all. Change `--include` or `--exclude`."
        )
    return shapes


def check_patterns(entries: list[ModuleEntry], patterns: tuple[str, ...]) -> None:
    """Refuse a pattern that matches no linear module, which is always a typing slip.

    Raises:
        TargetError: Names the pattern and what names look like.
    """
    linear = [entry.name for entry in entries if entry.in_features is not None]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in linear):
            raise TargetError(
                f"no module matches {pattern!r}. Names look like {linear[:3]}; `lorif index --list-modules` shows "
                "all."
            )


def linear_widths(module: nn.Module) -> tuple[int, int] | None:
    """Input and output width of a linear map, or None for any other module."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        return module.weight.shape[0], module.weight.shape[1]
    return None


def _why_not_chosen(name: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> str | None:
    if include and not any(fnmatchcase(name, pattern) for pattern in include):
        return "not in --include"
    return next((f"--exclude {pattern}" for pattern in exclude if fnmatchcase(name, pattern)), None)


def _why_not_linear(model: nn.Module, module: nn.Module) -> str:
    if linear_widths(module) is not None:
        tied = any(module.weight is other.weight for other in _embeddings(model))
        return "output head, tied to the input embedding" if tied else "output head"
    if isinstance(module, nn.Embedding):
        return "embedding"
    if "norm" in type(module).__name__.lower():
        return "normalisation"
    if any(parameter.ndim >= 3 for parameter in module.parameters(recurse=False)):
        return "not covered: fused expert weights that no linear module computes"
    return "not covered: not a linear module"


def _embeddings(model: nn.Module) -> Iterator[nn.Embedding]:
    return (module for module in model.modules() if isinstance(module, nn.Embedding))
