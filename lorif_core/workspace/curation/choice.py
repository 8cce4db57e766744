"""Sets of examples that a person means: all that a view shows, a queue to review, a removal; with their texts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import polars as pl

from lorif_core.corpus.facets import Facet
from lorif_core.corpus.filters import Status
from lorif_core.data.examples import Example
from lorif_core.errors import DataError
from lorif_core.views.choices import column_of, narrowed
from lorif_core.workspace.curation.decide import Curator
from lorif_core.workspace.datasets.view import View, read_view

Source = Literal["flagged", "excluded", "query", "condition"]
MAX_QUEUE = 500


class Choice(NamedTuple):
    """Where a set of examples comes from."""

    source: Source
    """Texts with a status, the strongest of a question, or those of a condition."""

    query: str | None = None
    """Id of the question."""

    k: int = 10
    """How many of a question's strongest supporters."""

    where: str = ""
    """The condition."""


class ShownText(NamedTuple):
    """One example to be read."""

    train_id: str
    text: str
    metadata: dict[str, object]


def matching_ids(workspace: Curator, view: View, dataset: str | None = None) -> list[str]:
    """Ids of all examples that a view shows, in the order of the import.

    Raises:
        QueryError: The view cannot be understood, or takes too long.
    """
    record = workspace.files.choose_dataset(dataset)
    chosen, beside = read_view(workspace.files, record, view)
    return workspace.corpus(record.dataset_id).ids(chosen, beside=beside)


def chosen_ids(workspace: Curator, choice: Choice, dataset: str | None = None) -> list[str]:
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
        return workspace.browse(view, limit=choice.k, dataset=dataset).frame["train_id"].to_list()
    if choice.source == "condition":
        if not choice.where.strip():
            raise DataError("the condition is empty: type one, such as `source = forum`.")
        return matching_ids(workspace, View(where=choice.where), dataset)
    status: Status = choice.source
    return matching_ids(workspace, View(statuses=(status,)), dataset)


def review_queue(workspace: Curator, choice: Choice, dataset: str | None = None) -> list[str]:
    """Ids to review one by one: those chosen but, unless a status was asked for, without the decided ones.

    At most ``MAX_QUEUE`` of them. Raises as ``chosen_ids``.
    """
    ids = chosen_ids(workspace, choice, dataset)
    if choice.source in ("query", "condition"):
        states = workspace.states(dataset=dataset)
        decided = set(states.filter(pl.col("batch_id").is_not_null())["train_id"])
        ids = [train_id for train_id in ids if train_id not in decided]
    return ids[:MAX_QUEUE]


def texts_of(workspace: Curator, train_ids: Sequence[str], dataset: str | None = None) -> list[ShownText]:
    """The examples with these ids, in the order given.

    Raises:
        DataError: An id is unknown.
    """
    table = workspace.files.examples(workspace.files.choose_dataset(dataset).dataset_id)
    rows = table.rows_of(train_ids)
    examples: list[Example] = table.examples_at(rows)
    values = table.values_at(rows)
    return [
        ShownText(example.train_id, example.plain_text, {name: row[name] for name in table.metadata_columns})
        for example, row in zip(examples, values, strict=True)
    ]


def facets_beside(workspace: Curator, view: View, choices: Sequence[str], dataset: str | None = None) -> list[Facet]:
    """A facet for every metadata column, each under the choices of all other columns.

    Args:
        workspace: Where the data lies.
        view: What is shown, without the choices.
        choices: One condition per column, see ``lorif_core.views.choices``.
        dataset: Name or id; may be left out when there is only one.

    Raises:
        QueryError: The view cannot be understood, or takes too long.
    """

    def facets(kept: Sequence[str]) -> list[Facet]:
        return workspace.facets(replace(view, where=narrowed(view.where, kept)), dataset=dataset)

    own = {column_of(choice): choice for choice in choices}
    apart = {name: facets([one for one in choices if one != choice]) for name, choice in own.items()}
    return [
        next(one for one in apart[facet.column] if one.column == facet.column) if facet.column in apart else facet
        for facet in facets(choices)
    ]
