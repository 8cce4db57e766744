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
        corpus_id = decisions.files.choose_dataset(dataset).corpus_id
        return texts_left(decisions.journal, corpus_id, choice.person or current_actor())
    status: Status = choice.source
    return decisions.data.matching_ids(View(statuses=(status,)), dataset)


def review_queue(decisions: Decisions, choice: Choice, dataset: str | None = None) -> list[str]:
    """Ids to review one by one: those chosen but, unless a status was asked for, without the decided ones.

    At most ``MAX_QUEUE`` of them. Raises as ``chosen_ids``.
    """
    ids = chosen_ids(decisions, choice, dataset)
    if choice.source in ("query", "condition"):
        states = decisions.states(dataset=dataset)
        decided = set(states.filter(pl.col("batch_id").is_not_null())["train_id"])
        ids = [train_id for train_id in ids if train_id not in decided]
    return ids[:MAX_QUEUE]
