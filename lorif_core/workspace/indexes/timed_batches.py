"""A few batches of a build, timed and watched: how long a token takes, and what a batch takes of memory.

Maps and second moments are there in one copy per shape, which all modules of that shape share: what is computed and
how long it takes is the same, and an estimate allocates those of one layer.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import psutil
import torch
from torch import Tensor

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.data.batches import plan_batches
from lorif_core.data.sequences import EncodedText, add_counts, count_tokens
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.roots import inverse_root
from lorif_core.linalg.typed_torch import eigh
from lorif_core.linalg.whitening import Moments
from lorif_core.passes.second_moments import add_moments, empty_moments, placed_moments
from lorif_core.passes.shards import build_shard
from lorif_core.shapes import ModuleShape
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.failing_texts import is_of_a_text

TIMED_BATCHES = 2

ENOUGH_S = 10
"""A batch that takes that long is the only one that is timed."""

TIMED_WIDTH = 512
"""Of the decomposition that is timed: 0.1 s on two cores, where 4,096 take 45 s."""

WATCH_S = 0.005
"""How often the resident size is looked at."""


class Timed(NamedTuple):
    """What a pass over some texts takes."""

    tokens_per_second: float
    batch_bytes: int
    """By how much the resident size grew at most, beside maps and moments."""


class _Peak:
    """The largest resident size that was seen."""

    def __init__(self) -> None:
        self.bytes = psutil.Process().memory_info().rss


@contextmanager
def watched_memory() -> Iterator[_Peak]:
    """Watch the resident size of the process while the block runs."""
    peak, is_over, process = _Peak(), threading.Event(), psutil.Process()

    def watch() -> None:
        while not is_over.wait(WATCH_S):
            peak.bytes = max(peak.bytes, process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()
        peak.bytes = max(peak.bytes, process.memory_info().rss)


def time_gradients(engine: Engine, examples: Sequence[EncodedText]) -> Timed:
    """Differentiate and store a few batches, after one short one that warms up."""
    with _with_shared_maps(engine).gradients() as source:
        return _timed(engine, examples, lambda chosen: build_shard(source, chosen))


def time_statistics(engine: Engine, examples: Sequence[EncodedText]) -> Timed:
    """Sum the second moments of a few batches."""
    by_shape: dict[ModuleShape, Moments] = {}
    for module in engine.modules:
        if _shape_of(module) not in by_shape:
            by_shape[_shape_of(module)] = empty_moments([module])[module.name]
    shared = {module.name: by_shape[_shape_of(module)] for module in engine.modules}
    moments = shared if engine.loaded.device.type == "cpu" else placed_moments(engine.loaded.model, shared)
    with engine.frozen_model() as model:

        def add(chosen: Sequence[EncodedText]) -> None:
            add_moments(
                model,
                moments,
                chosen,
                pad_id=engine.pad_id,
                tokens_per_batch=engine.batches.tokens_per_batch,
                in_bfloat16=engine.precision == "bfloat16",
            )

        return _timed(engine, examples, add)


def decomposition_seconds(size: int) -> float:
    """Of the eigenvectors of one symmetric matrix; the time of a larger one grows with its third power."""
    matrix = _symmetric(size)
    eigh(torch.eye(8, dtype=torch.float64))  # the first one of a process also starts its threads
    started = time.perf_counter()
    eigh(matrix)
    return time.perf_counter() - started


def root_seconds(size: int) -> float:
    """Of the inverse root of one second moment."""
    matrix = _symmetric(size).float()
    eigh(torch.eye(8, dtype=torch.float64))
    started = time.perf_counter()
    inverse_root(matrix, 1, 0.003, what="a trial")
    return time.perf_counter() - started


def _symmetric(size: int) -> Tensor:
    matrix = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return matrix @ matrix.T


def _timed(engine: Engine, examples: Sequence[EncodedText], work: Callable[[list[EncodedText]], object]) -> Timed:
    """Real tokens per second over a few batches of different lengths."""
    lengths = [count_tokens(example).positions for example in examples]
    batches = plan_batches(lengths, engine.batches.tokens_per_batch, length_boundaries(engine.loaded.model))
    spread = batches[:: max(1, len(batches) // TIMED_BATCHES)][:TIMED_BATCHES]
    before = psutil.Process().memory_info().rss
    seconds, positions = 0.0, 0

    def try_work(chosen: list[EncodedText]) -> None:
        try:
            work(chosen)
        except Exception as error:  # whatever a text makes a model do
            if not is_of_a_text(error, engine.loaded.model):  # such a text is named by the build
                raise

    with watched_memory() as peak:
        try_work([examples[position] for position in batches[0][:4]])
        for batch in spread:
            chosen = [examples[position] for position in batch]
            started = time.perf_counter()
            try_work(chosen)
            seconds += time.perf_counter() - started
            positions += add_counts(map(count_tokens, chosen)).positions
            if seconds > ENOUGH_S:
                break
    return Timed(positions / max(seconds, 1e-9), peak.bytes - before)


def _shape_of(module: ModuleShape) -> ModuleShape:
    """What modules of one shape have in common."""
    return replace(module, name="")


def _with_shared_maps(engine: Engine) -> Engine:
    """The engine, with maps of the right shapes where the real ones wait for their statistics."""
    if engine.maps:
        return engine
    by_shape = {_shape_of(module): module for module in engine.modules}
    maps = {shape: _random(module) for shape, module in by_shape.items()}
    return engine.with_maps({module.name: maps[_shape_of(module)] for module in engine.modules})


def _random(module: ModuleShape) -> ModuleMaps:
    outputs = torch.rand(module.out_features) if module.form == "columns" else None
    return ModuleMaps(
        torch.randn(module.in_features, module.d_in),
        torch.randn(module.out_features, module.d_out) if outputs is None else outputs,
    )
