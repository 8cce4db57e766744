"""Measure quality: how well scores predict what retraining, or an uncompressed reference, really does.

Every function returns plain results and keeps their figures in the catalog, with the settings
that repeat them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

import torch
from torch import Tensor

from lorif_core.catalog import EvaluationRecord, utc_now
from lorif_core.config import Normalisation, RefineBy
from lorif_core.data.encoding import EncodedExample, Encoder
from lorif_core.data.examples import Example
from lorif_core.data.sequences import EncodedText
from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.brittleness import BrittlenessResult, measure_brittleness
from lorif_core.evaluation.mislabel import MislabelReport, mislabel_report
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.evaluation.retraining import SubsetChoices, draw_subsets, load_start
from lorif_core.evaluation.stop_at import parse_stop_at
from lorif_core.evaluation.tail_patch import TailPatchResult, measure_tail_patch
from lorif_core.evaluation.trial import Trial
from lorif_core.evaluation.truth import GroundTruth, build_truth, load_truth
from lorif_core.files import fingerprint_of_value
from lorif_core.metrics.correlation import spearman, topk_overlap
from lorif_core.workspace.asking.score_file import read_query_examples
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.linked_members import all_members_told
from lorif_core.workspace.quality.candidates import always_beside, score_candidates, score_index, score_tokens
from lorif_core.workspace.quality.lds_rows import LdsRow, lds_rows
from lorif_core.workspace.quality.planted import PlantedScore, read_answer_key, score_planted
from lorif_core.workspace.quality.scored import CandidateName, Scored, parse_candidate
from lorif_core.workspace.quality.sweep_choices import SweepChoices, combinations_of
from lorif_core.workspace.workspace import Workspace


@dataclass(frozen=True)
class FidelityRow:
    """How closely one candidate's scores follow a reference's."""

    candidate: str
    label: str
    normalisation: str

    spearman: float
    """Mean over queries of the rank correlation over all train examples."""

    overlap: float
    """Mean share of the reference's top k among the candidate's."""

    total_bytes: float | None


class RetrainChoices(SubsetChoices, total=False):
    """Which subsets are trained on, and for how long."""

    stop_at: str | None
    """A number of subsets or a time, such as "40" or "20m", after which the truth is written from what is finished.
    The same call without it goes on."""


class ScoringChoices(TypedDict, total=False):
    """How candidates are scored; every combination is a line of its own."""

    normalisations: Sequence[Normalisation]
    refines: Sequence[int]
    """Refining steps of half-whitened indexes."""

    refine_by: RefineBy
    """Whose curvature refines: that of the codes, or the model's own."""


