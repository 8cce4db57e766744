"""Scores of everything that can be compared: indexes of a workspace, and uncompressed references beside them.

They are kept as soon as they are there (``folder/kept_rows.py``), so an evaluation that was stopped goes on.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lorif_core.config import DEFAULT_REFINE_RATIO, Normalisation, RefineBy, ScoreConfig
from lorif_core.data.sequences import EncodedText, count_tokens
from lorif_core.errors import ConfigError
from lorif_core.files import checksum_of_file, fingerprint_of_value, start_hash
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.metric import Eigenbasis, Metric
from lorif_core.linalg.whitening import diagonal_root
from lorif_core.methods.make_method import make_reference
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.methods.references.bm25 import is_installed
from lorif_core.methods.references.reference import (
    Curvatures,
    GradientReference,
    HeadReference,
    StateReference,
    TextReference,
    TokenReference,
)
from lorif_core.passes.head_products import HeadQueries, capture_head
from lorif_core.passes.queries import Query, capture_queries
from lorif_core.passes.scoring import iter_scores
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.uncompressed import TrainPass, fit_eigenbases, last_states, score_uncompressed
from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import MANIFEST
from lorif_core.weights import locate_weight
from lorif_core.workspace.asking.member_plans import capture_members, plan_members
from lorif_core.workspace.asking.score_file import as_a_text, read_query_examples
from lorif_core.workspace.folder.index_losses import knows_only_losses
from lorif_core.workspace.folder.kept_rows import kept_row_file, read_row, write_row
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.engine import Engine, head_of, whole_engine
from lorif_core.workspace.indexes.linked_members import members_fingerprint
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.indexes.take_statistics import take_statistics
from lorif_core.workspace.quality.scored import TOKENS, CandidateName, Scored
from lorif_core.workspace.workspace import Workspace

DEFAULT_RATIO = 0.01
"""Damping of `ekfac` and `kfac` over their mean eigenvalue, unless one is given."""

EXAMPLES_PER_GROUP = 256

STATISTICS = StatisticsSample(2048, 0)
"""Of the moments behind `ekfac` and `kfac`: that of the default method."""

COMPUTING = ("capture", "data", "linalg", "methods", "models", "passes", "store")
"""Folders whose code decides a score."""

POWERS: dict[Normalisation, float] = {"none": 0.0, "unit": 0.5, "relatif": 0.5, "tempered": 0.25}
"""Power of the train example's self-influence that a score is divided by; a query's own norm ranks nothing."""


def score_candidates(
    workspace: Workspace,
    candidates: Sequence[CandidateName],
    queries: Path,
    normalisations: Sequence[Normalisation],
    on_progress: ProgressSink,
    *,
    refines: Sequence[int] = (0,),
    refine_by: RefineBy = "codes",
) -> Iterator[Scored]:
    """Scores of every candidate under every normalisation.

    References that need no gradient come first, in the given order, then indexes, then the other references, which
    share one pass. References are of the first index that is named, or of the newest. Indexes are scored with every
    number of refining steps in ``refines``, ``refine_by`` codes or the model; others than half-whitened ones take 0
    only.

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
            index = workspace.indexes.open(candidate.name)
            can_be_refined = index.fitted.method.can_be_refined and index.members is None
            settings = [
                ScoreConfig(
                    normalisation=one,
                    damping_ratio=candidate.damping_ratio,
                    refine=steps,
                    refine_by=refine_by if steps else "codes",
                )
                for steps, one in product(refines if can_be_refined else (0,), normalisations)
            ]
            asked = [as_a_text(index, example) for example in read_query_examples(queries)]
            yield from _kept_or_scored(workspace, index, candidate, asked, settings)
    if beside is not None:
        yield from beside.score_gradients(references, normalisations)


def _kept_or_scored(
    workspace: Workspace,
    index: OpenIndex,
    candidate: CandidateName,
    asked: Sequence[Query],
    settings: Sequence[ScoreConfig],
) -> Iterator[Scored]:
    """Scores of one index under several settings; what is not kept yet is scored."""
    manifest = start_hash(index.reader.place.read(MANIFEST)).hexdigest()
    known = {"index": index.index_id, "manifest": manifest, "code": code_fingerprint(), "queries": _sequences(asked)}
    if members := members_fingerprint(workspace.files, workspace.files.catalog.index(index.index_id)):
        known["members"] = members
    places = {one: kept_row_file(workspace.path, known | {"settings": asdict(one)}) for one in settings}
    missing = [one for one in settings if not places[one].exists()]
    fresh = _score(workspace.files, index, candidate, asked, missing) if missing else iter(())
    for one in settings:
        yield _kept(places[one]) if one not in missing else _keep(places[one], next(fresh))


