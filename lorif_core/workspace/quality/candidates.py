"""Everything that can be compared: indexes of a workspace, and uncompressed references beside them.

A candidate is named by an index id, or by a reference: `ekfac`, `kfac`, `graddot`, `cosine`,
`repsim` (cosine of last hidden states), `bm25` (words in common) or `tokens` (target tokens in common, each ÷ its
frequency). A damping ratio may follow after a colon: `ekfac:0.01`, `ix-0123456789ab:5`.
"""

import time
from collections.abc import Iterator, Sequence
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
from lorif_core.methods.references.bm25 import is_installed
from lorif_core.methods.references.reference import (
    Curvatures,
    GradientReference,
    StateReference,
    TextReference,
    TokenReference,
)
from lorif_core.methods.registry import REFERENCES
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import iter_scores, plan_scoring
from lorif_core.passes.uncompressed import TrainPass, fit_eigenbases, last_states, score_uncompressed
from lorif_core.workspace.asking.score_file import as_a_text, read_query_examples
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.engine import Engine, whole_engine
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


TOKENS = CandidateName("tokens", None)
"""The score that knows no model; partial LDS is given it."""


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
    """Scores of every candidate under every normalisation.

    References that need no gradient come first, in the given order, then indexes, then the other references, which
    share one pass. References are of the first index that is named, or of the newest. Indexes are scored with every
    number of refining steps in ``refines``; others than half-whitened ones take 0 only.

    Raises:
        LorifError: A candidate or a query cannot be used.
    """
    references = [candidate for candidate in candidates if candidate.is_reference]
    named = next((candidate.name for candidate in candidates if not candidate.is_reference), None)
    beside = _References(workspace, named, queries, on_progress) if references else None
    if beside is not None:
        yield from beside.score_at_once(references)
    for candidate in candidates:
        if not candidate.is_reference:
            can_be_refined = workspace.indexes.open(candidate.name).engine.method.can_be_refined
            settings = [
                ScoreConfig(normalisation=one, damping_ratio=candidate.damping_ratio, refine=steps)
                for steps, one in product(refines if can_be_refined else (0,), normalisations)
            ]
            yield from score_index(workspace, candidate, queries, settings)
    if beside is not None:
        yield from beside.score_gradients(references, normalisations)


def always_beside() -> list[CandidateName]:
    """References that no LDS table is without, ``tokens`` first: words alone, with BM25 where that is installed."""
    return [TOKENS, CandidateName("bm25", None)] if is_installed() else [TOKENS]


def score_tokens(workspace: Workspace, index_id: str, queries: Path) -> Scored:
    """The score that knows no model, over the texts of an index.

    Raises:
        LorifError: The index or a query cannot be used.
    """
    (scored,) = _References(workspace, index_id, queries, no_progress).score_at_once([TOKENS])
    return scored


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
    """Uncompressed scores of one data set, model and set of queries: those of an index, unset: of the newest."""

    def __init__(self, workspace: Workspace, index_id: str | None, queries: Path, on_progress: ProgressSink) -> None:
        index = workspace.indexes.open(index_id)
        self.workspace, self.index_id, self.on_progress = workspace, index.index_id, on_progress
        self.examples = index.examples
        self.encoded = index.engine.encoder.encode_all(index.examples.iter_examples()).texts
        self.query_examples = read_query_examples(queries)
        self.queries: list[Query] = [as_a_text(index, example) for example in self.query_examples]

    def score_at_once(self, candidates: Sequence[CandidateName]) -> Iterator[Scored]:
        """Scores of those among the references that compare no gradients."""
        for candidate in candidates:
            reference = make_reference(candidate.name)
            if isinstance(reference, GradientReference):
                continue
            started = time.perf_counter()
            scores = self._score_at_once(reference)
            seconds = (time.perf_counter() - started) / len(self.queries)
            yield Scored(candidate, reference.label, "none", scores, None, None, None, seconds)

    def _score_at_once(self, reference: StateReference | TextReference | TokenReference) -> Tensor:
        if isinstance(reference, TokenReference):
            return reference.score_tokens([query.sequences for query in self.queries], self.encoded)
        if isinstance(reference, TextReference):
            corpus = [example.plain_text for example in self.examples.iter_examples()]
            return reference.score_texts([example.plain_text for example in self.query_examples], corpus)
        engine = self._engine()
        with engine.frozen_model() as model:
            train = TrainPass(model, engine.pad_id, engine.batches.tokens_per_batch)
            asked = last_states(train, [query.sequences[0] for query in self.queries])
            return reference.score_states(asked, last_states(train, self.encoded))

    def _engine(self) -> Engine:
        """Every module of the model at full width, whatever a budget left of them.

        Opened when it is needed: between two indexes of other models only one of these is in memory.
        """
        index = self.workspace.indexes.open(self.index_id)
        return whole_engine(index.engine, index.model)

    def score_gradients(
        self, candidates: Sequence[CandidateName], normalisations: Sequence[Normalisation]
    ) -> Iterator[Scored]:
        """Scores of those among the references that compare gradients, in one pass."""
        made = [(candidate, make_reference(candidate.name)) for candidate in candidates]
        named = [(candidate, one) for candidate, one in made if isinstance(one, GradientReference)]
        if not named:
            return
        started, engine = time.perf_counter(), self._engine()
        with engine.gradients() as source:
            gradients = capture_queries(source, self.queries, ScoreConfig()).matrices
            train = TrainPass(source.model, source.pad_id, source.tokens_per_batch)
            metrics = self._metrics(engine, train, named)
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
        self, engine: Engine, train: TrainPass, named: Sequence[tuple[CandidateName, GradientReference]]
    ) -> list[dict[str, Metric]]:
        moments: dict[str, Moments] = {}
        if any(reference.needs_moments for _, reference in named):
            files = self.workspace.files
            dataset = files.catalog.dataset(files.catalog.index(self.index_id).dataset_id)
            moments = take_statistics(files, dataset, engine, STATISTICS, self.on_progress)
        needs_bases = any(reference.needs_bases for _, reference in named)
        fitted = Curvatures(moments, fit_eigenbases(train, moments, self._groups()) if needs_bases else {})
        return [
            {
                module.name: reference.metric(module.name, fitted, candidate.damping_ratio or DEFAULT_RATIO)
                for module in engine.modules
            }
            for candidate, reference in named
        ]

    def _groups(self) -> Iterator[Sequence[EncodedText]]:
        for start in range(0, len(self.encoded), EXAMPLES_PER_GROUP):
            yield self.encoded[start : start + EXAMPLES_PER_GROUP]
