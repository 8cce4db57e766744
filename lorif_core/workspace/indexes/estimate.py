"""What an index will cost: bytes by arithmetic, time and memory from a few timed batches."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch

from lorif_core.data.sequences import EncodedText, add_counts, count_tokens, has_targets
from lorif_core.linalg.codecs import codec_for
from lorif_core.linalg.roots import is_by_shifts
from lorif_core.linalg.subspace import OVERSAMPLING, SUBSPACE_ITERATIONS
from lorif_core.methods.lorif import fit_bytes
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.models.adapter_report import coverage_of
from lorif_core.passes.fitting import CHUNK_NUMBERS
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import NUMBERS_BYTES, bytes_per_example
from lorif_core.weights import family_of
from lorif_core.workspace.indexes.budget_share import costs_of_terms
from lorif_core.workspace.indexes.build_memory import (
    SHARD_COPIES,
    BuildMemory,
    largest_group,
    maps_bytes,
    memory_of,
    num_passes,
    statistics_bytes,
)
from lorif_core.workspace.indexes.coverage import first_readable
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.free_memory import free_bytes
from lorif_core.workspace.indexes.index_job import SELF_INFLUENCE_BYTES, IndexJob
from lorif_core.workspace.indexes.model_share import ModelShare, share_of
from lorif_core.workspace.indexes.timed_batches import (
    TIMED_WIDTH,
    Timed,
    decomposition_seconds,
    root_seconds,
    time_gradients,
    time_statistics,
)

SAMPLE_EXAMPLES = 256

SHIFTS_GAIN = 1.6
"""How much faster a wide root is that is taken by shifts (docs/decisions/0039)."""

LONG_FIT_S = 600
"""From how long on the linear algebra of a build is spoken of by itself."""


@dataclass(frozen=True)
class IndexEstimate:
    """Cost of building an index."""

    num_examples: int
    num_left: int
    """Examples still to be differentiated."""

    num_modules: int
    num_expert_modules: int
    """Of these, matrices of single experts."""

    expert_bytes_per_example: int
    """Of the bytes below, those of single experts, most of which a text does not reach; 0 where a budget decides."""

    model_share: ModelShare
    """Which share of the model is seen, and what a trial left out."""

    total_dim: int

    bytes_per_example: int
    """Codes, scales and the numbers kept per example."""

    shard_bytes: int
    subspace_bytes: int
    """Of the directions that are fitted; 0 where there are none."""

    maps_bytes: int
    """Of half-whitening maps, which lie beside the shards; random ones are redrawn and take none."""

    statistics_bytes: int
    """Of the second moments behind the maps, which all indexes of this model and data set share."""

    num_passes: int
    """Over the sample of the statistics, as many as memory asks for; 0 where there are none to take."""

    seconds: float | None
    """Of the whole rest of the build, from the timed batches; None where there are no weights to time."""

    statistics_seconds: float | None
    """Of these, the passes of the statistics."""

    decomposition_seconds: float
    """Of these, roots of second moments, or the fit of the curvature: linear algebra that no text shortens."""

    tokens_per_second: float | None
    """Of the gradients; None where nothing was timed."""

    memory_bytes: int
    """Peak resident size of the process."""

    free_memory_bytes: int
    """What the process can still take as it is."""

    free_bytes: int
    """Free space on the workspace's disk."""

    term_costs: str | None = None
    """What a budget can buy, in words; None without a budget."""

    adapter: str | None = None
    """What of the model's adapter is tracked, in a sentence; None for a model that stands alone."""

    size: str | None = None
    """Which f and rank were chosen and why; None where the settings say them."""

    storage: str | None = None
    """Where all but the statistics go; None: on the workspace's disk, as these do."""

    untold: str | None = None
    """What cannot be told, and why; None where everything was."""

    @property
    def disk_bytes(self) -> int:
        """Everything that a build writes."""
        return self.shard_bytes + self.subspace_bytes + self.maps_bytes + self.statistics_bytes

    @property
    def warning(self) -> str | None:
        """That the linear algebra alone takes long; None where it does not."""
        if self.decomposition_seconds <= LONG_FIT_S:
            return None
        hours = self.decomposition_seconds / 3600
        return (
            f"Roots and eigenvectors alone take about {hours:.1f} hours on this machine, however few texts there are."
        )


