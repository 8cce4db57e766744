"""Everything that can be compared: indexes of a workspace, and uncompressed references beside them.

A candidate is named by an index id, or by a reference: `ekfac`, `kfac`, both with the output head (`ekfac+head`,
`kfac+head`), `graddot`, `cosine`, `repsim` (cosine of last hidden states) or `bm25` (words in common). A damping
ratio may follow after a colon: `ekfac:0.01`, `ix-0123456789ab:5`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.config import DEFAULT_REFINE_RATIO, Normalisation, ScoreConfig
from lorif_core.data.sequences import EncodedText, count_tokens
from lorif_core.errors import ConfigError
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.metric import Eigenbasis, Metric
from lorif_core.linalg.whitening import diagonal_root
from lorif_core.methods.make_method import make_reference
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.methods.references.reference import (
    Curvatures,
    GradientReference,
    HeadReference,
    StateReference,
    TextReference,
)
from lorif_core.methods.registry import REFERENCES
from lorif_core.passes.head_products import HeadQueries, capture_head
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import iter_scores, plan_scoring
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.uncompressed import TrainPass, fit_eigenbases, last_states, score_uncompressed
from lorif_core.shapes import ModuleShape
from lorif_core.weights import locate_weight
from lorif_core.workspace.asking.score_file import as_a_text, read_query_examples
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.indexes.engine import head_of, whole_engine
from lorif_core.workspace.indexes.take_statistics import take_statistics
from lorif_core.workspace.workspace import Workspace

DEFAULT_RATIO = 0.01
"""Damping of `ekfac` and `kfac` over their mean eigenvalue, unless one is given."""

EXAMPLES_PER_GROUP = 256

STATISTICS = StatisticsSample(2048, 0)
"""Of the moments behind `ekfac` and `kfac`: that of the default method."""

POWERS: dict[Normalisation, float] = {"none": 0.0, "unit": 0.5, "relatif": 0.5, "tempered": 0.25}
"""Power of the train example's self-influence that a score is divided by; a query's own norm ranks nothing."""


class CandidateName(NamedTuple):
    """What is to be scored."""

    name: str
    """Index id or reference."""

    damping_ratio: float | None

    @property
    def is_reference(self) -> bool:
        """Whether it keeps nothing on disk."""
        return self.name in REFERENCES

    def __str__(self) -> str:
        return self.name if self.damping_ratio is None else f"{self.name}:{self.damping_ratio:g}"


@dataclass(frozen=True)
class Scored:
    """A candidate's scores on a set of queries, and what they cost."""

    candidate: CandidateName
    label: str
    """For people: method and settings."""

    normalisation: Normalisation
    scores: Tensor
    """(Q, N), positive = supports."""

    codes_bytes: float | None
    """Bytes of codes, scales and numbers per example; None where nothing is kept."""

    total_bytes: float | None
    """Bytes of everything on disk ÷ N; None where nothing is kept."""

    build_seconds: float | None
    query_seconds: float
    """Per query, once query gradients are there; references: including their pass over the data."""

    asked: ScoreConfig | None = None
    """How an index was scored; None for a reference."""


def parse_candidate(text: str) -> CandidateName:
    """A candidate from its name and, after a colon, its damping ratio.

    Raises:
        ConfigError: The part after the colon is no positive number.
    """
    name, colon, ratio = text.partition(":")
    try:
        value = float(ratio) if colon else None
    except ValueError:
        value = 0.0
    if value is not None and not 0 < value < float("inf"):
        raise ConfigError(f"after the colon stands a damping ratio above 0, such as ekfac:0.01; got {text!r}.")
    return CandidateName(name, value)


