"""A workspace: data sets, indexes, and the questions one asks them. Everything a front end does is here."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import polars as pl

from lorif_core.catalog import QueryRecord
from lorif_core.config import (
    ExportConfig,
    GenerateConfig,
    ScoreConfig,
)
from lorif_core.errors import DataError
from lorif_core.turns import turn_on
from lorif_core.workspace.answers import Answer, Origin
from lorif_core.workspace.asked import (
    find_answer,
    fingerprint_of_question,
    lengths_to_keep,
    remember,
    reopen,
    settings_of,
    shortened,
)
from lorif_core.workspace.asking import ask
from lorif_core.workspace.building import Builder
from lorif_core.workspace.choosing import Choice, Source, review_queue
from lorif_core.workspace.comparing import Comparison, Side, compare_questions
from lorif_core.workspace.doctor import CheckReport, check_workspace
from lorif_core.workspace.explaining import Breakdown, break_down
from lorif_core.workspace.export_records import ExportPreview, ExportResult
from lorif_core.workspace.exporting import export_data, preview_export
from lorif_core.workspace.files import create_files, open_files
from lorif_core.workspace.kept_scores import keeping_scores
from lorif_core.workspace.progress import ProgressSink, no_progress
from lorif_core.workspace.questions import Question, generate_completion
from lorif_core.workspace.removing import Verification, WhatIf, predict_removal, verify_removal
from lorif_core.workspace.reviewing import Review
from lorif_core.workspace.scoring import ScoreResult, score_file
from lorif_core.workspace.valuing import Valuation, value_file


class Workspace(Builder):
    """An open workspace folder. Keeps the last model in memory, so a second question is fast."""

    def ask(
        self,
        prompt: str,
        completion: str | None = None,
        *,
        contrast: str | None = None,
        tokens: Sequence[int] | None = None,
        k: int = 10,
        num_opposing: int = 0,
        settings: ScoreConfig | None = None,
        generate: GenerateConfig | None = None,
        index_id: str | None = None,
        model: str | None = None,
        keeps: bool = True,
        actor: str | None = None,
        on_progress: ProgressSink = no_progress,
    ) -> Answer:
        """Rank the training texts that made the model continue the prompt as it did.

        Args:
            prompt: What the model was given.
            completion: What it said; None lets the model say it now.
            contrast: Second completion, for "why the first and not this one".
            tokens: Explain only these tokens of the completion, counted from 0.
            k: Length of the supporting list.
            num_opposing: Length of the opposing list.
            settings: Objective, normalisation, damping.
            generate: How the model completes the prompt when no completion is given.
            index_id: Unset: the newest complete index.
            model: Where the model lies now, if it was moved.
            keeps: Whether the question is kept, so that it can be opened again without the model, and a
                question that was asked before is answered from what was kept.
            actor: Who asks, for a kept question. None: LORIF_ACTOR, else the system's user.
            on_progress: Receives ("generate", tokens said, the most) if the model is to say something, then
                ("scores", examples done, all), then ("texts", texts of the lists, all). What it raises ends the work.

        Raises:
            LorifError: The question or the settings do not fit the index.
        """
        if completion is None:
            loaded = self.open_index(index_id, model=model).engine.loaded
            completion = generate_completion(loaded, prompt, generate or GenerateConfig(), on_progress)
        settings = settings or ScoreConfig(objective="loss" if contrast is None else "contrast")
        question = Question(prompt, completion, contrast, None if tokens is None else tuple(tokens))
        origin = Origin(self, settings, k, num_opposing, model, keeps)
        if not keeps:
            index = self.open_index(index_id, model=model)
            answer = ask(index, question, settings, k=k, num_opposing=num_opposing, on_progress=on_progress)
            return replace(answer, origin=origin)
        record = self.files.choose_index(index_id)
        fingerprint = fingerprint_of_question(record, question, settings)
        if known := find_answer(self.files, fingerprint, k, num_opposing):
            return replace(known, origin=origin)
        index = self.open_index(record.index_id, model=model)
        longest, most_opposing = lengths_to_keep(self.files, fingerprint, k, num_opposing)
        # Two threads may ask the same: the scores' file is written in the model's turn, too.
        with turn_on(index.engine.loaded.model), keeping_scores(self.files.scores_file(fingerprint)) as keep:
            answer = ask(
                index,
                question,
                settings,
                k=longest,
                num_opposing=most_opposing,
                on_scores=lambda scores: keep(scores[0].numpy()),
                on_progress=on_progress,
            )
        answer = remember(self.files, answer, fingerprint, settings, longest, most_opposing, actor)
        return replace(shortened(answer, k, num_opposing), origin=origin)

    def queries(self) -> list[QueryRecord]:
        """Every question that was asked and kept, oldest first."""
        return self.files.catalog.queries()

    def reopen(self, query_id: str) -> Answer:
        """The answer to a kept question, read back without a model.

        Raises:
            CatalogError: There is no such question.
        """
        record, answer = self.files.catalog.query(query_id), reopen(self.files, query_id)
        return replace(answer, origin=Origin(self, settings_of(record), record.k, record.num_opposing))

    def compare(self, a: str | Answer, b: str | Answer, *, side: Side = "supports", k: int = 20) -> Comparison:
        """Two kept questions side by side: shared texts, changes of rank, rank correlation; needs no model.

        Args:
            a: Id of a kept question, or an answer that was kept.
            b: The other one: another completion, prompt, index or method, about the same data.
            side: Which end of the rankings is compared.
            k: Length of the lists.

        Raises:
            LorifError: A question is unknown or its scores are gone, or they are about different data.
        """
        return replace(compare_questions(self.files, a, b, side=side, k=k), workspace=self)

    def review(
        self,
        query: str | Answer | None = None,
        *,
        where: str | None = None,
        k: int = 20,
        status: Literal["flagged", "excluded"] = "flagged",
        dataset: str | None = None,
    ) -> Review:
        """Texts to go through one by one: of a question, of a condition, or with a status.

        Texts of a question or a condition that were decided already are left out.

        Args:
            query: Id of a kept question, or an answer that was kept.
            where: Instead: a condition, see docs/rules.md.
            k: How many of the question's strongest texts.
            status: Without a question and a condition: texts with this status.
            dataset: Name or id; may be left out when there is only one.

        Raises:
            LorifError: The question is unknown, or the condition cannot be understood.
        """
        query_id = query.query_id if isinstance(query, Answer) else query
        if query is not None and query_id is None:
            raise DataError("the question was not kept, so its texts cannot be ranked again: ask with `keeps=True`.")
        source: Source = "query" if query_id is not None else "condition" if where is not None else status
        choice = Choice(source, query_id, k, where or "")
        record = self.files.choose_dataset(dataset)
        return Review(self, record.dataset_id, choice, review_queue(self, choice, record.dataset_id))

    def breakdown(self, query_id: str, train_id: str, *, model: str | None = None) -> Breakdown:
        """Which modules of the model a text's score on a kept question comes from; the parts add up to it.

        Args:
            query_id: The question.
            train_id: The text, listed or not.
            model: Where the model lies now, if it was moved.

        Raises:
            LorifError: The question or the text is unknown, or the index's model cannot be opened.
        """
        record = self.files.catalog.query(query_id)
        return break_down(self.open_index(record.index_id, model=model), record, train_id)

    def score(
        self,
        queries: str | Path,
        out: str | Path,
        *,
        settings: ScoreConfig | None = None,
        index_id: str | None = None,
        model: str | None = None,
        overwrites: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> ScoreResult:
        """Write every example's score on every query of a file: query_id, example_id, score.

        Raises:
            LorifError: A query is bad, or the file exists.
        """
        index = self.open_index(index_id, model=model)
        return score_file(
            index,
            Path(queries),
            Path(out),
            settings or ScoreConfig(),
            overwrites=overwrites,
            on_progress=on_progress,
        )

    def what_if(
        self, train_ids: Sequence[str], queries: Sequence[str], *, controls: Sequence[str] | None = None
    ) -> WhatIf:
        """Predicted change of kept questions if the examples were removed and the model trained again.

        The support of a completion (its log-probability, for the objective ``loss``) changes by minus the
        sum of the examples' scores, in nats: scores are g_qᵀ (GᵀG + λI)⁻¹ g_n with the Gram matrix summed
        over all examples, which is the first-order change of a loss minimised over the sum of all examples
        when one of them is left out. Source: Koh and Liang (arXiv:1703.04730), section 2.1; adding up
        examples usually underestimates groups and keeps their order, Koh et al. (arXiv:1905.13289).

        Args:
            train_ids: Examples to remove.
            queries: Ids of kept questions whose completions one wants to hear less.
            controls: Ids of questions that shall stay as they are. None: all other kept ones.

        Raises:
            LorifError: No example is given, an id is unknown, or scores are normalised.
        """
        return predict_removal(self.files, train_ids, queries, controls)

    def verify(
        self,
        train_ids: Sequence[str],
        queries: Sequence[str],
        recipe: str | Path,
        *,
        device: str = "auto",
        on_progress: ProgressSink = no_progress,
        should_stop: Callable[[], bool] | None = None,
    ) -> Verification:
        """Train with and without the examples, from the recipe's checkpoint; predicted against actual change.

        Both runs have the same seed and order of batches. Full fine-tuning, or LoRA where the recipe says so.

        Args:
            train_ids: Examples to remove.
            queries: Ids of kept questions, all about one data set.
            recipe: TOML file: checkpoint, learning rate, epochs, seed, tuning.
            device: As for a model.
            on_progress: Receives ("verify", training steps done, total).
            should_stop: Asked before every training step.

        Raises:
            LorifError: An id or the recipe cannot be used.
        """
        return verify_removal(
            self.files, train_ids, queries, recipe, device=device, on_progress=on_progress, should_stop=should_stop
        )

    def value(
        self,
        queries: str | Path,
        *,
        by: str = "source",
        groups: pl.DataFrame | None = None,
        settings: ScoreConfig | None = None,
        index_id: str | None = None,
        model: str | None = None,
        on_progress: ProgressSink = no_progress,
    ) -> Valuation:
        """Influence of every example, and of every source, summed over a file of queries.

        Args:
            queries: Data file as for ``score``: an evaluation set, or prompts with the completions that fail.
            by: Metadata column that names an example's group.
            groups: Instead of a column: a frame of train_id and group, such as ``duplicates`` gives.
            settings: Objective and damping.
            index_id: Unset: the newest complete index.
            model: Where the model lies now, if it was moved.
            on_progress: Receives ("queries", done, total).

        Raises:
            LorifError: A query is bad, or there is no such column.
        """
        index = self.open_index(index_id, model=model)
        return value_file(
            index, Path(queries), settings or ScoreConfig(), by=by, groups=groups, on_progress=on_progress
        )

    def preview_export(self, *, dataset: str | None = None, settings: ExportConfig | None = None) -> ExportPreview:
        """What an export would hold, by reason and by source; writes nothing.

        Raises:
            ConfigError: The settings name a column that does not fit the data.
        """
        record = self.files.choose_dataset(dataset)
        return preview_export(self.files, record, self.journal.states(record.corpus_id), settings or ExportConfig())

    def export(
        self,
        out: str | Path | None = None,
        *,
        dataset: str | None = None,
        settings: ExportConfig | None = None,
        overwrites: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> ExportResult:
        """Write every example that is not excluded, with manifest, recipe and the list of what was left out.

        Args:
            out: The data file, or the folder of format hf. None: a folder of the workspace.
            dataset: Name or id; may be left out when there is only one.
            settings: Format, what is left out, added columns.
            overwrites: Whether an export at ``out`` may be replaced.
            on_progress: Receives ("export", examples written, all).

        Raises:
            LorifError: The settings or the place do not fit, or the disk is full. Nothing is half-written.
        """
        record = self.files.choose_dataset(dataset)
        decided = self.journal.snapshot(record.corpus_id)
        return export_data(
            self.files,
            record,
            decided.states,
            None if out is None else Path(out),
            settings or ExportConfig(),
            batches=[asdict(batch) for batch in decided.batches],
            overwrites=overwrites,
            on_progress=on_progress,
        )

    def check(self) -> CheckReport:
        """Read every file and compare it with its checksum."""
        return check_workspace(self.files)


def open_workspace(path: str | Path) -> Workspace:
    """The workspace at ``path``.

    Raises:
        ArtefactError: There is none.
    """
    return Workspace(open_files(Path(path)))


def create_workspace(path: str | Path) -> Workspace:
    """The workspace at ``path``, made if it is not there yet.

    Raises:
        ArtefactError: The folder holds something else.
    """
    return Workspace(create_files(Path(path)))
