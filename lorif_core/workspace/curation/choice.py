"""Sets of examples that a person means: all that a view shows, a queue to review, a removal; with their texts."""

from typing import Literal, NamedTuple

import polars as pl

from lorif_core.corpus.filters import Status
from lorif_core.errors import DataError
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.datasets.view import View
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.team.share_left import texts_left

Source = Literal["flagged", "excluded", "query", "condition", "share"]
MAX_QUEUE = 500


class Choice(NamedTuple):
    """Where a set of examples comes from."""

    source: Source
    """Texts with a status, the strongest of a question, those of a condition, or what is left of a person's share."""

    query: str | None = None
    """Id of the question."""

    k: int = 10
    """How many of a question's strongest supporters."""

    where: str = ""
    """The condition."""

    person: str = ""
    """Whose share; empty: of whoever uses this process."""

    @property
    def is_blind(self) -> bool:
        """Whether a review hides what others decided, so that agreement is that of independent people."""
        return self.source == "share"


def chosen_ids(decisions: Decisions, choice: Choice, dataset: str | None = None) -> list[str]:
    """Ids of the examples that a choice means; a question's in the order of their scores.

    Raises:
        DataError: It names no question or no condition.
        QueryError: The condition cannot be understood.
    """
    if choice.source == "query":
        if choice.query is None:
            raise DataError("no question was chosen: take one of those that were asked, or ask one first.")
        where = f"score in the top {choice.k} for query {choice.query}"
        view = View(where=where, sort=(f"-score:{choice.query}",))
        return decisions.data.browse(view, limit=choice.k, dataset=dataset).frame["train_id"].to_list()
    if choice.source == "condition":
        if not choice.where.strip():
            raise DataError("the condition is empty: type one, such as `source = forum`.")
        return decisions.data.matching_ids(View(where=choice.where), dataset)
    if choice.source == "share":
        record = decisions.files.choose_dataset(dataset)
        examples = decisions.files.examples(record.dataset_id)
        return texts_left(decisions.journal, examples, record.corpus_id, choice.person or current_actor())
    status: Status = choice.source
    return decisions.data.matching_ids(View(statuses=(status,)), dataset)


class QueueReport(NamedTuple):
    """A queue to review, and why it is as short as it is."""

    ids: list[str]
    """What is left to review, in the order of the choice."""

    num_chosen: int
    """Texts that the choice means."""

    num_decided: dict[str, int]
    """Status → how many of them were left out because somebody decided about them already."""

    num_beyond: int
    """Texts beyond the ``MAX_QUEUE`` that a queue holds."""


def review_report(
    decisions: Decisions, choice: Choice, dataset: str | None = None, *, with_decided: bool = False
) -> QueueReport:
    """Ids to review one by one: those chosen but, unless a status was asked for, without the decided ones.

    At most ``MAX_QUEUE`` of them. Raises as ``chosen_ids``.

    Args:
        decisions: Of the workspace.
        choice: Which texts are meant.
        dataset: Name or id; may be left out when there is only one.
        with_decided: Keep the decided ones, too.
    """
    ids, num_decided = chosen_ids(decisions, choice, dataset), dict[str, int]()
    num_chosen = len(ids)
    if choice.source in ("query", "condition") and not with_decided:
        states = decisions.states(dataset=dataset).filter(pl.col("batch_id").is_not_null())
        status_of = dict(states.select("train_id", "status").iter_rows())
        for train_id in ids:
            if train_id in status_of:
                num_decided[status_of[train_id]] = num_decided.get(status_of[train_id], 0) + 1
        ids = [train_id for train_id in ids if train_id not in status_of]
    return QueueReport(ids[:MAX_QUEUE], num_chosen, num_decided, max(0, len(ids) - MAX_QUEUE))


def review_queue(decisions: Decisions, choice: Choice, dataset: str | None = None) -> list[str]:
    """Ids of ``review_report``."""
    return review_report(decisions, choice, dataset).ids