def estimate_index(job: IndexJob) -> IndexEstimate:
    """Time a few batches of the data set's beginning and extrapolate; with all gradients stored nothing is timed.

    Raises:
        DataError: No text can be read by the model, or none has a token to predict.
    """
    engine, projection = job.engine, job.engine.method.projection
    start_bytes = psutil.Process().memory_info().rss
    mean_tokens, examples = _sample(job)
    gradients = time_gradients(engine, examples) if job.num_left else None
    num_sampled = 0
    sample = projection.sample(engine.modules)
    if sample is not None and job.manifest.maps is None:
        by_tokens = math.ceil(sample.num_tokens / max(mean_tokens, 1))
        num_sampled = min(max(sample.num_examples, by_tokens), job.manifest.num_examples)
    statistics = time_statistics(engine, examples) if num_sampled else None
    timed = [one for one in (gradients, statistics) if one is not None]
    per_example = job.bytes_per_example + NUMBERS_BYTES
    shard = SHARD_COPIES * min(job.manifest.shard_examples, job.manifest.num_examples) * per_example
    memory = memory_of(engine.method, engine.modules, max((one.batch_bytes for one in timed), default=0), shard)
    if engine.precision == "bfloat16":
        memory = replace(memory, copies=memory.maps // 2)
    free = free_bytes(engine.loaded.device)
    passes = num_passes(memory, engine.modules, free) if num_sampled else 0
    width = sketch_widths(engine.method, engine.stored, job.manifest.num_examples)
    roots = all_root_seconds(engine.modules) if num_sampled else 0.0
    fit = _fit_seconds(job, width)
    statistics_seconds = _seconds(statistics, num_sampled * mean_tokens) + _seconds(
        gradients, max(0, passes - 1) * num_sampled * mean_tokens
    )
    coverage = coverage_of(engine.loaded, engine.entries)
    return IndexEstimate(
        **sizes_on_disk(engine, job.manifest.num_examples, per_example, is_new=bool(num_sampled)),
        num_left=job.num_left,
        num_passes=passes,
        seconds=_seconds(gradients, job.num_left * mean_tokens) + statistics_seconds + roots + fit,
        statistics_seconds=statistics_seconds,
        decomposition_seconds=roots + fit,
        tokens_per_second=None if gradients is None else gradients.tokens_per_second,
        memory_bytes=start_bytes + _peak(engine, memory, width, free),
        free_memory_bytes=free,
        free_bytes=job.files.free_bytes(),
        term_costs=None if engine.method.budget_bytes is None else costs_of_terms(engine.modules, engine.codec),
        adapter=None if coverage is None else coverage.sentence(),
        size=job.settings.size_chosen,
        storage=job.settings.storage,
    )


def sizes_on_disk(engine: Engine, num_examples: int, per_example: int, *, is_new: bool) -> dict[str, Any]:
    """The fields of an estimate that follow from shapes alone.

    Args:
        engine: Model, method and modules.
        num_examples: Of the data set.
        per_example: Bytes of codes and numbers of each.
        is_new: Whether statistics and maps are still to be made.
    """
    modules = engine.stored
    experts = [module for module in modules if family_of(module.name) != module.name]
    width, rank = sketch_widths(engine.method, modules, num_examples), engine.method.curvature.subspace_rank
    most = num_examples if rank is None else rank
    kept = {module.name: min(most, module.dim) for module in modules}
    return {
        "num_examples": num_examples,
        "num_modules": len(modules),
        "num_expert_modules": len(experts),
        "expert_bytes_per_example": _expert_bytes(engine.method, experts),
        "model_share": share_of(engine),
        "total_dim": sum(module.dim for module in modules),
        "bytes_per_example": per_example,
        "shard_bytes": num_examples * (per_example + SELF_INFLUENCE_BYTES),
        "subspace_bytes": sum(4 * (one.dim * kept[one.name] + width[one.name]) for one in modules),
        "maps_bytes": maps_bytes(modules, is_whitened=True) if is_new else 0,
        "statistics_bytes": statistics_bytes(modules) if is_new else 0,
    }


def sketch_widths(method: AttributionMethod, modules: Sequence[ModuleShape], num_examples: int) -> dict[str, int]:
    """Columns of each module's randomised SVD; a full subspace has one per text or fewer, a plain product none."""
    rank = method.curvature.subspace_rank
    most = num_examples if rank is None else rank + OVERSAMPLING if rank else 0
    return {one.name: min(most, one.dim) for one in modules}


def all_root_seconds(modules: Sequence[ModuleShape]) -> float:
    """Time the root of a small second moment, and count those of all modules by the third power of their widths."""
    sides = [(one.in_features, one.d_in) for one in modules]
    sides += [(one.out_features, one.d_out) for one in modules if one.form == "factors"]
    timed = min(TIMED_WIDTH, max(width for width, _ in sides))
    relative = [(width / timed) ** 3 / (SHIFTS_GAIN if is_by_shifts(width, kept) else 1.0) for width, kept in sides]
    return root_seconds(timed) * sum(relative)


def _sample(job: IndexJob) -> tuple[float, list[EncodedText]]:
    """Mean tokens of the data set's first texts, and those with a target."""
    found = job.engine.encoder.encode_all(job.examples.iter_examples(0, SAMPLE_EXAMPLES)).texts
    mean_tokens = add_counts(map(count_tokens, found)).positions / max(len(found), 1)
    return mean_tokens, [text for text in found if has_targets(text)] or [first_readable(job)]


def _seconds(timed: Timed | None, num_tokens: float) -> float:
    return 0.0 if timed is None else num_tokens / timed.tokens_per_second


def _peak(engine: Engine, memory: BuildMemory, width: dict[str, int], free: int) -> int:
    """The most that a build holds beside the model."""
    widest = max(engine.stored, key=lambda module: module.dim)
    fit = fit_bytes(widest, width[widest.name]) if width[widest.name] else 0
    return max(memory.most(largest_group(memory, engine.modules, free)), fit + 3 * 4 * CHUNK_NUMBERS)


def _expert_bytes(method: AttributionMethod, experts: list[ModuleShape]) -> int:
    feature = method.feature
    if method.budget_bytes is not None or not experts:
        return 0
    return bytes_per_example(experts, codec_for(feature.codec, feature.layout), feature.rank_of, feature.layout)


def _fit_seconds(job: IndexJob, width: dict[str, int]) -> float:
    """Time one product of the widest module's fit and one decomposition, and count how many the fit needs."""
    module = max(job.engine.stored, key=lambda module: module.dim)
    if not width[module.name]:
        return 0.0
    rows = torch.zeros(min(max(1, CHUNK_NUMBERS // module.dim), 512), module.dim)
    basis = torch.zeros(module.dim, width[module.name])
    started = time.perf_counter()
    _ = rows @ basis
    per_product = (time.perf_counter() - started) / (len(rows) * module.dim * width[module.name])
    is_whole = job.engine.method.curvature.subspace_rank is None
    numbers = sum(
        _num_products(shape, width[shape.name], is_whole) * shape.dim * width[shape.name]
        for shape in job.engine.stored
    )
    widest = min(TIMED_WIDTH, max(width.values()))
    decompositions = decomposition_seconds(widest) * sum((size / widest) ** 3 for size in width.values())
    return job.manifest.num_examples * numbers * per_product + decompositions


def _num_products(module: ModuleShape, width: int, is_whole: bool) -> int:
    """Of every example's row: two a pass, Rayleigh–Ritz, self-influence; a whole Gram matrix takes one pass, and
    one more where it is that of the texts."""
    if is_whole or width == module.dim:
        return 2 if width == module.dim else 3
    return 2 * (1 + SUBSPACE_ITERATIONS) + 3
