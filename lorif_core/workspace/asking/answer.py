"""What a question brings back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import plotly.graph_objects as go
import polars as pl
from rich.console import RenderableType

from lorif_core.errors import DataError
from lorif_core.metrics.score_spread import ScoreSpread
from lorif_core.views.hit_html import answer_html
from lorif_core.views.hits import Hit, hits_frame
from lorif_core.views.score_figures import score_histogram
from lorif_core.views.search_report import FastSearch, MissingParts
from lorif_core.views.tables import answer_view, human_seconds
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.datasets.find_verbatim import VerbatimTexts, find_verbatim
from lorif_core.workspace.folder.displayed import Displayed
from lorif_core.workspace.folder.kept_scores import read_scores
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

if TYPE_CHECKING:
    from lorif_core.linalg.scores import Plan

ASKED = ("prompt", "completion", "contrast", "tokens", "ends", "form", "system", "messages")
"""What ``to_dict`` tells of a question."""


@runtime_checkable
class Asker(Protocol):
    """Who answers questions."""

    files: WorkspaceFiles

    def ask(self, question: Question, on_progress: ProgressSink = no_progress) -> "Answer":
        """The answer to a question."""
        ...


@dataclass(frozen=True)
class Answer(Displayed):
    """The training texts behind a completion."""

    question: Question
    """As it was asked, with what the model said."""

    index_id: str
    objective: str

    objective_value: float
    """In nats: loss −log p of the completion, margin log p − log(1 − p), contrast log p(A) − log p(B)."""

    supports: list[Hit]
    """Largest positive scores first."""

    opposes: list[Hit]
    """Most negative scores first."""

    num_scored: int
    """Texts that the lists are of; with a fast search not all were scored in full, see ``fast_search``."""

    elapsed_s: float
    """From the question to the ranked list; loading the model is not part of it."""

    plans: "dict[Plan, int]"
    """How many modules were scored by each plan."""

    positive_total: float
    """Sum of all positive scores."""

    positive_share: float
    """Share of it that the supporting list holds."""

    unit: str = "nats"
    """What a score counts before any normalisation: nats of the completion, or products of gradients. Nats are those
    of a linear estimate, which is right about the order and exaggerates sizes; ``z`` of a hit says how far it stands
    out."""

    spread: ScoreSpread | None = None
    """How the scores of all texts are spread; None in an answer that was kept by version 0.1."""

    prompt_tokens: tuple[int, int] | None = None
    """Tokens of the prompt that the model read, and all that it has; None in an answer of version 0.1."""

    query_id: str | None = None
    """Id under which the question is kept; None when it is not."""

    is_kept: bool = False
    """Whether this answer was read back instead of computed."""

    model_share: str | None = None
    """Which share of the model's weights the index sees, in words; None where an older index does not say."""

    members: str | None = None
    """What the scores are sums over, in words; None: they are of one model."""

    remark: str | None = None
    """What a reader has to know of the scores; None: they are what the settings say."""

    refined: str | None = None
    """How the model's own curvature refined the question, in words; None: it did not."""

    fast_search: FastSearch | None = None
    """What the lists rest on where not every text was scored; None: all were."""

    why_exact: str | None = None
    """Why every text was scored though a fast search was asked for, or usual; None: there is nothing to explain."""

    missing: MissingParts | None = None
    """Texts that no worker could read; None: all were scored."""

    asker: Asker | None = field(default=None, repr=False, compare=False)
    """Who was asked; None for an answer by itself."""

    home: object = field(default=None, repr=False, compare=False)
    """The workspace it came from, which widgets decide in."""

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
            self.question.prompt, self.question.said, self.question.contrast, self.supports, self.opposes, facts
        )

    def facts(self) -> list[str]:
        """What the lists rest on, in short sentences."""
        done, about = ("scored", "") if self.fast_search is None else ("searched", "about ")
        found = [
            f"{self.num_scored:,} texts {done} in {human_seconds(self.elapsed_s)}",
            f"{self.objective} {self.objective_value:.3f} nats",
            f"the list holds {about}{self.positive_share:.0%} of all support",
            *self.remarks(),
            f"index {self.index_id}",
            *([] if self.members is None else [self.members]),
            *([] if self.model_share is None else [self.model_share]),
        ]
        if self.query_id is not None:
            found.append(f"query {self.query_id}{' (kept earlier)' if self.is_kept else ''}")
        return found

    def remarks(self) -> list[str]:
        """What a reader has to know: how it was searched and asked, what was cut, where the lists turn into noise."""
        asked = self.question
        found = [] if self.missing is None else [f"{self.missing.sentence}; this answer is not kept"]
        found += [] if self.fast_search is None else self.fast_search.sentences()
        found += [] if self.why_exact is None else [self.why_exact]
        found += [] if self.refined is None else [self.refined]
        found += ["asked as a chat"] if asked.form == "chat" else []
        if asked.spoken is None and asked.ends:
            found.append("explained with its end token")
        if self.prompt_tokens is not None and self.prompt_tokens[0] < self.prompt_tokens[1]:
            used, whole = self.prompt_tokens
            found.append(
                f"the prompt was cut: its last {used:,} of {whole:,} tokens were used, which is what the model reads"
            )
        if (noise := self.noise_note()) is not None:
            found.append(noise)
        return found if self.remark is None else [*found, self.remark]

    def noise_note(self) -> str | None:
        """From which place on the supporting list is noise."""
        if self.spread is None or self.spread.z(0.0) is None:
            return None
        standing = sum(not hit.is_noise for hit in self.supports)
        if standing == len(self.supports):
            return f"all {standing} supporting texts stand out of the bulk" if standing else None
        if not standing:
            return "no supporting text stands out: chance puts about as many texts that far out"
        return f"from place {standing + 1} on the list is noise: chance puts about as many texts that far out"

    def top(self, k: int = 10) -> pl.DataFrame:
        """The k strongest supporting texts as a frame; asks again if the list is shorter.

        Raises:
            DataError: The list is shorter, and the answer does not know whom to ask.
        """
        if self.asker is not None and k > self.question.k:
            return self.ask_again(k=k).top(k)
        if self.asker is None and k > len(self.supports):
            raise DataError(f"the answer lists {len(self.supports)} texts, got k = {k}: ask with a larger `k`.")
        return hits_frame(self.supports[:k])

    def verbatim(self, k: int = 20) -> VerbatimTexts:
        """The training texts with the longest spans of the completion, influential or not; see ``Datasets.verbatim``.

        Raises:
            DataError: The answer does not know its workspace, or the data set has no texts to look in.
        """
        if self.asker is None:
            raise DataError("the answer does not know its workspace: get it from `ws.ask` or `ws.reopen`.")
        files = self.asker.files
        return find_verbatim(files, self.question.said, k, files.catalog.index(self.index_id).dataset_id)

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
        if self.asker is None:
            raise DataError("the answer does not know its workspace: get it from `ws.ask` or `ws.reopen`.")
        asked = replace(
            self.question,
            tokens=self.question.tokens if tokens is None else tuple(tokens) or None,
            k=k or self.question.k,
            index_id=self.index_id,
        )
        return self.asker.ask(asked, on_progress)

    def to_html(self, *, redact: bool = False) -> str:
        """Both lists as HTML without a script; every text is escaped."""
        asked = self.question
        return answer_html(
            asked.prompt, asked.said, asked.contrast, self.supports, self.opposes, self.facts(), redact=redact
        )

    def score_figure(self) -> go.Figure:
        """How the scores of all texts are spread, and where the lists begin; as in the studio.

        Raises:
            DataError: The answer was not kept.
            ArtefactError: Its scores are gone.
        """
        if self.asker is None or self.query_id is None:
            raise DataError("the scores of all texts are kept with a question only: ask with `keeps=True`.")
        files = self.asker.files
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
        values = asdict(replace(self, asker=None, home=None))
        asked = {name: values["question"][name] for name in ASKED}
        asked["completion_ids"] = None if self.question.spoken is None else list(self.question.spoken.ids)
        values["remarks"] = self.remarks()
        values["search"] = "exact" if self.fast_search is None else "fast"
        return {name: value for name, value in values.items() if name not in ("asker", "home")} | {"question": asked}
