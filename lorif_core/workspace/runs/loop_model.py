"""A model that somebody trains, as a run sees it: what is tracked, by which method, and how rows are made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from lorif_core.capture.precision import possible_precisions
from lorif_core.errors import CaptureError, ConfigError
from lorif_core.linalg.codecs import ColumnCodec, codec_for
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import DaunceConfig, FactoredSettings, MethodSettings
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.models.modules import ModuleEntry, check_patterns, list_modules, tracked_shapes
from lorif_core.passes.shards import GradientSource
from lorif_core.shapes import ModuleShape
from lorif_core.turns import base_of
from lorif_core.weights import locate_weight
from lorif_core.workspace.indexes.choose_size import sized

UNTRAINED = "not trained: its weight is frozen"


@dataclass(frozen=True)
class LoopModel:
    """A model in training, its tracked modules and the method."""

    outer: nn.Module
    """Without what wraps it for several processes: what is called and saved."""

    model: nn.Module
    """The same under its adapter wrappers: what the names of modules are of."""

    settings: MethodSettings
    """With f and rank that suit the model."""

    method: AttributionMethod
    modules: list[ModuleShape]
    entries: list[ModuleEntry]
    in_bfloat16: bool
    """Whether rows are multiplied by the maps in bfloat16."""

    @property
    def codec(self) -> ColumnCodec:
        """How features become bytes."""
        return codec_for(self.method.feature.codec, self.method.feature.layout)

    @property
    def names(self) -> list[str]:
        """Of the tracked modules."""
        return [module.name for module in self.modules]

    @property
    def heads(self) -> set[str]:
        """Those that are output heads."""
        return {module.name for module in self.modules if module.form == "columns"}

    @property
    def f(self) -> int:
        """The projection divisor."""
        return self.method.projection.f or 1

    def device_of(self, name: str) -> torch.device:
        """Where a module's weight lies."""
        return locate_weight(self.model, name).parameter.device

    def source(self, maps: Mapping[str, ModuleMaps]) -> GradientSource:
        """Everything that turns gradients into stored rows."""
        dtype = torch.bfloat16 if self.in_bfloat16 else torch.float32
        placed = {
            name: one.to(self.device_of(name), torch.float32 if one.keeps_outputs_apart else dtype)
            for name, one in maps.items()
        }
        return GradientSource(self.model, placed, self.modules, self.method, self.codec, 0, 1)


def loop_model(
    model: nn.Module, settings: MethodSettings, include: tuple[str, ...], exclude: tuple[str, ...], precision: Any
) -> LoopModel:
    """What a run tracks of a model.

    Args:
        model: As it is trained.
        settings: Of the method.
        include: Patterns of module names to track; empty: what the method tracks by itself.
        exclude: Patterns of module names not to track.
        precision: As ``ModelConfig.precision``.

    Raises:
        CaptureError: The model is compiled, or divided among processes.
        TargetError: A pattern matches nothing, or nothing is left to track.
        ConfigError: The method asks for a budget, or is not of gradients module by module.
    """
    outer = _unwrapped(model)
    plain = base_of(outer)
    if isinstance(settings, FactoredSettings) and settings.budget is not None:
        raise ConfigError(
            "a budget is divided among modules by what a sample of all texts teaches, and a run meets its texts as "
            "they are trained on. Give `factor_rank` and `f` instead."
        )
    entries = [
        _unless_frozen(plain, entry) for entry in list_modules(plain, include, exclude, make_method(settings).tracked)
    ]
    check_patterns(entries, include + exclude)
    tracked_shapes(entries, 1)  # refuses a model of which nothing is tracked, before it is sized
    settings = sized(settings, entries)
    method = make_method(settings)
    modules = method.projection.shapes(tracked_shapes(entries, method.projection.f or 1))
    _refuse_others(settings, method, modules)
    in_bfloat16 = possible_precisions(precision, plain)[0] == "bfloat16"
    return LoopModel(outer, plain, settings, method, modules, entries, in_bfloat16)


def _refuse_others(settings: MethodSettings, method: AttributionMethod, modules: list[ModuleShape]) -> None:
    """Refuse methods whose features are no gradients of a text's loss, module by module.

    Raises:
        ConfigError: The method is one.
    """
    is_of_gradients = method.train_objective == "loss" and not isinstance(settings, DaunceConfig)
    if not is_of_gradients or method.projection.joint(modules) is not None:
        raise ConfigError(
            "a run stores gradients of the loss that is trained, module by module, and method "
            f"{settings.name!r} stores something else of a text. Use `lorif index --method {settings.name}` with the "
            "trained model, or another method."
        )


def _unless_frozen(model: nn.Module, entry: ModuleEntry) -> ModuleEntry:
    if not entry.is_tracked or locate_weight(model, entry.name).parameter.requires_grad:
        return entry
    return replace(entry, reason=UNTRAINED)


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model in a wrapper for several processes.

    Raises:
        CaptureError: It is compiled, or its weights are divided among processes.
    """
    kinds = {type(module).__name__ for module in model.modules()}
    if "OptimizedModule" in kinds or any(_is_compiled(module) for module in model.modules()):
        raise CaptureError(
            "a compiled model hides its layers' products from the hooks that gradients are taken with. Give `lf.log` "
            "the model before it is compiled and train that one, or compile it when the run is over."
        )
    if kinds & {"FullyShardedDataParallel", "DataParallel"}:
        raise CaptureError(
            "every process of a run must hold the whole model, and this one is divided (FullyShardedDataParallel) or "
            "copied for every batch (DataParallel). Use DistributedDataParallel, or `lorif index` when it is trained."
        )
    return getattr(model, "module") if type(model).__name__ == "DistributedDataParallel" else model  # noqa: B009 - Any


def _is_compiled(module: nn.Module) -> bool:
    return getattr(module, "_compiled_call_impl", None) is not None
