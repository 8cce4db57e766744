"""What an index will cost: bytes exactly, time and memory from a few timed batches."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.data.batches import plan_batches
from lorif_core.data.sequences import EncodedText, add_counts, count_tokens, has_targets
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.subspace import OVERSAMPLING, SUBSPACE_ITERATIONS
from lorif_core.linalg.typed_torch import eigh
from lorif_core.methods.lorif import fit_bytes
from lorif_core.models.adapter_report import coverage_of
from lorif_core.passes.fitting import CHUNK_NUMBERS
from lorif_core.passes.shards import GradientSource, build_shard
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import NUMBERS_BYTES, bytes_per_example
from lorif_core.weights import family_of
from lorif_core.workspace.indexes.budget_share import costs_of_terms
from lorif_core.workspace.indexes.coverage import first_readable
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.index_job import SELF_INFLUENCE_BYTES, IndexJob
from lorif_core.workspace.indexes.model_share import ModelShare, share_of

SAMPLE_EXAMPLES = 256
TIMED_BATCHES = 3

TIMED_WIDTH = 512
"""Of the decomposition that is timed: 0.1 s on two cores, where 4,096 take 45 s."""


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
    seconds: float
    """Of the whole rest of the build, from the timed batches."""

    tokens_per_second: float
    memory_bytes: int
    """Peak resident size of the process."""

    free_bytes: int
    """Free space on the workspace's disk."""

    term_costs: str | None = None
    """What a budget can buy, in words; None without a budget."""

    adapter: str | None = None
    """What of the model's adapter is tracked, in a sentence; None for a model that stands alone."""


def estimate_index(job: IndexJob) -> IndexEstimate:
    """Time a few batches of the data set's beginning and extrapolate.

    Raises:
        DataError: No text can be read by the model, or none has a token to predict.
    """
    curvature, projection = job.engine.method.curvature, job.engine.method.projection
    found = job.engine.encoder.encode_all(job.examples.iter_examples(0, SAMPLE_EXAMPLES)).texts
    mean_tokens = add_counts(map(count_tokens, found)).positions / max(len(found), 1)
    examples = [text for text in found if has_targets(text)] or [first_readable(job)]
    with _timed_engine(job).gradients() as source:
        tokens_per_second = _token_rate(source, examples)
    width = {module.name: min(_sketch_width(curvature.subspace_rank), module.dim) for module in job.engine.modules}
    subspace_bytes = sum(4 * module.dim * (width[module.name] + 1) for module in job.engine.modules)
    num_sampled = 0
    sample = projection.sample(job.engine.modules)
    if sample is not None and job.manifest.maps is None:
        by_tokens = math.ceil(sample.num_tokens / max(mean_tokens, 1))
        num_sampled = min(max(sample.num_examples, by_tokens), job.manifest.num_examples)
        subspace_bytes += sum(
            4 * (m.in_features * m.d_in + m.out_features * (1 if m.form == "columns" else m.d_out))
            for m in job.engine.modules
        )
    fit_seconds = _fit_seconds(job, width)
    per_example = job.bytes_per_example + NUMBERS_BYTES
    experts = [module for module in job.engine.modules if family_of(module.name) != module.name]
    widest = max(job.engine.modules, key=lambda module: module.dim)
    fit_memory = fit_bytes(widest, width[widest.name]) + 3 * 4 * CHUNK_NUMBERS
    coverage = coverage_of(job.engine.loaded, job.engine.entries)
    return IndexEstimate(
        num_examples=job.manifest.num_examples,
        num_left=job.num_left,
        num_modules=len(job.engine.modules),
        num_expert_modules=len(experts),
        expert_bytes_per_example=_expert_bytes(job, experts),
        model_share=share_of(job.engine),
        total_dim=sum(module.dim for module in job.engine.modules),
        bytes_per_example=per_example,
        shard_bytes=job.manifest.num_examples * (per_example + SELF_INFLUENCE_BYTES),
        subspace_bytes=subspace_bytes,
        seconds=(job.num_left + num_sampled) * mean_tokens / tokens_per_second + fit_seconds,
        tokens_per_second=tokens_per_second,
        memory_bytes=psutil.Process().memory_info().rss + max(fit_memory, job.manifest.shard_examples * per_example),
        free_bytes=job.files.free_bytes(),
        term_costs=None
        if job.engine.method.budget_bytes is None
        else costs_of_terms(job.engine.modules, column_codec(job.engine.method.feature.codec)),
        adapter=None if coverage is None else coverage.sentence(),
    )