def score_candidates(
    workspace: Workspace,
    candidates: Sequence[CandidateName],
    queries: Path,
    normalisations: Sequence[Normalisation],
    on_progress: ProgressSink,
    *,
    refines: Sequence[int] = (0,),
) -> Iterator[Scored]:
    """Scores of every candidate under every normalisation; indexes first, references in one shared pass.

    Indexes are scored with every number of refining steps in ``refines``; others than half-whitened ones take 0 only.

    Raises:
        LorifError: A candidate or a query cannot be used.
    """
    for candidate in candidates:
        if not candidate.is_reference:
            can_be_refined = workspace.indexes.open(candidate.name).engine.method.can_be_refined
            settings = [
                ScoreConfig(normalisation=one, damping_ratio=candidate.damping_ratio, refine=steps)
                for steps, one in product(refines if can_be_refined else (0,), normalisations)
            ]
            yield from score_index(workspace, candidate, queries, settings)
    references = [candidate for candidate in candidates if candidate.is_reference]
    if references:
        yield from _References(workspace, queries, on_progress).score(references, normalisations)


def score_index(
    workspace: Workspace, candidate: CandidateName, queries: Path, settings: Sequence[ScoreConfig]
) -> Iterator[Scored]:
    """Scores of one index under several settings; the queries are differentiated once.

    Raises:
        LorifError: The index, a query or a setting cannot be used.
    """
    if not settings:
        raise ConfigError("there is nothing to score with: give at least one value of every setting.")
    index = workspace.indexes.open(candidate.name)
    record = workspace.files.catalog.index(index.index_id)
    asked = [as_a_text(index, example) for example in read_query_examples(queries)]
    with index.engine.gradients() as source:
        gradients = capture_queries(source, asked, *settings)
    for one in settings:
        started = time.perf_counter()
        plan = plan_scoring(index.fitted, gradients, one)
        scores = torch.cat([part for _, part in iter_scores(plan)], 1)
        seconds = (time.perf_counter() - started) / len(asked)
        total = None if record.total_bytes is None else record.total_bytes / record.num_examples
        codes = None if record.shard_bytes is None else record.shard_bytes / record.num_examples
        label = f"{index.engine.method.label}{_asked(one)}"
        yield Scored(candidate, label, one.normalisation, scores, codes, total, record.build_seconds, seconds, one)


def _asked(settings: ScoreConfig) -> str:
    """What the settings change about an index, for its label."""
    changes = {
        "refined": settings.refine or None,
        "damping": settings.damping_ratio,
        "r'": settings.subspace_rank,
        "query rank": settings.query_rank,
        "refine ratio": settings.refine_ratio if settings.refine_ratio != DEFAULT_REFINE_RATIO else None,
    }
    return "".join(f", {name} {value:g}" for name, value in changes.items() if value is not None)


