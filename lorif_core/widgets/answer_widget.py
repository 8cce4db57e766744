"""The widget of an answer: choose words, read, decide."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import traitlets
from numpy.typing import NDArray

from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.views.panels import answer_panel, reader_panel
from lorif_core.views.tokens import Payload, signed, strip
from lorif_core.widgets.panel import Panel, source, told
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.studio.beside_answers import appearances, completion_tokens, sorted_scores
from lorif_core.workspace.workspace import Workspace


class AnswerWidget(Panel):
    """The training texts behind a completion, or behind some of its tokens."""

    _esm = source("answer")

    ids = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    """Train ids of the supporting texts, strongest first."""

    selected_tokens = traitlets.List(traitlets.Int()).tag(sync=True)
    """Places of the tokens that are explained, counted from 0; none: all. Setting them asks again."""

    def __init__(self, answer: Answer, *, redact: bool = False) -> None:
        if not isinstance(answer.home, Workspace):
            raise ConfigError("the answer does not know its workspace: get it from `ws.ask` or `ws.reopen`.")
        self.answer = answer
        self._strip: Payload | None = None
        workspace = answer.home
        dataset = next(one.dataset_id for one in workspace.indexes.records() if one.index_id == answer.index_id)
        super().__init__(workspace, dataset, query=answer.query_id, redact=redact)
        self._commands["load"] = lambda _: self._load_tokens()
        self._draw()
        self.selected_tokens = list(answer.question.tokens or ())
        self.observe(self._ask_again, "selected_tokens")
        if workspace.indexes.has_open(answer.index_id):
            self._load_tokens()

    def top(self, k: int = 10) -> pl.DataFrame:
        """The k strongest supporting texts, as ``Answer.top``."""
        return self.answer.top(k)

    def to_polars(self) -> pl.DataFrame:
        """Both lists as a frame."""
        return self.answer.to_polars()

    def to_html(self) -> str:
        """Both lists as HTML without a script."""
        return self.answer.to_html(redact=self.is_redacted)

    def read_example(self, train_id: str) -> Payload:
        """What the reader shows of a text of the lists."""
        hit = next(hit for hit in self.answer.hits if hit.train_id == train_id)
        others = [
            f"{one.side} #{one.rank} ({signed(one.score)}): {one.prompt} ▸{one.completion}"
            for one in appearances(self.workspace, train_id, self.dataset_id, self.query)
        ]
        events = told(self.workspace.decisions.events_of(train_id, dataset=self.dataset_id))
        return reader_panel(
            train_id,
            hit.text,
            hit.metadata,
            events,
            hit=hit,
            others=others,
        )

    def _draw(self) -> None:
        answer, asked = self.answer, self.answer.question
        shown = answer_panel(
            (asked.prompt, asked.said, asked.contrast),
            answer.supports,
            answer.opposes,
            answer.facts(),
            scores=self._scores(),
            spread=answer.spread,
            reasons=[reason.name for reason in self.workspace.journal.reasons()],
        )
        shown["strip"], shown["can_load"] = self._strip, self._strip is None
        self._put("data", shown)
        self.set_trait("ids", answer.ids)

    def _scores(self) -> NDArray[np.float32] | None:
        if self.answer.query_id is None:
            return None
        try:
            return sorted_scores(self.workspace, self.answer.query_id)
        except ArtefactError:  # deleted to save space
            return None

    def _load_tokens(self) -> None:
        asked = replace(self.answer.question, index_id=self.answer.index_id)

        def load(report: ProgressSink) -> Payload:
            return strip(completion_tokens(self.workspace, asked), [])

        def show(words: Payload) -> None:
            self._strip = words
            self._draw()

        self._work.start("model", load, show)

    def _ask_again(self, change: dict[str, Any]) -> None:
        tokens = sorted(change["new"])
        if tokens == list(self.answer.question.tokens or ()):
            self.cancel()
            return
        answer = self.answer
        self._work.start("scores", lambda sink: answer.ask_again(tokens=tokens, on_progress=sink), self._replace)

    def _replace(self, answer: Answer) -> None:
        self.answer, self.query = answer, answer.query_id
        self.selected = [one for one in self.selected if one in {hit.train_id for hit in answer.hits}]
        self._put("reader", {})
        self._draw()