def _sequences(queries: Sequence[Query]) -> list[Any]:
    """What of queries decides their scores."""
    return [
        [[one.input_ids, one.is_target] for one in query.sequences] if query.losses is None else list(query.losses)
        for query in queries
    ]


@cache
def code_fingerprint() -> str:
    """Of everything below the use cases that scores are computed by: those of another version are others."""
    root = Path(__file__).parents[2]
    files = [path for folder in COMPUTING for path in (root / folder).rglob("*.py")] + [Path(__file__)]
    return fingerprint_of_value({str(path.relative_to(root)): checksum_of_file(path) for path in files})


def _keep(path: Path, scored: Scored) -> Scored:
    row = {name: value for name, value in vars(scored).items() if name != "scores"}
    asked = None if scored.asked is None else asdict(scored.asked)
    write_row(path, scored.scores, row | {"candidate": scored.candidate._asdict(), "asked": asked})
    return scored


def _kept(path: Path) -> Scored:
    scores, row = read_row(path)
    asked = None if row["asked"] is None else ScoreConfig(**row["asked"])
    return Scored(**row | {"candidate": CandidateName(**row["candidate"]), "asked": asked, "scores": scores})


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
    asked = [as_a_text(index, example) for example in read_query_examples(queries)]
    yield from _score(workspace.files, index, candidate, asked, settings)


def _score(
    files: WorkspaceFiles,
    index: OpenIndex,
    candidate: CandidateName,
    asked: Sequence[Query],
    settings: Sequence[ScoreConfig],
) -> Iterator[Scored]:
    captured, cost = capture_members(index, asked, *settings), _Cost.of(files, index)
    for one in settings:
        started = time.perf_counter()
        scores = torch.cat([part for _, part in iter_scores(*plan_members(index, captured, one))], 1)
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
        "refined by the model" if settings.refine_by == "model" else "refined": settings.refine or None,
        "damping": settings.damping_ratio,
        "r'": settings.subspace_rank,
        "query rank": settings.query_rank,
        "refine ratio": settings.refine_ratio if settings.refine_ratio != DEFAULT_REFINE_RATIO else None,
    }
    return "".join(f", {name} {value:g}" for name, value in changes.items() if value is not None)


def _with_model(workspace: Workspace, index_id: str | None) -> str:
    """The index itself where it has a model; of imported losses, the newest index of the same texts that has one.

    Raises:
        ConfigError: There is none.
    """
    record = workspace.files.choose_index(index_id)
    losses = workspace.indexes.losses(record.index_id)
    if losses is None or not losses.is_imported:
        return record.index_id
    found = [
        one.index_id
        for one in workspace.indexes.records()
        if one.status == "complete" and one.dataset_id == record.dataset_id and not knows_only_losses(one)
    ]
    if not found:
        raise ConfigError(
            f"what an index is measured beside needs a model's tokens, and {record.index_id!r} has imported losses "
            "only. Build an index of the same texts with a model first."
        )
    return found[-1]


