"""A model with its tracked modules and maps: what both indexing and asking differentiate through."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

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

    maps: dict[str, ModuleMaps]
    """On the CPU, float32."""

    @property
    def encoder(self) -> Encoder:
        """From text to tokens, as the settings say."""
        return Encoder(self.loaded.tokenizer, self.settings.batches.max_length)

    @contextmanager
    def gradients(self) -> Iterator[GradientSource]:
        """The model frozen for capture; it is left as it was found."""
        model = self.loaded.model
        placed = {
            name: maps.to(next(model.get_submodule(name).parameters()).device, torch.float32)
            for name, maps in self.maps.items()
        }
        with frozen(model):
            yield GradientSource(
                model=model,
                maps=placed,
                modules=self.modules,
                method=choose_method(self.settings),
                codec=column_codec(self.settings.factors.codec),
                pad_id=pad_token(self.loaded.tokenizer),
                tokens_per_batch=self.settings.batches.tokens_per_batch,
            )


def build_engine(loaded: LoadedModel, settings: IndexConfig) -> Engine:
    """Choose the modules of a loaded model and draw their maps.

    Raises:
        TargetError: A pattern matches nothing, or nothing is left to track.
    """
    entries = list_modules(loaded.model, settings.model.include, settings.model.exclude)
    check_patterns(entries, settings.model.include + settings.model.exclude)
    modules = tracked_shapes(entries, settings.factors.f)
    maps = {
        module.name: random_maps(
            module.name,
            module.in_features,
            module.out_features,
            f=settings.factors.f,
            seed=settings.factors.seed,
        )
        for module in modules
    }
    return Engine(loaded, settings, modules, maps)
