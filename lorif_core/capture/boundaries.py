"""Lengths beyond which a model computes a text otherwise, because of the longest text of its batch.

Rotary positions of the kinds `longrope` and `dynamic` choose their frequencies once per batch, by the longest text in
it: a short text would have other gradients beside a long one. So texts on both sides of such a length never share a
batch.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

_BY_THE_LONGEST = ("longrope", "dynamic")


def length_boundaries(model: nn.Module) -> tuple[int, ...]:
    """Token counts, ascending, that separate texts which must not share a batch; none for nearly all models."""
    configs = {id(config): config for module in model.modules() if (config := getattr(module, "config", None))}
    return tuple(sorted({length for config in configs.values() for length in _boundaries_of(config)}))


def _boundaries_of(config: Any) -> Iterator[int]:
    rotary = getattr(config, "rope_parameters", None)
    if not isinstance(rotary, dict):
        return
    kinds = [rotary, *(of_layers for of_layers in rotary.values() if isinstance(of_layers, dict))]
    for kind in kinds:
        if kind.get("rope_type") in _BY_THE_LONGEST:
            found = kind.get("original_max_position_embeddings") or getattr(config, "max_position_embeddings", None)
            if isinstance(found, int):
                yield found
