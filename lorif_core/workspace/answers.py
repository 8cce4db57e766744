"""What a question brings back."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from rich.console import RenderableType

from lorif_core.linalg.scores import Plan
from lorif_core.views.hits import Hit, hits_frame
from lorif_core.views.tables import answer_view, human_seconds
from lorif_core.workspace.questions import Question


@dataclass(frozen=True)
class Answer:
    """The training texts behind a completion."""

    question: Question
    index_id: str
    objective: str

    objective_value: float
    """Of the completion, in nats."""

    supports: list[Hit]
    """Largest positive scores first."""

    opposes: list[Hit]
    """Most negative scores first."""

    num_scored: int
    elapsed_s: float
    """From the question to the ranked list; loading the model is not part of it."""

    plans: dict[Plan, int]
    """How many modules were scored by each plan."""

    positive_total: float
    """Sum of all positive scores."""

    positive_share: float
    """Share of it that the supporting list holds."""

    query_id: str | None = None
    """Id under which the question is kept; None when it is not."""

    is_kept: bool = False
    """Whether this answer was read back instead of computed."""

    @property
    def hits(self) -> list[Hit]:
        """The supporting texts, then the opposing ones."""
        return self.supports + self.opposes

    @property
    def ids(self) -> list[str]:
        """Train ids of the supporting texts, strongest first."""
        return [hit.train_id for hit in self.supports]

    def __rich__(self) -> RenderableType:
        """The answer as a terminal shows it."""
        plans = ", ".join(f"{plan} ({count} modules)" for plan, count in self.plans.items())
        facts = [
            f"{self.num_scored} texts scored in {human_seconds(self.elapsed_s)}",
            f"plan: {plans}",
            f"{self.objective} {self.objective_value:.3f} nats",
            f"the list holds {self.positive_share:.0%} of all support",
            f"index {self.index_id}",
        ]
        if self.query_id is not None:
            facts.append(f"query {self.query_id}{' (kept earlier)' if self.is_kept else ''}")
        return answer_view(
            self.question.prompt, self.question.completion, self.question.contrast, self.supports, self.opposes, facts
        )

    def to_polars(self) -> pl.DataFrame:
        """The hits as a frame."""
        return hits_frame(self.hits)

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-serialisable values."""
        return asdict(self)
