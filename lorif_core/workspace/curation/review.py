"""A queue of texts to be reviewed one by one, fixed when it is made."""

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from lorif_core.views.list_html import examples_html
from lorif_core.workspace.curation.choice import Choice, Source, review_queue
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.displayed import Displayed

SHOWN = 20
"""Texts of the HTML list; the widget goes through all."""


@dataclass(frozen=True)
class Review(Displayed):
    """Texts that somebody wants to go through, in a fixed order."""

    decisions: Decisions = field(repr=False, compare=False)
    dataset_id: str
    choice: Choice
    """Where they come from."""

    ids: list[str]
    """Train ids, in the order of the queue."""

    home: object = field(default=None, repr=False, compare=False)
    """The workspace, which widgets decide in."""

    @property
    def title(self) -> str:
        """The choice in words."""
        return title_of(self.choice)

    def to_polars(self) -> pl.DataFrame:
        """The queue with its texts and present statuses: train_id, status, text; no status in a share."""
        states = dict(self.decisions.states(dataset=self.dataset_id).select("train_id", "status").iter_rows())
        statuses = [None if self.choice.is_blind else states.get(one, "kept") for one in self.ids]
        shown = self.decisions.data.texts(self.ids, self.dataset_id)
        return pl.DataFrame(
            {
                "train_id": self.ids,
                "status": statuses,
                "text": [one.text for one in shown],
            },
            schema={"train_id": pl.String, "status": pl.String, "text": pl.String},
        )

    def to_html(self, *, redact: bool = False) -> str:
        """The first texts of the queue as HTML without a script."""
        title = f"{self.title}: {len(self.ids):,} to review"
        return examples_html(title, list(self.to_polars().head(SHOWN).iter_rows()), redact=redact)


def title_of(choice: Choice) -> str:
    """A choice in words."""
    return {
        "query": f"The {choice.k} strongest texts of question {choice.query}",
        "condition": f"Texts with {choice.where}",
        "flagged": "Flagged texts",
        "excluded": "Excluded texts",
        "share": f"The share of {choice.person or current_actor()}",
    }[choice.source]


def review(
    decisions: Decisions,
    query_id: str | None = None,
    *,
    where: str | None = None,
    k: int = 20,
    status: Literal["flagged", "excluded"] = "flagged",
    dataset: str | None = None,
) -> Review:
    """Texts to go through one by one: of a question, of a condition, or with a status.

    Texts of a question or a condition that were decided already are left out.

    Args:
        decisions: Of the workspace.
        query_id: Id of a kept question.
        where: Instead: a condition, see docs/reference/rules.md.
        k: How many of the question's strongest texts.
        status: Without a question and a condition: texts with this status.
        dataset: Name or id; may be left out when there is only one.

    Raises:
        LorifError: The question is unknown, or the condition cannot be understood.
    """
    source: Source = "query" if query_id is not None else "condition" if where is not None else status
    choice = Choice(source, query_id, k, where or "")
    record = decisions.files.choose_dataset(dataset)
    ids = review_queue(decisions, choice, record.dataset_id)
    return Review(decisions, record.dataset_id, choice, ids, decisions.data.home)
