"""A flat picture of an index: the principal plane of random sketches of all stored gradients.

Gradients are divided by their norms first: the picture shows what texts teach, not how loudly. Two passes over the
store, one for the plane and one for the coordinates; memory does not grow with the number of examples.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lorif_core.linalg.sketch import ModuleSketch, Moments, Plane, draw_sketch
from lorif_core.store.reader import Shard, StoreReader

NUM_COLUMNS = 512
"""J. Inner products of sketches err by about 1 / √J of the product of the norms; gradients of unrelated texts are
nearly orthogonal, so a smaller sketch shows mostly its own noise."""


@runtime_checkable
class OnShard(Protocol):
    """Told after every shard."""

    def __call__(self, done: int, total: int) -> None:
        """Shards done in both passes, and all."""


def draw_sketches(reader: StoreReader, *, seed: int, num_columns: int = NUM_COLUMNS) -> dict[str, ModuleSketch]:
    """A sketch per module of an index."""
    return {module.name: draw_sketch(module, num_columns, seed=seed) for module in reader.modules}


def sketch_shard(reader: StoreReader, shard: Shard, sketches: dict[str, ModuleSketch]) -> Tensor:
    """Sketches of a shard's examples over all modules, each gradient divided by its norm, (n, J)."""
    rows = torch.zeros(shard.num_examples, next(iter(sketches.values())).left.shape[1])
    for module in reader.modules:
        rows += sketches[module.name].of(shard.block(module))
    norms = shard.norms().unsqueeze(1)
    return torch.where(norms > 0, rows / norms.clamp_min(torch.finfo(rows.dtype).tiny), 0.0)


def fit_plane(reader: StoreReader, sketches: dict[str, ModuleSketch], on_shard: OnShard) -> Plane:
    """The plane in which the index's examples differ most."""
    moments, total = Moments(next(iter(sketches.values())).left.shape[1]), len(reader.manifest.shards)
    for done, shard in enumerate(reader.iter_shards(), start=1):
        moments.add(sketch_shard(reader, shard, sketches))
        on_shard(done, 2 * total)
    return moments.plane()


def iter_coordinates(
    reader: StoreReader, sketches: dict[str, ModuleSketch], plane: Plane, on_shard: OnShard
) -> Iterator[Tensor]:
    """Coordinates of every shard's examples in store order, (n, 2)."""
    total = len(reader.manifest.shards)
    for done, shard in enumerate(reader.iter_shards(), start=1):
        yield plane.project(sketch_shard(reader, shard, sketches))
        on_shard(total + done, 2 * total)
