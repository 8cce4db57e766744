"""What a build holds in memory at a time, by arithmetic: nothing is loaded or allocated to tell it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from lorif_core.errors import ResourceError
from lorif_core.linalg.maps import MOST_DIVISOR, bytes_of_maps, smallest_divisor
from lorif_core.linalg.roots import is_by_shifts
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.passes.layer_groups import families, layer_groups, moments_bytes
from lorif_core.shapes import ModuleShape

ROOM_SHARE = 0.4
"""Of the free memory, what the moments of one group of layers may take."""

ROOT_BYTES = 32
"""Per number of a square matrix while its root is taken from its eigenvectors: four float64 matrices of that size."""

SHIFTS_BYTES = 24
"""Likewise by shifts: the matrix in float64, and four times in float32."""

FEWEST_GPU_TOKENS, MOST_GPU_TOKENS = 2048, 16_384
"""Of a batch on a GPU: with fewer the host cannot give it work fast enough, and more were no faster
(docs/explanation/gpu.md)."""

BATCH_SHARE = 0.25
"""Of a GPU's memory beside the weights, for a batch: more would leave less for maps, and f would be larger."""

SHARD_COPIES = 3
"""Of a shard while it is written: its tensors, and their bytes twice."""


@dataclass(frozen=True)
class BuildMemory:
    """Bytes that a build holds beside the model."""

    maps: int
    """Of all modules; all are there while gradients are taken."""

    one_family: int
    """Moments of the largest module, or of all experts of one layer and matrix: the least that a pass can sum."""

    roots: int
    """While the roots of the widest module are taken."""

    batch: int
    """Activations and gradients of a batch."""

    shard: int = 0

    copies: int = 0
    """Of the maps in bfloat16, where gradients are taken in it."""

    def least(self) -> int:
        """The most at a time, if the statistics take as many passes as there are modules."""
        return self.most(self.one_family)

    def most(self, moments: int) -> int:
        """The most at a time, where a pass of the statistics sums moments of so many bytes."""
        statistics = moments + max(self.batch, self.maps + self.roots) if moments else 0
        return max(statistics, self.maps + self.copies + self.batch + self.shard)


def room_for_moments(free: int) -> int:
    """Bytes of moments that a pass of the statistics may sum; the rest is for batches, roots and maps."""
    return int(ROOM_SHARE * free)


def memory_of(method: AttributionMethod, modules: Sequence[ModuleShape], batch: int, shard: int = 0) -> BuildMemory:
    """What a build of these modules holds."""
    is_whitened = method.projection.sample(modules) is not None
    return BuildMemory(
        maps=method.projection.maps_bytes(modules),
        one_family=max(map(moments_bytes, families(modules))) if is_whitened else 0,
        roots=max(map(_root_bytes, modules)) if is_whitened else 0,
        batch=batch,
        shard=shard,
    )


def maps_bytes(modules: Sequence[ModuleShape], *, is_whitened: bool) -> int:
    """Bytes of the maps of some modules in float32: random ones that keep a width are not there."""
    return bytes_of_maps(modules, keeps_widths=is_whitened)


def check_random_maps(bytes_at: Callable[[int], int], f: int, free: int) -> None:
    """Refuse random maps that do not fit, before any is drawn.

    Args:
        bytes_at: Their bytes at a divisor.
        f: The divisor.
        free: Memory.

    Raises:
        ResourceError: Names the divisor that fits.
    """
    needed = bytes_at(f)
    if needed > free:
        fitting = smallest_divisor(lambda f: bytes_at(f) <= free, first=f)
        raise ResourceError(
            f"the random maps must fit into memory, at f = {f} they take {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free. Pass `--f {fitting or MOST_DIVISOR}`."
        )


def num_passes(memory: BuildMemory, modules: Sequence[ModuleShape], free: int) -> int:
    """Passes over the sample that the statistics take; 0 where there are none."""
    return len(layer_groups(modules, room_for_moments(free))) if memory.one_family else 0


def largest_group(memory: BuildMemory, modules: Sequence[ModuleShape], free: int) -> int:
    """Bytes of the moments that are summed at a time; 0 where there are none."""
    if not memory.one_family:
        return 0
    return max(map(moments_bytes, layer_groups(modules, room_for_moments(free))))


@dataclass(frozen=True)
class ModelSizes:
    """The numbers of a configuration that decide what a batch takes."""

    layers: int
    hidden: int
    intermediate: int
    """Of the MLP, or of one expert."""

    vocabulary: int
    experts_per_token: int = 1


def batch_bytes(num_tokens: int, sizes: ModelSizes, modules: Sequence[ModuleShape]) -> int:
    """Activations, logits and projected inputs of a batch of so many tokens, float32.

    Of a layer eight vectors of the hidden width and three of the MLP's are kept for the backward pass; then there are
    the logits and their gradient.
    """
    layer = 8 * sizes.hidden + 3 * sizes.intermediate * sizes.experts_per_token
    inputs = sum(min(sizes.experts_per_token, len(family)) * family[0].d_in for family in families(modules))
    return 4 * num_tokens * (sizes.layers * layer + 2 * sizes.vocabulary + inputs)


def tokens_that_fit(device_bytes: int, model: nn.Module, modules: Sequence[ModuleShape]) -> int:
    """Tokens of a batch on a GPU of so much memory: of powers of two the largest that leaves room for the rest.

    Beside the weights, a batch may take ``BATCH_SHARE``; maps, moments and indexes that stay have what is left.
    """
    room = BATCH_SHARE * (device_bytes - sum(one.nbytes for one in model.parameters()))
    tokens, sizes = MOST_GPU_TOKENS, sizes_of(model)
    while tokens > FEWEST_GPU_TOKENS and batch_bytes(tokens, sizes, modules) > room:
        tokens //= 2
    return tokens


def sizes_of(model: nn.Module) -> ModelSizes:
    """What a model's configuration says; of a name that it does not have, what follows from the others."""
    config: Any = getattr(model, "config", None)
    config = getattr(config, "get_text_config", lambda: config)()

    def number(*names: str, default: int = 1) -> int:
        found = (getattr(config, name, None) for name in names)
        return next((one for one in found if isinstance(one, int) and one > 0), default)

    hidden = number("hidden_size", "n_embd", "d_model")
    return ModelSizes(
        layers=number("num_hidden_layers", "n_layer", "num_layers"),
        hidden=hidden,
        intermediate=number("intermediate_size", "n_inner", "ffn_dim", default=4 * hidden),
        vocabulary=number("vocab_size"),
        experts_per_token=number("num_experts_per_tok"),
    )


def statistics_bytes(modules: Sequence[ModuleShape]) -> int:
    """Bytes of the second moments on disk: triangles, of a head's outputs the diagonal."""

    def triangle(width: int) -> int:
        return width * (width + 1) // 2

    return 4 * sum(
        triangle(one.in_features) + (one.out_features if one.form == "columns" else triangle(one.out_features))
        for one in modules
    )


def _root_bytes(module: ModuleShape) -> int:
    sides = [(module.in_features, module.d_in)]
    if module.form == "factors":
        sides.append((module.out_features, module.d_out))
    return max(
        SHIFTS_BYTES * width**2 + 5 * 8 * width * kept if is_by_shifts(width, kept) else ROOT_BYTES * width**2
        for width, kept in sides
    )
