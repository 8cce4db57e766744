"""Everything that can be compared: indexes of a workspace, and uncompressed references beside them.

A candidate is named by an index id, or by a reference: `ekfac`, `kfac`, `graddot`, `cosine`,
`repsim` (cosine of last hidden states) or `bm25` (words in common). A damping ratio may follow
after a colon: `ekfac:0.01`, `ix-0123456789ab:5`.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.config import DEFAULT_REFINE_RATIO, Normalisation, ScoreConfig
from lorif_core.data.sequences import EncodedText
from lorif_core.errors import ConfigError
from lorif_core.linalg.metric import Metric
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.make_method import make_reference
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.methods.references.reference import Curvatures, GradientReference, StateReference, TextReference
from lorif_core.methods.registry import REFERENCES
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import iter_scores
from lorif_core.passes.uncompressed import TrainPass, fit_eigenbases, last_states, score_uncompressed
from lorif_core.workspace.asking.member_plans import capture_members, plan_members
from lorif_core.workspace.asking.score_file import as_a_text, read_query_examples
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.engine import whole_engine
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.indexes.take_statistics import take_statistics
from lorif_core.workspace.workspace import Workspace

DEFAULT_RATIO = 0.01
"""Damping of `ekfac` and `kfac` over their mean eigenvalue, unless one is given."""

EXAMPLES_PER_GROUP = 256

STATISTICS = StatisticsSample(2048, 0)
"""Of the moments behind `ekfac` and `kfac`: that of the default method, whose file they share."""

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
            index = workspace.indexes.open(candidate.name)
            can_be_refined = index.engine.method.can_be_refined and index.members is None
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
    asked = [as_a_text(index, example) for example in read_query_examples(queries)]
    captured, cost = capture_members(index, asked, *settings), _Cost.of(workspace.files, index)
    for one in settings:
        started = time.perf_counter()
        scores = torch.cat([part for _, part in iter_scores(*plan_members(captured, one))], 1)
        seconds = (time.perf_counter() - started) / len(asked)
        label = f"{index.label}{_asked(one)}"
        yield Scored(candidate, label, one.normalisation, scores, *cost, seconds, one)


class _Cost(NamedTuple):
    """Codes and all bytes per example, and seconds of building, of all members together."""

    codes_bytes: float | None
    total_bytes: float | None
    build_seconds: float | None

    @classmethod
    def of(cls, files: WorkspaceFiles, index: OpenIndex) -> "_Cost":
        others = index.members.others if index.members is not None else ()
        records = [files.catalog.index(one) for one in (index.index_id, *(other.index_id for other in others))]
        count = records[0].num_examples
        codes, total = (_sum(getattr(one, name) for one in records) for name in ("shard_bytes", "total_bytes"))
        seconds = _sum(one.build_seconds for one in records)
        return cls(None if codes is None else codes / count, None if total is None else total / count, seconds)


def _sum(values: Iterable[float | None]) -> float | None:
    """Of all; None where one is unknown."""
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)


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
            metrics = self._metrics(train, named)
            parts = []
            for done, group in enumerate(self._groups(), start=1):
                parts.append(score_uncompressed(train, gradients, metrics, group))
                self.on_progress("references", min(done * EXAMPLES_PER_GROUP, len(self.encoded)), len(self.encoded))
        seconds = (time.perf_counter() - started) / len(self.queries)
        scores, self_influences = (torch.cat(sides, -1) for sides in zip(*parts, strict=True))
        for (candidate, reference), raw, influence in zip(named, scores, self_influences, strict=True):
            for normalisation in reference.normalisations(normalisations):
                divisor = influence.clamp_min(torch.finfo(torch.float32).tiny) ** POWERS[normalisation]
                yield Scored(candidate, reference.label, normalisation, raw / divisor, None, None, None, seconds)

    def _metrics(
        self, train: TrainPass, named: Sequence[tuple[CandidateName, GradientReference]]
    ) -> list[dict[str, Metric]]:
        moments: dict[str, Moments] = {}
        if any(reference.needs_moments for _, reference in named):
            moments = take_statistics(self.files, self.dataset, self.engine, STATISTICS, self.on_progress)
        needs_bases = any(reference.needs_bases for _, reference in named)
        fitted = Curvatures(moments, fit_eigenbases(train, moments, self._groups()) if needs_bases else {})
        return [
            {
                module.name: reference.metric(module.name, fitted, candidate.damping_ratio or DEFAULT_RATIO)
                for module in self.engine.modules
            }
            for candidate, reference in named
        ]

    def _groups(self) -> Iterator[Sequence[EncodedText]]:
        for start in range(0, len(self.encoded), EXAMPLES_PER_GROUP):
            yield self.encoded[start : start + EXAMPLES_PER_GROUP]