class _References:
    """Uncompressed scores of one data set, model and set of queries: those of an index, unset: of the newest."""

    def __init__(self, workspace: Workspace, index_id: str | None, queries: Path, on_progress: ProgressSink) -> None:
        index = workspace.indexes.open(_with_model(workspace, index_id))
        self.workspace, self.index_id, self.on_progress = workspace, index.index_id, on_progress
        self.examples = index.examples
        self.encoded = index.engine.encoder.encode_all(index.examples.iter_examples()).texts
        self.query_examples = read_query_examples(queries)
        self.queries: list[Query] = [as_a_text(index, example) for example in self.query_examples]
        self.known = self._identity(index)

    def _identity(self, index: OpenIndex) -> dict[str, Any]:
        """Everything that decides the scores of every reference."""
        loaded, encoder, model = index.engine.loaded, index.engine.encoder, index.model
        return {
            "parents": [index.examples.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint],
            "cut": [encoder.max_length, encoder.stride],
            "modules": [model.include, model.exclude],
            "queries": [_sequences(self.queries), [example.plain_text for example in self.query_examples]],
            "code": code_fingerprint(),
        }

    def _place(self, candidate: CandidateName, normalisation: Normalisation) -> Path:
        asked = {"reference": candidate.name, "ratio": candidate.damping_ratio or DEFAULT_RATIO}
        return kept_row_file(self.workspace.path, self.known | asked | {"normalisation": normalisation})

    def score_at_once(self, candidates: Sequence[CandidateName]) -> Iterator[Scored]:
        """Scores of those among the references that compare no gradients."""
        for candidate in candidates:
            reference = make_reference(candidate.name)
            if isinstance(reference, GradientReference):
                continue
            path, started = self._place(candidate, "none"), time.perf_counter()
            if path.exists():
                yield _kept(path)
                continue
            scores = self._score_at_once(reference)
            seconds = (time.perf_counter() - started) / len(self.queries)
            yield _keep(path, Scored(candidate, reference.label, "none", scores, None, None, None, seconds))

    def _score_at_once(self, reference: StateReference | TextReference | TokenReference) -> Tensor:
        if isinstance(reference, TokenReference):
            return reference.score_tokens([query.sequences for query in self.queries], self.encoded)
        if isinstance(reference, TextReference):
            corpus = [example.plain_text for example in self.examples.iter_examples()]
            return reference.score_texts([example.plain_text for example in self.query_examples], corpus)
        engine = self._engine()
        with engine.frozen_model() as model:
            train = TrainPass(model, engine.pad_id, engine.tokens_per_batch)
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
        """Scores of those among the references that compare gradients; one pass for all that are not kept yet."""
        made = [(candidate, make_reference(candidate.name)) for candidate in candidates]
        named = [(candidate, one) for candidate, one in made if isinstance(one, GradientReference)]
        rows = {candidate: one.normalisations(normalisations) for candidate, one in named}
        missing = [
            (candidate, one)
            for candidate, one in named
            if not all(self._place(candidate, kind).exists() for kind in rows[candidate])
        ]
        for candidate, _ in named:
            if candidate not in dict(missing):
                yield from (_kept(self._place(candidate, kind)) for kind in rows[candidate])
        if missing:
            yield from self._score_gradients(missing, rows)

    def _score_gradients(
        self,
        named: Sequence[tuple[CandidateName, GradientReference]],
        rows: Mapping[CandidateName, Sequence[Normalisation]],
    ) -> Iterator[Scored]:
        started, engine = time.perf_counter(), self._engine()
        with engine.gradients() as source:
            gradients = capture_queries(source, self.queries, ScoreConfig()).matrices
            train = TrainPass(source.model, source.pad_id, source.tokens_per_batch)
            head = _head(engine, named)
            fitted = self._fit(engine, train, named, head)
            metrics = _metrics(engine, named, fitted)
            asked = None if head is None else self._head_queries(source, named, head, fitted)
            parts = []
            for group in self._groups("references"):
                parts.append(score_uncompressed(train, gradients, metrics, group, asked))
        seconds = (time.perf_counter() - started) / len(self.queries)
        scores, self_influences = (torch.cat(sides, -1) for sides in zip(*parts, strict=True))
        for (candidate, reference), raw, influence in zip(named, scores, self_influences, strict=True):
            for kind in rows[candidate]:
                divisor = influence.clamp_min(torch.finfo(torch.float32).tiny) ** POWERS[kind]
                found = Scored(candidate, reference.label, kind, raw / divisor, None, None, None, seconds)
                yield _keep(self._place(candidate, kind), found)

    def _fit(
        self,
        engine: Engine,
        train: TrainPass,
        named: Sequence[tuple[CandidateName, GradientReference]],
        head: ModuleShape | None,
    ) -> Curvatures:
        if not any(reference.needs_moments for _, reference in named):
            return Curvatures()
        files = self.workspace.files
        dataset = files.catalog.dataset(files.catalog.index(self.index_id).dataset_id)
        whole = engine if head is None else replace(engine, modules=[*engine.modules, head])
        moments = take_statistics(files, dataset, whole, STATISTICS, self.on_progress)
        bases: dict[str, Eigenbasis] = {}
        if any(reference.needs_bases for _, reference in named):
            bases = fit_eigenbases(
                train, {one.name: moments[one.name] for one in engine.modules}, self._groups("eigenvalues")
            )
        tokens = sum(count_tokens(text).positions for text in self.encoded) / max(len(self.encoded), 1)
        return Curvatures(moments, bases, None if head is None else tokens)

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

    def _groups(self, stage: str) -> Iterator[Sequence[EncodedText]]:
        """All texts, saying how many are done with."""
        for start in range(0, len(self.encoded), EXAMPLES_PER_GROUP):
            group = self.encoded[start : start + EXAMPLES_PER_GROUP]
            yield group
            self.on_progress(stage, start + len(group), len(self.encoded))


def _head(engine: Engine, named: Sequence[tuple[CandidateName, GradientReference]]) -> ModuleShape | None:
    """The output head, if one of the references compares it."""
    if not any(isinstance(reference, HeadReference) for _, reference in named):
        return None
    head = head_of(engine.loaded)
    if any(module.name == head.name for module in engine.modules):
        raise ConfigError(
            f"`--include` of the index means the output head {head.name!r} as any linear map, so kfac and ekfac "
            "have it: with +head it would count twice. Leave +head out."
        )
    return head


def _metrics(
    engine: Engine, named: Sequence[tuple[CandidateName, GradientReference]], fitted: Curvatures
) -> list[dict[str, Metric]]:
    return [
        {
            module.name: reference.metric(module.name, fitted, candidate.damping_ratio or DEFAULT_RATIO)
            for module in engine.modules
        }
        for candidate, reference in named
    ]
