"""The files of failures of a workspace: looked at, asked, opened again; and groups of texts over a whole data set."""

from contextlib import suppress
from pathlib import Path

import polars as pl

from lorif_core.data.failure_rows import FailureReading
from lorif_core.data.read_failures import FailuresFound, read_failures
from lorif_core.errors import ArtefactError, DataError
from lorif_core.workspace.asking.questions import Questions
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.failures.failure_folder import FOLDER, FailureFolder
from lorif_core.workspace.failures.failure_run import FailureRun
from lorif_core.workspace.failures.question_groups import CorpusGroups, groups_of_question
from lorif_core.workspace.failures.text_groups import check_grouping, ways_to_group
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.roles import require_curator

USUAL = FailureReading()


class Failures:
    """Asks files of failing prompts at once, and keeps what was found."""

    def __init__(self, questions: Questions, data: Datasets) -> None:
        self.questions, self.data, self.files = questions, data, data.files

    def read(self, path: str | Path, reading: FailureReading = USUAL) -> FailuresFound:
        """What a file holds: which rows count as failures and why, which are skipped; nothing is asked.

        Raises:
            DataError: The file, or a column that was chosen, cannot be used.
        """
        return read_failures(Path(path), reading)

    def ask(
        self,
        path: str | Path,
        reading: FailureReading = USUAL,
        *,
        index_id: str | None = None,
        model: str | None = None,
        on_progress: ProgressSink = no_progress,
    ) -> FailureRun:
        """Ask every failure of a file; what is there already is not asked again, and a stopped one goes on.

        Args:
            path: Data file, or sample log of lm-evaluation-harness or Inspect.
            reading: How it is read.
            index_id: Unset: the newest complete index.
            model: Where the model lies now, if it was moved.
            on_progress: Receives ("queries", captured, all) and ("scores", scores done, all).

        Raises:
            LorifError: The file, the index or a question cannot be used.
        """
        from lorif_core.workspace.failures.ask_failures import ask_failures

        require_curator(self.files, "ask a file of failures", None)
        found = _failures_of(Path(path), reading)  # before a model is loaded for it
        index = self.questions.indexes.open(index_id, model=model)
        scanner = self.questions.scanner
        folder = ask_failures(self.files, index, Path(path), found, scanner=scanner, on_progress=on_progress)
        return self.open(folder.run_id)

    def records(self) -> list[FailureRun]:
        """Every file that was asked to its end, the one that was asked last first.

        One that cannot be opened keeps none of the others from being listed: ``open`` says why, and so does
        `lorif doctor`.
        """
        root, found = self.files.root / FOLDER, list[FailureRun]()
        for path in root.iterdir() if root.is_dir() else ():
            with suppress(ArtefactError):
                found.append(self.open(path.name))
        return sorted(found, key=lambda run: (-run.folder.asked_at, run.run_id))

    def open(self, run_id: str) -> FailureRun:
        """What a file of failures found, read back without a model.

        Raises:
            ArtefactError: There is no such run, or it is not over.
        """
        folder = FailureFolder(self.files.root / FOLDER / run_id)
        if not run_id.isalnum() or not folder.path.is_dir():
            known = ", ".join(path.name for path in (self.files.root / FOLDER).glob("*")) or "none"
            raise ArtefactError(
                f"there is no run of failures {run_id!r}, only {known}: ask its file with `lorif failures`."
            )
        said, questions = folder.said(), folder.questions()
        if folder.num_done() < len(questions):
            raise ArtefactError(
                f"{folder.num_done():,} of the {len(questions):,} failures of {run_id} were asked: resume its job, "
                "or ask the same file again, which goes on."
            )
        return FailureRun(run_id, said, questions, folder, self.data)

    def groups(
        self, query_id: str, by: str = "source", *, k: int | None = None, given: pl.DataFrame | None = None
    ) -> CorpusGroups:
        """Groups of the whole data set on one kept question; see ``groups_of_question``."""
        return groups_of_question(self.data, query_id, by, k=k, given=given)

    def ways_to_group(self, dataset_id: str) -> list[str]:
        """By what the texts of a data set can be grouped."""
        return ways_to_group(self.data, dataset_id)

    def check_grouping(self, index_id: str | None, by: str) -> None:
        """Refuse a way that the texts of an index cannot be grouped by, before it is asked.

        Raises:
            LorifError: They cannot, or there is no such index.
        """
        check_grouping(self.data, self.files.catalog.dataset(self.files.choose_index(index_id).dataset_id), by)


def _failures_of(path: Path, reading: FailureReading) -> FailuresFound:
    found = read_failures(path, reading)
    if found.problem is not None:
        raise DataError(found.problem)
    if not found.failures:
        told = f"{found.sentence[0].lower()}{found.sentence[1:-1]}"
        raise DataError(f"no row of {path.name!r} counts as a failure ({told}): choose another score or threshold.")
    return found
