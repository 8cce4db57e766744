"""What a question brings back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl
from rich.console import RenderableType

from lorif_core.config import ScoreConfig
from lorif_core.errors import DataError
from lorif_core.linalg.scores import Plan
from lorif_core.views.hit_html import answer_html
from lorif_core.views.hits import Hit, hits_frame
from lorif_core.views.score_figures import score_histogram
from lorif_core.views.tables import answer_view, human_seconds
from lorif_core.workspace.asking.ask.question import Question
from lorif_core.workspace.folder.displayed import Displayed
from lorif_core.workspace.folder.kept_scores import read_scores
from lorif_core.workspace.folder.progress import ProgressSink, no_progress

if TYPE_CHECKING:
    from lorif_core.workspace.workspace import Workspace


@dataclass(frozen=True)
class Origin:
    """Where an answer came from: what it takes to ask for other tokens, or for longer lists."""

    workspace: "Workspace"
    settings: ScoreConfig
    k: int
    num_opposing: int

    model: str | None = None
    """Where the model lies now, if it was moved."""

    keeps: bool = True


@dataclass(frozen=True)
class Answer(Displayed):
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

    origin: Origin | None = field(default=None, repr=False, compare=False)
    """Who was asked, and how; None for an answer by itself."""

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
        facts = self.facts()
        facts.insert(1, f"plan: {plans}")
        return answer_view(
            self.question.prompt, self.question.completion, self.question.contrast, self.supports, self.opposes, facts
        )

    def facts(self) -> list[str]:
        """What the lists rest on, in short sentences."""
        found = [
            f"{self.num_scored:,} texts scored in {human_seconds(self.elapsed_s)}",
            f"{self.objective} {self.objective_value:.3f} nats",
            f"the list holds {self.positive_share:.0%} of all support",
            f"index {self.index_id}",
        ]
        if self.query_id is not None:
            found.append(f"query {self.query_id}{' (kept earlier)' if self.is_kept else ''}")
        return found

    def top(self, k: int = 10) -> pl.DataFrame:
        """The k strongest supporting texts as a frame; asks again if the list is shorter.

        Raises:
            DataError: The list is shorter, and the answer does not know whom to ask.
        """
        if self.origin is not None and k > self.origin.k:
            return self.ask_again(k=k).top(k)
        if self.origin is None and k > len(self.supports):
            raise DataError(f"the answer lists {len(self.supports)} texts, got k = {k}: ask with a larger `k`.")
        return hits_frame(self.supports[:k])

    def ask_again(
        self, *, tokens: Sequence[int] | None = None, k: int | None = None, on_progress: ProgressSink = no_progress
    ) -> "Answer":
        """The same question about other tokens, or with a longer list.

        Args:
            tokens: Explain only these tokens of the completion, counted from 0; None: as before, an empty list: all.
            k: Length of the supporting list; None: as before.
            on_progress: As for ``Workspace.ask``.

        Raises:
            DataError: The answer does not know whom to ask.
            LorifError: The question or the settings do not fit the index.
        """
        if self.origin is None:
            raise DataError("the answer does not know its workspace: get it from `ws.ask` or `ws.reopen`.")
        asked, origin = self.question, self.origin
        return origin.workspace.ask(
            asked.prompt,
            asked.completion,
            contrast=asked.contrast,
            tokens=asked.tokens if tokens is None else tokens or None,
            k=k or origin.k,
            num_opposing=origin.num_opposing,
            settings=origin.settings,
            index_id=self.index_id,
            model=origin.model,
            keeps=origin.keeps,
            on_progress=on_progress,
        )

    def to_html(self, *, redact: bool = False) -> str:
        """Both lists as HTML without a script; every text is escaped."""
        asked = self.question
        return answer_html(
            asked.prompt, asked.completion, asked.contrast, self.supports, self.opposes, self.facts(), redact=redact
        )

    def score_figure(self) -> go.Figure:
        """How the scores of all texts are spread, and where the lists begin; as in the studio.

        Raises:
            DataError: The answer was not kept.
            ArtefactError: Its scores are gone.
        """
        if self.origin is None or self.query_id is None:
            raise DataError("the scores of all texts are kept with a question only: ask with `keeps=True`.")
        files = self.origin.workspace.files
        return score_histogram(
            read_scores(files, files.catalog.query(self.query_id)),
            self.supports[-1].score if self.supports else None,
            self.opposes[-1].score if self.opposes else None,
        )

    def to_polars(self) -> pl.DataFrame:
        """The hits as a frame."""
        return hits_frame(self.hits)

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-serialisable values."""
        values = asdict(replace(self, origin=None))
        del values["origin"]
        return values