def _expert_bytes(job: IndexJob, experts: list[ModuleShape]) -> int:
    feature = job.engine.method.feature
    if job.engine.method.budget_bytes is not None or not experts:
        return 0
    return bytes_per_example(experts, column_codec(feature.codec), feature.rank_of, feature.layout)


def _timed_engine(job: IndexJob) -> Engine:
    """The engine, with maps of the right shapes where the real ones wait for their statistics."""
    if job.engine.maps:
        return job.engine
    return job.engine.with_maps(
        {
            m.name: ModuleMaps(
                torch.randn(m.in_features, m.d_in),
                torch.rand(m.out_features) if m.form == "columns" else torch.randn(m.out_features, m.d_out),
            )
            for m in job.engine.modules
        }
    )


def _sketch_width(subspace_rank: int | None) -> int:
    """Columns of the randomised SVD's sketch; a full subspace has as many as it can."""
    if subspace_rank is None:
        return 1 << 30
    return subspace_rank + OVERSAMPLING if subspace_rank else 0


def _token_rate(source: GradientSource, examples: Sequence[EncodedText]) -> float:
    """Real tokens per second over a few batches, after one that warms up."""
    lengths = [count_tokens(example).positions for example in examples]
    batches = plan_batches(lengths, source.tokens_per_batch, length_boundaries(source.model))
    spread = batches[:: max(1, len(batches) // TIMED_BATCHES)][:TIMED_BATCHES]
    chosen = [examples[position] for batch in spread for position in batch]
    build_shard(source, [examples[position] for position in batches[0][:4]])
    started = time.perf_counter()
    build_shard(source, chosen)
    return add_counts(map(count_tokens, chosen)).positions / max(time.perf_counter() - started, 1e-9)


def _fit_seconds(job: IndexJob, width: dict[str, int]) -> float:
    """Time one product of the widest module's fit and one decomposition, and count how many the fit needs."""
    module = max(job.engine.modules, key=lambda module: module.dim)
    if not width[module.name]:
        return 0.0
    rows = torch.zeros(min(max(1, CHUNK_NUMBERS // module.dim), 512), module.dim)
    basis = torch.zeros(module.dim, width[module.name])
    started = time.perf_counter()
    _ = rows @ basis
    per_product = (time.perf_counter() - started) / (len(rows) * module.dim * width[module.name])
    numbers = sum(
        _num_products(shape, width[shape.name]) * shape.dim * width[shape.name] for shape in job.engine.modules
    )
    widest = min(TIMED_WIDTH, max(width.values()))
    decompositions = _decomposition_seconds(widest) * sum((size / widest) ** 3 for size in width.values())
    return job.manifest.num_examples * numbers * per_product + decompositions


def _num_products(module: ModuleShape, width: int) -> int:
    """Of every example's row: two in each pass, Rayleigh–Ritz, self-influence; a whole Gram matrix takes one pass."""
    return 2 if width == module.dim else 2 * (1 + SUBSPACE_ITERATIONS) + 3


def _decomposition_seconds(size: int) -> float:
    """Of the eigenvectors of one symmetric matrix; the time of a larger one grows with its third power."""
    matrix = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    eigh(torch.eye(8, dtype=torch.float64))  # the first one of a process also starts its threads
    started = time.perf_counter()
    eigh(matrix @ matrix.T)
    return time.perf_counter() - started