class _References:
    """Uncompressed scores of one data set, model and set of queries: those of the workspace's newest index."""

    def __init__(self, workspace: Workspace, queries: Path, on_progress: ProgressSink) -> None:
        index = workspace.indexes.open()
        engine, self.on_progress = index.engine, on_progress
        # Every module of the model at full width, whatever a budget left of them.
        self.engine = whole_engine(engine, index.model)
        self.dataset = workspace.files.catalog.dataset(workspace.files.catalog.index(index.index_id).dataset_id)
        self.files, self.examples = workspace.files, index.examples
        self.encoded = engine.encoder.encode_all(index.examples.iter_examples()).texts
        self.query_examples = read_query_examples(queries)
        self.queries: list[Query] = [as_a_text(index, example) for example in self.query_examples]

    def score(self, candidates: Sequence[CandidateName], normalisations: Sequence[Normalisation]) -> Iterator[Scored]:
        """Scores of the references."""
        by_gradients: list[tuple[CandidateName, GradientReference]] = []
        for candidate in candidates:
            reference = make_reference(candidate.name)
            if isinstance(reference, GradientReference):
                by_gradients.append((candidate, reference))
                continue
            started = time.perf_counter()
            scores = self._score_at_once(reference)
            seconds = (time.perf_counter() - started) / len(self.queries)
            yield Scored(candidate, reference.label, "none", scores, None, None, None, seconds)
        if by_gradients:
            yield from self._score_gradients(by_gradients, normalisations)

    def _score_at_once(self, reference: StateReference | TextReference) -> Tensor:
        if isinstance(reference, TextReference):
            corpus = [example.plain_text for example in self.examples.iter_examples()]
            return reference.score_texts([example.plain_text for example in self.query_examples], corpus)
        with self.engine.frozen_model() as model:
            train = TrainPass(model, self.engine.pad_id, self.engine.batches.tokens_per_batch)
            asked = last_states(train, [query.sequences[0] for query in self.queries])
            return reference.score_states(asked, last_states(train, self.encoded))

    def _score_gradients(
        self, named: Sequence[tuple[CandidateName, GradientReference]], normalisations: Sequence[Normalisation]
    ) -> Iterator[Scored]:
        started = time.perf_counter()
        with self.engine.gradients() as source:
            gradients = capture_queries(source, self.queries, ScoreConfig()).matrices
            train = TrainPass(source.model, source.pad_id, source.tokens_per_batch)
            head = self._head(named)
            fitted = self._fit(train, named, head)
            metrics = self._metrics(named, fitted)
            asked = None if head is None else self._head_queries(source, named, head, fitted)
            parts = []
            for done, group in enumerate(self._groups(), start=1):
                parts.append(score_uncompressed(train, gradients, metrics, group, asked))
                self.on_progress("references", min(done * EXAMPLES_PER_GROUP, len(self.encoded)), len(self.encoded))
        seconds = (time.perf_counter() - started) / len(self.queries)
        scores, self_influences = (torch.cat(sides, -1) for sides in zip(*parts, strict=True))
        for (candidate, reference), raw, influence in zip(named, scores, self_influences, strict=True):
            for normalisation in reference.normalisations(normalisations):
                divisor = influence.clamp_min(torch.finfo(torch.float32).tiny) ** POWERS[normalisation]
                yield Scored(candidate, reference.label, normalisation, raw / divisor, None, None, None, seconds)

    def _head(self, named: Sequence[tuple[CandidateName, GradientReference]]) -> ModuleShape | None:
        """The output head, if one of the references compares it."""
        if not any(isinstance(reference, HeadReference) for _, reference in named):
            return None
        head = head_of(self.engine.loaded)
        if any(module.name == head.name for module in self.engine.modules):
            raise ConfigError(
                f"`--include` of the index means the output head {head.name!r} as any linear map, so kfac and ekfac "
                "have it: with +head it would count twice. Leave +head out."
            )
        return head

    def _fit(
        self, train: TrainPass, named: Sequence[tuple[CandidateName, GradientReference]], head: ModuleShape | None
    ) -> Curvatures:
        if not any(reference.needs_moments for _, reference in named):
            return Curvatures()
        modules = self.engine.modules if head is None else [*self.engine.modules, head]
        engine = replace(self.engine, modules=modules)
        moments = take_statistics(self.files, self.dataset, engine, STATISTICS, self.on_progress)
        bases: dict[str, Eigenbasis] = {}
        if any(reference.needs_bases for _, reference in named):
            bases = fit_eigenbases(
                train, {one.name: moments[one.name] for one in self.engine.modules}, self._groups()
            )
        tokens = sum(count_tokens(text).positions for text in self.encoded) / max(len(self.encoded), 1)
        return Curvatures(moments, bases, None if head is None else tokens)

    def _metrics(
        self, named: Sequence[tuple[CandidateName, GradientReference]], fitted: Curvatures
    ) -> list[dict[str, Metric]]:
        return [
            {
                module.name: reference.metric(module.name, fitted, candidate.damping_ratio or DEFAULT_RATIO)
                for module in self.engine.modules
            }
            for candidate, reference in named
        ]

    def _head_queries(
        self,
        source: GradientSource,
        named: Sequence[tuple[CandidateName, GradientReference]],
        head: ModuleShape,
        fitted: Curvatures,
    ) -> HeadQueries:
        diagonal = diagonal_root(fitted.moments[head.name], what=head.name)
        device = locate_weight(source.model, head.name).parameter.device
        metrics = [
            reference.head_metric(head.name, fitted, candidate.damping_ratio or DEFAULT_RATIO)
            if isinstance(reference, HeadReference)
            else None
            for candidate, reference in named
        ]
        return capture_head(source, head.name, ModuleMaps(None, diagonal.float().to(device)), self.queries, metrics)

    def _groups(self) -> Iterator[Sequence[EncodedText]]:
        for start in range(0, len(self.encoded), EXAMPLES_PER_GROUP):
            yield self.encoded[start : start + EXAMPLES_PER_GROUP]
