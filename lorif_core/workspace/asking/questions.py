"""The questions of a workspace: asked, kept, opened again, compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from lorif_core.catalog import IndexRecord, QueryRecord
from lorif_core.config import ScoreConfig
from lorif_core.workers_config import ScanConfig
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.choose_search import choose_search, ways_to_answer
from lorif_core.workspace.asking.compare import Comparison, Side, compare_questions
from lorif_core.workspace.asking.kept_questions import (
    find_answer,
    fingerprint_of_question,
    remember,
    reopen,
    shortened,
    with_kept_lengths,
)
from lorif_core.workspace.asking.query_limits import QueryFile
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.asking.scanner import OWN, Scanner
from lorif_core.workspace.asking.table_questions import with_table_losses
from lorif_core.workspace.asking.usual_form import usual_form
from lorif_core.workspace.folder.kept_scores import keeping_scores
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.indexes.all_indexes import Indexes

if TYPE_CHECKING:
    from lorif_core.passes.ranking import OnScores
    from lorif_core.workspace.asking.break_down import Breakdown
    from lorif_core.workspace.asking.score_file import ScoreResult
    from lorif_core.workspace.asking.value_file import Valuation
    from lorif_core.workspace.indexes.open_index import OpenIndex


class _NotWhole(Exception):
    """Ends the writing of an answer's scores that lack some."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Questions:
    """Asks the indexes of a workspace, and keeps what they answered."""

    def __init__(self, indexes: Indexes, home: object, scanner: Scanner = OWN) -> None:
        self.indexes = indexes
        self.files = indexes.files
        self.home = home
        """The workspace, which widgets decide in."""

        self.scanner = scanner
        """Who scans indexes: this process, or workers."""

    @contextmanager
    def scanned_by(self, config: ScanConfig) -> "Iterator[Questions]":
        """The same questions with workers that scan indexes while the block runs, kept from one to the next.

        Standard output is standard error in the block where there are workers: Ray prints there.

        Raises:
            ConfigError: Ray is not installed, or the cluster is not there.
        """
        if not config.has_workers:
            yield Questions(self.indexes, self.home)
            return
        from lorif_core.workspace.asking.scan_with_workers import scanner_for

        with scanner_for(self.files, config) as scanner:
            yield Questions(self.indexes, self.home, scanner)

    def ask(self, question: Question, on_progress: ProgressSink = no_progress) -> Answer:
        """Rank the training texts that made the model continue the prompt as it did.

        Args:
            question: What is asked.
            on_progress: Receives ("model", 0 then 1, 1) while the index and its model are opened, ("generate", tokens
                said, the most) if the model is to say something, then what ``answer_question`` reports: ("gradient",
                0 then 1, 1), ("scores", examples done, all) and ("texts", texts of the lists, all). What it raises
                ends the work. Of an answer that was kept, nothing.

        Raises:
            RoleError: The answer is to be kept, is not there yet, and the person is a viewer.
            LorifError: The question or the settings do not fit the index.
        """
        record = self.files.choose_index(question.index_id)
        question = with_table_losses(question, record.index_id, self.indexes.losses(record.index_id))
        question = replace(  # as it is answered
            question,
            index_id=record.index_id,
            settings=question.scoring,
            form=question.form or usual_form(self.files.examples(record.dataset_id)),
        )
        if question.completion is None:
            from lorif_core.workspace.asking.generate_completion import generate_completion

            self._require_keeping(question)
            loaded = self._opened(question, on_progress).engine.loaded
            question = replace(question, spoken=generate_completion(loaded, question, on_progress))
        answer = self._kept(record, question, on_progress) if question.keeps else self._fresh(question, on_progress)
        return replace(answer, asker=self, home=self.home)

    def _fresh(self, question: Question, on_progress: ProgressSink) -> Answer:
        from lorif_core.workspace.asking.answer_question import answer_question

        index = self._opened(question, on_progress)
        question, why_exact = choose_search(index, question, has_workers=self.scanner.has_workers)
        answer = answer_question(index, question, scanner=self.scanner, on_progress=on_progress)
        return replace(answer, why_exact=why_exact)

    def _kept(self, record: IndexRecord, question: Question, on_progress: ProgressSink) -> Answer:
        for asked in ways_to_answer(question, record.num_examples):
            if known := find_answer(self.files, fingerprint_of_question(self.files, record, asked), asked):
                return known
        from lorif_core.workspace.asking.answer_question import answer_question

        self._require_keeping(question)
        index = self._opened(question, on_progress)
        question, why_exact = choose_search(index, question, has_workers=self.scanner.has_workers)
        fingerprint = fingerprint_of_question(self.files, record, question)
        longer = with_kept_lengths(self.files, fingerprint, question)
        # Two threads may ask the same: the scores' file is written in the model's turn, too.
        try:
            with index.in_turn(), self._keeping(longer, fingerprint) as on_scores:
                answer = answer_question(
                    index, longer, scanner=self.scanner, on_scores=on_scores, on_progress=on_progress
                )
                if answer.missing is not None:
                    raise _NotWhole(answer)
        except _NotWhole as found:  # what is kept answers the same question again, and must be all of the answer
            return replace(shortened(found.answer, question), why_exact=why_exact)
        return shortened(remember(self.files, replace(answer, why_exact=why_exact), fingerprint), question)

    @contextmanager
    def _keeping(self, question: Question, fingerprint: str) -> "Iterator[OnScores | None]":
        """What receives the scores of all texts; a fast search has none, and writes no file of them."""
        if question.search == "fast":
            yield None
            return
        with keeping_scores(self.files.scores_file(fingerprint)) as keep:
            yield lambda scores, influences: keep(scores[0].numpy(), influences[0].numpy())

    def _opened(self, question: Question, on_progress: ProgressSink) -> "OpenIndex":
        """The index of a question, with its model in memory."""
        on_progress("model", 0, 1)
        index = self.indexes.open(question.index_id, model=question.model)
        on_progress("model", 1, 1)
        return index

    def _require_keeping(self, question: Question) -> None:
        if question.keeps:
            require_curator(self.files, "ask questions that are kept", question.actor)

    def records(self) -> list[QueryRecord]:
        """Every question that was asked and kept, oldest first."""
        return self.files.catalog.queries()

    def reopen(self, query_id: str) -> Answer:
        """The answer to a kept question, read back without a model.

        Raises:
            CatalogError: There is no such question.
        """
        return replace(reopen(self.files, query_id), asker=self, home=self.home)

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
        return replace(compare_questions(self.files, a, b, side=side, k=k), home=self.home)

    def breakdown(self, query_id: str, train_id: str, *, model: str | None = None) -> "Breakdown":
        """Where a text's score on a kept question comes from: modules of the model, and tokens of the question.

        Both split the score exactly.

        Args:
            query_id: The question.
            train_id: The text, listed or not.
            model: Where the model lies now, if it was moved.

        Raises:
            LorifError: The question or the text is unknown, or the index's model cannot be opened.
        """
        from lorif_core.workspace.asking.break_down import break_down

        record = self.files.catalog.query(query_id)
        return break_down(self.indexes.open(record.index_id, model=model), record, train_id)

    def score(
        self,
        queries: str | Path | QueryFile,
        out: str | Path,
        *,
        settings: ScoreConfig | None = None,
        index_id: str | None = None,
        model: str | None = None,
        overwrites: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> "ScoreResult":
        """Write every example's score on every query of a file: query_id, example_id, score.

        Completions are taken as they stand; a ``QueryFile`` can say that they end their texts, how much memory the
        queries of a pass may take, and what may be left out of them.

        Raises:
            LorifError: A query is bad, or the file exists.
        """
        from lorif_core.workspace.asking.score_file import score_file

        index = self.indexes.open(index_id, model=model)
        return score_file(
            index,
            QueryFile.of(queries),
            Path(out),
            settings or ScoreConfig(),
            overwrites=overwrites,
            scanner=self.scanner,
            on_progress=on_progress,
        )

    def value(
        self,
        queries: str | Path | QueryFile,
        *,
        by: str = "source",
        groups: pl.DataFrame | None = None,
        settings: ScoreConfig | None = None,
        index_id: str | None = None,
        model: str | None = None,
        on_progress: ProgressSink = no_progress,
    ) -> "Valuation":
        """Influence of every example, and of every source, summed over a file of queries.

        Args:
            queries: Data file as for ``score``: an evaluation set, or prompts with the completions that fail.
            by: Metadata column that names an example's group.
            groups: Instead of a column: a frame of train_id and group, such as ``duplicates`` gives.
            settings: Objective and damping.
            index_id: Unset: the newest complete index.
            model: Where the model lies now, if it was moved.
            on_progress: Receives ("queries", captured, all) and ("scores", scores done, all).

        Raises:
            LorifError: A query is bad, or there is no such column.
        """
        from lorif_core.workspace.asking.value_file import value_file

        index = self.indexes.open(index_id, model=model)
        return value_file(
            index,
            QueryFile.of(queries),
            settings or ScoreConfig(),
            by=by,
            groups=groups,
            scanner=self.scanner,
            on_progress=on_progress,
        )
