"""A model with its tracked modules and maps: what both indexing and asking differentiate through."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from lorif_core.capture.gradients import frozen
from lorif_core.config import IndexConfig
from lorif_core.data.encoding import Encoder, pad_token
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import ModuleMaps, random_maps
from lorif_core.methods.choose import choose_method
from lorif_core.methods.shards import GradientSource
from lorif_core.models.load import LoadedModel
from lorif_core.models.modules import check_patterns, list_modules, tracked_shapes
from lorif_core.shapes import ModuleShape


@dataclass(frozen=True)
class Engine:
    """A loaded model, the modules that are tracked and their maps."""

    loaded: LoadedModel
    settings: IndexConfig
    modules: list[ModuleShape]

    maps: Mapping[str, ModuleMaps]
    """On the CPU, float32; empty while half-whitening maps wait for their statistics."""

    @property
    def encoder(self) -> Encoder:
        """From text to tokens, as the settings say."""
        return Encoder(self.loaded.tokenizer, self.settings.batches.max_length)

    @property
    def pad_id(self) -> int:
        """An id to pad with."""
        return pad_token(self.loaded.tokenizer)

    def with_maps(self, maps: Mapping[str, ModuleMaps]) -> "Engine":
        """The same engine with other maps."""
        return replace(self, maps=maps)

    @contextmanager
    def frozen_model(self) -> Iterator[nn.Module]:
        """The model ready for capture; it is left as it was found."""
        with frozen(self.loaded.model):
            yield self.loaded.model

    @contextmanager
    def gradients(self) -> Iterator[GradientSource]:
        """Everything that turns sequences into stored gradients, while the model is frozen."""
        model = self.loaded.model
        placed = {
            name: maps.to(next(model.get_submodule(name).parameters()).device, torch.float32)
            for name, maps in self.maps.items()
        }
        with self.frozen_model():
            yield GradientSource(
                model=model,
                maps=placed,
                modules=self.modules,
                method=choose_method(self.settings),
                codec=column_codec(self.settings.codec),
                pad_id=self.pad_id,
                tokens_per_batch=self.settings.batches.tokens_per_batch,
            )


def build_engine(loaded: LoadedModel, settings: IndexConfig, maps: Mapping[str, ModuleMaps] | None = None) -> Engine:
    """Choose the modules of a loaded model and draw their maps, unless they are given.

    Half-whitening maps come from statistics, which are taken when the index is built.

    Raises:
        TargetError: A pattern matches nothing, or nothing is left to track.
    """
    entries = list_modules(loaded.model, settings.model.include, settings.model.exclude)
    check_patterns(entries, settings.model.include + settings.model.exclude)
    modules = tracked_shapes(entries, settings.f)
    if maps is not None or settings.is_whitened:
        return Engine(loaded, settings, modules, maps or {})
    drawn = {
        module.name: random_maps(
            module.name,
            module.in_features,
            module.out_features,
            f=settings.f,
            seed=settings.factors.seed,
        )
        for module in modules
    }
    return Engine(loaded, settings, modules, drawn)