class Evaluation:
    """Quality measurements of a workspace's indexes, beside uncompressed references."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def lds(
        self,
        queries: str | Path,
        truth: str | Path,
        *,
        candidates: Sequence[str] = (),
        against: str | None = None,
        on_progress: ProgressSink = no_progress,
        **choices: Unpack[ScoringChoices],
    ) -> list[LdsRow]:
        """Plain and partial linear datamodelling score of candidates against really retrained subsets, best first.

        Shared target tokens (``tokens``), which the partial scores are given, are always among them, and so is
        ``bm25`` where its package is installed.

        Args:
            queries: Data file, in the order of the ground truth's columns.
            truth: The .npz of ``retrain``: masks (S, N) and losses (S, Q).
            candidates: Index ids or references, each with ``:ratio`` for another damping. None given:
                every complete index.
            against: Candidate that the others are compared with. Unset: the best plain, and the best partial line.
            on_progress: Receives (stage, done, total).
            **choices: See ``ScoringChoices``.

        Raises:
            DataError: Ground truth, queries and data set do not fit together.

        Source:
            LDS: TRAK (arXiv:2303.14186), section 4; mean over queries of the Spearman correlation over subsets.
        """
        normalisations, refines = choices.get("normalisations", ("none",)), choices.get("refines", (0,))
        refine_by = choices.get("refine_by", "codes")
        known, base = load_truth(Path(truth)), None if against is None else parse_candidate(against)
        wanted = [*always_beside(), *self._candidates(candidates), *([] if base is None else [base])]
        names = list(dict.fromkeys(wanted))
        scored = _reporting(
            score_candidates(
                self.workspace,
                names,
                Path(queries),
                normalisations,
                on_progress,
                refines=refines,
                refine_by=refine_by,
            ),
            len(names),
            on_progress,
        )
        words = next(scored)
        rows = lds_rows(chain([words], scored), known, words, base)
        settings = {"queries": str(queries), "truth": str(truth), "candidates": [str(name) for name in names]}
        chosen = {"normalisations": list(normalisations), "refines": list(refines), "against": against}
        chosen |= {"refine_by": refine_by} if refine_by == "model" else {}
        self._keep("lds", settings | chosen, [asdict(row) for row in rows], self._index_among(names))
        return rows

    def sweep(
        self,
        queries: str | Path,
        truth: str | Path,
        *,
        index_id: str | None = None,
        on_progress: ProgressSink = no_progress,
        **choices: Unpack[SweepChoices],
    ) -> list[LdsRow]:
        """Plain and partial LDS of one index under every combination of scoring-time choices, best first.

        Reads the stored gradients only; no new pass over the data.

        Args:
            queries: As in ``lds``.
            truth: As in ``lds``.
            index_id: Unset: the newest complete index.
            on_progress: Receives ("settings", done, total).
            **choices: Values of damping_ratios, subspace_ranks, query_ranks, refines, refine_ratios and
                normalisations; see ``SweepChoices``.

        Raises:
            DataError: Ground truth, queries and data set do not fit together.
            ConfigError: The index cannot take a setting.
        """
        known = load_truth(Path(truth))
        settings = combinations_of(choices)
        name = CandidateName(self.workspace.indexes.open(index_id).index_id, None)
        words = score_tokens(self.workspace, name.name, Path(queries))
        scored = _counting(score_index(self.workspace, name, Path(queries), settings), len(settings), on_progress)
        rows = lds_rows(scored, known, words)
        asked = {"queries": str(queries), "truth": str(truth), "index_id": name.name}
        self._keep("sweep", asked | {"settings": [asdict(one) for one in settings]}, [asdict(row) for row in rows])
        return rows

    def fidelity(
        self,
        queries: str | Path,
        *,
        reference: str = "ekfac",
        candidates: Sequence[str] = (),
        normalisations: Sequence[Normalisation] = ("none",),
        k: int = 20,
        on_progress: ProgressSink = no_progress,
    ) -> list[FidelityRow]:
        """Agreement of every candidate's ranking with a reference's; needs no retraining.

        Args:
            queries: Data file.
            reference: What is taken for the truth, un-normalised.
            candidates: As in ``lds``.
            normalisations: Of the candidates.
            k: Length of the top lists that are compared.
            on_progress: Receives (stage, done, total).

        Raises:
            LorifError: A candidate or a query cannot be used.
        """
        (anchor,) = score_candidates(
            self.workspace, [parse_candidate(reference)], Path(queries), ("none",), on_progress
        )
        names = self._candidates(candidates)
        rows = []
        for scored in score_candidates(self.workspace, names, Path(queries), normalisations, on_progress):
            if scored.scores.shape != anchor.scores.shape:
                raise DataError(
                    f"a reference must rank the same examples, {scored.candidate} ranks {scored.scores.shape[1]} and "
                    f"{anchor.candidate} {anchor.scores.shape[1]}. Compare indexes of one data set."
                )
            correlation = float(spearman(scored.scores, anchor.scores).mean())
            overlap = topk_overlap(scored.scores, anchor.scores, min(k, scored.scores.shape[1]))
            rows.append(
                FidelityRow(
                    str(scored.candidate),
                    scored.label,
                    scored.normalisation,
                    correlation,
                    overlap,
                    scored.total_bytes,
                )
            )
        rows.sort(key=lambda row: -row.spearman)
        settings = {"queries": str(queries), "reference": reference, "k": k}
        self._keep("fidelity", settings, [asdict(row) for row in rows])
        return rows

    def retrain(
        self,
        recipe: str | Path,
        queries: str | Path,
        out: str | Path,
        *,
        workers: int = 1,
        dataset: str | None = None,
        on_progress: ProgressSink = no_progress,
        **choices: Unpack[RetrainChoices],
    ) -> GroundTruth:
        """Ground truth for ``lds``: train on random subsets, record every query's loss. Resumable.

        Args:
            recipe: TOML file, see ``evaluation.recipe``.
            queries: Data file.
            out: The .npz to write; finished subsets wait in a folder beside it.
            workers: Processes that train side by side.
            dataset: Name or id; may be left out when there is only one.
            on_progress: Receives ("retraining", done, S).
            **choices: num_subsets, fraction, seed and stop_at; see ``RetrainChoices``.

        Raises:
            LorifError: Recipe, queries or data cannot be used.
        """
        stop_at = choices.pop("stop_at", None)
        ends = None if stop_at is None else parse_stop_at(stop_at)
        settings = read_recipe(Path(recipe))
        start = load_start(settings)
        encoder = Encoder(start.tokenizer, settings.max_length, settings.stride)
        examples = encoder.encode_all(self._examples(dataset)).texts
        asked = [encoder.encode(example) for example in read_query_examples(Path(queries))]
        trial = Trial(start, examples, asked, settings)
        masks, folder = draw_subsets(len(examples), **cast(SubsetChoices, choices)), Path(out).with_suffix(".parts")
        truth = build_truth(trial, masks, folder, workers=workers, on_progress=on_progress, stop_at=ends)
        truth.save(Path(out))
        return truth

    def planted(
        self, key: str | Path, *, index_id: str | None = None, k: int = 10, on_progress: ProgressSink = no_progress
    ) -> PlantedScore:
        """Recall@k and mean reciprocal rank of texts that an answer key says were planted.

        Raises:
            DataError: The key cannot be read.
        """
        facts = read_answer_key(Path(key))
        index_id = self.workspace.files.choose_index(index_id).index_id
        score, _ = score_planted(self.workspace, facts, index_id=index_id, k=k, on_progress=on_progress)
        self._keep("planted", {"key": str(key), "index_id": index_id, "k": k}, asdict(score), index_id)
        return score

    def mislabel(
        self,
        column: str,
        *,
        index_id: str | None = None,
        queries: str | Path | None = None,
        ks: Sequence[int] = (10, 100),
    ) -> dict[str, MislabelReport]:
        """How well scores find examples that a metadata column says are corrupted.

        Args:
            column: True (or 1) on corrupted rows.
            index_id: Unset: the newest complete index.
            queries: Clean held-out texts: their mean influence, turned around, is a second score.
            ks: Precision is reported at each.

        Raises:
            DataError: There is no such column, or it holds anything but true and false.
        """
        index = self.workspace.indexes.open(index_id)
        if column not in index.examples.metadata_columns:
            known = ", ".join(index.examples.metadata_columns) or "none"
            raise DataError(f"{column!r} must be a metadata column of the data set; there are: {known}.")
        num_examples = index.reader.manifest.num_examples
        values = [row[column] for row in index.examples.values_at(range(num_examples))]
        if any(value not in (True, False, 0, 1) for value in values):
            raise DataError(
                f"column {column!r} must hold only true and false. Name the column that marks corruption."
            )
        is_corrupted = torch.tensor([bool(value) for value in values])
        own = torch.cat([index.reader.self_influence(shard) for shard in index.reader.iter_shards()])
        ks = [k for k in ks if k <= num_examples]
        reports = {"self-influence": mislabel_report(own, is_corrupted, ks)}
        if queries is not None:
            name = CandidateName(index.index_id, None)
            (scored,) = score_candidates(self.workspace, [name], Path(queries), ("none",), no_progress)
            reports["influence on clean texts"] = mislabel_report(-scored.scores.mean(0), is_corrupted, ks)
        settings = {"column": column, "index_id": index.index_id, "queries": str(queries)}
        self._keep("mislabel", settings, {name: asdict(report) for name, report in reports.items()})
        return reports

    def tail_patch(
        self,
        recipe: str | Path,
        queries: str | Path,
        *,
        candidates: Sequence[str] = (),
        k: int = 10,
        on_progress: ProgressSink = no_progress,
    ) -> list[TailPatchResult]:
        """One training step of the indexed model on each query's top k: how much likelier the query becomes.

        Raises:
            LorifError: Recipe, queries or a candidate cannot be used.
        """
        settings, index = read_recipe(Path(recipe)), self.workspace.indexes.open()
        scores = self._scores(candidates, queries, on_progress)
        examples, asked = self._encoded(index.engine.encoder, queries)
        trial = Trial(index.engine.loaded, examples, asked, settings)
        results = measure_tail_patch(trial, scores, k=k, on_progress=on_progress)
        self._keep("tail-patch", {"recipe": str(recipe), "queries": str(queries), "k": k}, _figures(results))
        return results

    def brittleness(
        self,
        recipe: str | Path,
        queries: str | Path,
        *,
        candidates: Sequence[str] = (),
        k: int = 10,
        seeds: Sequence[int] = (0, 1),
        num_queries: int = 8,
        on_progress: ProgressSink = no_progress,
    ) -> list[BrittlenessResult]:
        """Retrain without each query's top k: how much its loss rises, how many greedy answers flip. Resumable.

        Args:
            recipe: TOML file.
            queries: Data file; the first ``num_queries`` are taken.
            candidates: As in ``lds``.
            k: Examples removed per query.
            seeds: Of the retrainings.
            num_queries: Each costs a retraining per candidate and seed.
            on_progress: Receives ("brittleness", done, total).

        Raises:
            LorifError: Recipe, queries or a candidate cannot be used.
        """
        settings = read_recipe(Path(recipe))
        scores = {name: rows[:num_queries] for name, rows in self._scores(candidates, queries, on_progress).items()}
        start = load_start(settings)
        examples, asked = self._encoded(Encoder(start.tokenizer, settings.max_length, settings.stride), queries)
        trial = Trial(start, examples, asked[:num_queries], settings)
        folder = self.workspace.path / "evaluations" / "brittleness"
        results = measure_brittleness(trial, scores, k=k, seeds=list(seeds), folder=folder, on_progress=on_progress)
        asked_for = {"recipe": str(recipe), "queries": str(queries), "k": k, "seeds": list(seeds)}
        self._keep("brittleness", asked_for | {"num_queries": num_queries}, _figures(results))
        return results

    def results(self) -> list[EvaluationRecord]:
        """Every evaluation of this workspace, oldest first."""
        return self.workspace.files.catalog.evaluations()

    def _candidates(self, given: Sequence[str]) -> list[CandidateName]:
        names = [parse_candidate(text) for text in given]
        if not names:
            complete = [record for record in self.workspace.indexes.records() if record.status == "complete"]
            names = [CandidateName(record.index_id, None) for record in complete]
        if not names:
            raise ConfigError("there is nothing to evaluate: build an index with `lorif index`, or name a reference.")
        return names

    def _scores(self, given: Sequence[str], queries: str | Path, on_progress: ProgressSink) -> dict[str, Tensor]:
        names = self._candidates(given)
        scored = score_candidates(self.workspace, names, Path(queries), ("none",), on_progress)
        return {f"{one.candidate} {one.label}": one.scores for one in scored}

    def _examples(self, dataset: str | None) -> list[Example]:
        record = self.workspace.files.choose_dataset(dataset)
        return list(self.workspace.files.examples(record.dataset_id).iter_examples())

    def _encoded(self, encoder: Encoder, queries: str | Path) -> tuple[list[EncodedText], list[EncodedExample]]:
        examples = self.workspace.indexes.open().examples.iter_examples()
        asked = [encoder.encode(one) for one in read_query_examples(Path(queries))]
        return list(encoder.encode_all(examples).texts), asked

    def _index_among(self, names: Sequence[CandidateName]) -> str | None:
        known = {record.index_id for record in self.workspace.indexes.records()}
        return next((one.name for one in names if one.name in known), None)

    def _keep(self, kind: str, settings: Mapping[str, Any], result: Any, index_id: str | None = None) -> None:
        """Record a measurement under the data set of an index; None: of the one that is asked when none is named."""
        catalog, created = self.workspace.files.catalog, utc_now()
        if members := all_members_told(self.workspace.files):
            settings = {**settings, "members": members}
        index = self.workspace.files.choose_index(index_id)
        catalog.put_evaluation(
            EvaluationRecord(
                evaluation_id=f"ev-{fingerprint_of_value([kind, dict(settings), created.isoformat()])[:12]}",
                kind=kind,
                dataset_id=index.dataset_id,
                settings_json=json.dumps(settings),
                result_json=json.dumps(result),
                created_at=created,
            )
        )


def evaluate(workspace: Workspace) -> Evaluation:
    """Quality measurements of a workspace: ``lf.evaluate(ws).lds(…)``."""
    return Evaluation(workspace)


def _reporting(scored: Iterable[Scored], total: int, on_progress: ProgressSink) -> Iterator[Scored]:
    """The same, saying how many candidates have been measured."""
    seen = set[CandidateName]()
    for one in scored:
        yield one
        seen.add(one.candidate)
        on_progress("candidates", len(seen), total)


def _counting(scored: Iterable[Scored], total: int, on_progress: ProgressSink) -> Iterator[Scored]:
    """The same, saying how many settings have been measured."""
    for done, one in enumerate(scored, start=1):
        yield one
        on_progress("settings", done, total)


def _figures(results: Sequence[TailPatchResult] | Sequence[BrittlenessResult]) -> list[dict[str, Any]]:
    return [asdict(result) | {"per_query": result.per_query.tolist()} for result in results]
