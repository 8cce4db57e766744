"""A queue of texts to be reviewed one by one, fixed when it is made."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from lorif_core.views.list_html import examples_html
from lorif_core.workspace.curation.choice import Choice, texts_of
from lorif_core.workspace.folder.displayed import Displayed

if TYPE_CHECKING:
    from lorif_core.workspace.workspace import Workspace

SHOWN = 20
"""Texts of the HTML list; the widget goes through all."""


@dataclass(frozen=True)
class Review(Displayed):
    """Texts that somebody wants to go through, in a fixed order."""

    workspace: "Workspace" = field(repr=False, compare=False)
    dataset_id: str
    choice: Choice
    """Where they come from."""

    ids: list[str]
    """Train ids, in the order of the queue."""

    @property
    def title(self) -> str:
        """The choice in words."""
        source, query, k, where = self.choice
        return {
            "query": f"The {k} strongest texts of question {query}",
            "condition": f"Texts with {where}",
            "flagged": "Flagged texts",
            "excluded": "Excluded texts",
        }[source]

    def to_polars(self) -> pl.DataFrame:
        """The queue with its texts and present statuses: train_id, status, text."""
        states = dict(self.workspace.states(dataset=self.dataset_id).select("train_id", "status").iter_rows())
        shown = texts_of(self.workspace, self.ids, self.dataset_id)
        return pl.DataFrame(
            {
                "train_id": self.ids,
                "status": [states.get(one, "kept") for one in self.ids],
                "text": [one.text for one in shown],
            },
            schema={"train_id": pl.String, "status": pl.String, "text": pl.String},
        )

    def to_html(self, *, redact: bool = False) -> str:
        """The first texts of the queue as HTML without a script."""
        title = f"{self.title}: {len(self.ids):,} to review"
        return examples_html(title, list(self.to_polars().head(SHOWN).iter_rows()), redact=redact)
