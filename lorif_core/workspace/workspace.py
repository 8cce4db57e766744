"""A workspace: data sets, indexes, questions and decisions, each in its room. Everything a front end does is here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from lorif_core.config import GenerateConfig, ScoreConfig, Search
from lorif_core.errors import DataError
from lorif_core.export_config import ExportConfig
from lorif_core.journal.entries import Batch
from lorif_core.journal.journal import Journal
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.compare import Comparison, Side
from lorif_core.workspace.asking.question import Form, Question, Spoken
from lorif_core.workspace.asking.questions import Questions
from lorif_core.workspace.curation.all_versions import Versions
from lorif_core.workspace.curation.decisions import Decisions, Why
from lorif_core.workspace.curation.export_records import ExportResult
from lorif_core.workspace.curation.removals import Removals
from lorif_core.workspace.curation.review import Review, review
from lorif_core.workspace.datasets.datasets import Datasets, ShownCorpus
from lorif_core.workspace.failures.all_failures import Failures
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles, create_files, open_files
from lorif_core.workspace.health.check_workspace import check_workspace
from lorif_core.workspace.health.findings import CheckReport
from lorif_core.workspace.indexes.all_indexes import Indexes
from lorif_core.workspace.team.team import Team

if TYPE_CHECKING:
    from lorif_core.workspace.asking.value_file import Valuation
    from lorif_core.workspace.curation.removing import Verification, WhatIf
    from lorif_core.workspace.runs.logged_index import LoggedIndex


class Asked(TypedDict, total=False):
    """What a question may say besides prompt and completion, see ``Question``; every key may be left out."""

    contrast: str | None
    tokens: Sequence[int] | None
    spoken: Spoken | None
    ends: bool
    form: Form | None
    system: str | None
    messages: Sequence[dict[str, Any]]
    settings: ScoreConfig | None
    k: int
    num_opposing: int
    search: Search | None
    index_id: str | None
    question_id: str | None
    losses: Mapping[str, float] | None
    model: str | None
    generate: GenerateConfig
    actor: str | None
    keeps: bool


class Workspace:
    """An open workspace folder: its rooms, and short forms of what people do most."""

    def __init__(self, files: WorkspaceFiles) -> None:
        self.files = files
        self.data = Datasets(files, self)
        """Data sets: import, browse, search."""

        self.indexes = Indexes(files)
        """Indexes: build, open, report on."""

        self.questions = Questions(self.indexes, self)
        """Questions: ask, reopen, compare, score, value."""

        self.decisions = Decisions(self.data)
        """Decisions: flag, exclude, apply rules, undo, history."""

        self.team = Team(self.decisions)
        """What a team does together: guidelines, comments, rounds of review, progress, agreement."""

        self.versions = Versions(self.decisions)
        """The curated data: preview, export, freeze, diff."""

        self.removals = Removals(files)
        """What-ifs, and their verification by training again."""

        self.failures = Failures(self.questions, self.data)
        """Files of failing prompts: asked at once; and groups of texts over a whole data set."""

    @property
    def path(self) -> Path:
        """The workspace's folder."""
        return self.files.root

    @property
    def journal(self) -> Journal:
        """Everything that people decided, with members and reasons."""
        return self.files.journal

    def ask(
        self,
        prompt: str,
        completion: str | None = None,
        *,
        on_progress: ProgressSink = no_progress,
        **asked: Unpack[Asked],
    ) -> Answer:
        """Rank the training texts that made the model continue the prompt as it did.

        Args:
            prompt: What the model was given.
            completion: What it said; None lets the model say it now.
            on_progress: As for ``Questions.ask``.
            **asked: Contrast, tokens, chat, settings, lengths of the lists and so on, see ``Question``.

        Raises:
            LorifError: The question or the settings do not fit the index.
        """
        chosen: dict[str, Any] = dict(asked)
        for name in ("tokens", "messages"):
            if chosen.get(name) is not None:
                chosen[name] = tuple(chosen[name])
        return self.questions.ask(Question(prompt=prompt, completion=completion, **chosen), on_progress)

    def reopen(self, query_id: str) -> Answer:
        """The answer to a kept question, read back without a model; see ``Questions.reopen``."""
        return self.questions.reopen(query_id)

    def logged(self, name: str) -> "LoggedIndex":
        """The index that a training run became, for questions to a model that is no language model.

        Args:
            name: Of the run, as ``lf.log`` was given it.

        Raises:
            ArtefactError: There is no such run, or it is not over.
        """
        from lorif_core.workspace.runs.logged_index import logged_index

        return logged_index(self.files, name)

    def compare(self, a: str | Answer, b: str | Answer, *, side: Side = "supports", k: int = 20) -> Comparison:
        """Two kept questions side by side; see ``Questions.compare``."""
        return self.questions.compare(a, b, side=side, k=k)

    def value(
        self, queries: str | Path, *, by: str = "source", on_progress: ProgressSink = no_progress
    ) -> "Valuation":
        """Influence of every source, summed over a file of queries; ``Questions.value`` takes more."""
        return self.questions.value(queries, by=by, on_progress=on_progress)

    def flag(self, train_ids: Sequence[str], *, dataset: str | None = None, **why: Unpack[Why]) -> Batch:
        """Mark examples as suspicious; they stay in the data. See ``Decisions.flag``."""
        return self.decisions.flag(train_ids, dataset=dataset, **why)

    def exclude(self, train_ids: Sequence[str], *, dataset: str | None = None, **why: Unpack[Why]) -> Batch:
        """Leave examples out of every export from now on; needs a reason. See ``Decisions.exclude``."""
        return self.decisions.exclude(train_ids, dataset=dataset, **why)

    def restore(self, train_ids: Sequence[str], *, dataset: str | None = None, **why: Unpack[Why]) -> Batch:
        """Keep examples, whatever was decided before. See ``Decisions.restore``."""
        return self.decisions.restore(train_ids, dataset=dataset, **why)

    def undo(self, batch_id: str | None = None, *, actor: str | None = None, dataset: str | None = None) -> Batch:
        """Take back a batch of decisions, or one's latest one. See ``Decisions.undo``."""
        return self.decisions.undo(batch_id, actor=actor, dataset=dataset)

    def what_if(
        self, train_ids: Sequence[str], queries: Sequence[str], *, controls: Sequence[str] | None = None
    ) -> "WhatIf":
        """Predicted change of kept questions if the examples were removed. See ``Removals.predict``."""
        return self.removals.predict(train_ids, queries, controls=controls)

    def verify(
        self,
        train_ids: Sequence[str],
        queries: Sequence[str],
        recipe: str | Path,
        *,
        device: str = "auto",
        on_progress: ProgressSink = no_progress,
    ) -> "Verification":
        """Train with and without the examples; predicted against actual change. See ``Removals.verify``."""
        return self.removals.verify(train_ids, queries, recipe, device=device, on_progress=on_progress)

    def corpus(self, dataset: str | None = None) -> ShownCorpus:
        """A data set ready to be browsed. See ``Datasets.corpus``."""
        return self.data.corpus(dataset)

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
            where: Instead: a condition, see docs/reference/rules.md.
            k: How many of the question's strongest texts.
            status: Without a question and a condition: texts with this status.
            dataset: Name or id; may be left out when there is only one.

        Raises:
            LorifError: The question is unknown, or the condition cannot be understood.
        """
        query_id = query.query_id if isinstance(query, Answer) else query
        if query is not None and query_id is None:
            raise DataError("the question was not kept, so its texts cannot be ranked again: ask with `keeps=True`.")
        return review(self.decisions, query_id, where=where, k=k, status=status, dataset=dataset)

    def export(
        self,
        out: str | Path | None = None,
        *,
        dataset: str | None = None,
        settings: ExportConfig | None = None,
        overwrites: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> ExportResult:
        """Write every example that is not excluded, with manifest and recipe. See ``Versions.export``."""
        return self.versions.export(
            out, dataset=dataset, settings=settings, overwrites=overwrites, on_progress=on_progress
        )

    def check(self, on_progress: ProgressSink = no_progress) -> CheckReport:
        """Read every file, and look for every file that should be there; changes nothing.

        Args:
            on_progress: Receives ("files", files read, files).
        """
        return check_workspace(self.files, on_progress)


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
