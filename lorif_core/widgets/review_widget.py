"""The widget of a review queue: one text at a time, a key for every decision."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import traitlets

from lorif_core.errors import ConfigError, LorifError
from lorif_core.views.decision_words import BLIND
from lorif_core.views.panels import reader_panel
from lorif_core.views.text import visible
from lorif_core.views.tokens import Payload
from lorif_core.widgets.panel import Panel, source, told
from lorif_core.workspace.curation.review import Review
from lorif_core.workspace.workspace import Workspace

NEEDS_REVIEW = "needs-review"
STEPS = {"next": 1, "previous": -1}


class ReviewWidget(Panel):
    """A queue with the open text; decisions go on to the next one."""

    _esm = source("review")

    current = traitlets.Unicode(None, allow_none=True, read_only=True).tag(sync=True)
    """Train id of the open text; None when all are done."""

    def __init__(self, review: Review, *, redact: bool = False) -> None:
        self.review = review
        self.done: dict[str, str] = {}
        """Train id → what was done with it here."""

        self._trail: list[str] = []
        self._answered = ""
        if not isinstance(review.home, Workspace):
            raise ConfigError("the queue does not know its workspace: get it from `ws.review`.")
        self.is_blind = review.choice.is_blind
        super().__init__(review.home, review.dataset_id, query=review.choice.query, redact=redact)
        self._commands["review"] = self._key
        self._go(review.ids[0] if review.ids else None)

    @property
    def ids(self) -> list[str]:
        """Train ids of the queue."""
        return self.review.ids

    def to_polars(self) -> pl.DataFrame:
        """The queue with its texts and statuses."""
        return self.review.to_polars()

    def to_html(self) -> str:
        """The first texts of the queue as HTML without a script."""
        return self.review.to_html(redact=self.is_redacted)

    def decide(self, act: str, *, reason: str | None = None) -> None:
        """Keep, flag, exclude, needs-review or skip the open text, and go on to the next."""
        self._decide_here(act, reason, self.said["token"])

    def take_back(self) -> None:
        """Undo what was done last, and open its text again."""
        if self._trail and self.done.get(self._trail[-1]) == "skip":
            self._say("Back at the text that was skipped.")
        else:
            self.undo()
        if self._trail:
            train_id = self._trail.pop()
            self.done.pop(train_id, None)
            self._go(train_id)

    def read_example(self, train_id: str) -> Payload:
        """What is shown of a text."""
        (shown,) = self.workspace.data.texts([train_id], self.dataset_id)
        if self.is_blind:
            return reader_panel(train_id, shown.text, shown.metadata, []) | {"withheld": BLIND}
        events = told(self.workspace.decisions.events_of(train_id, dataset=self.dataset_id))
        return reader_panel(train_id, shown.text, shown.metadata, events)

    def _key(self, asked: Mapping[str, Any]) -> None:
        """A key or a click, under a token of its own; the same one again is the same request.

        It names the text that was on screen. A kernel that was at work hears several keys at once, and the later
        ones are not meant for texts that nobody has seen yet.
        """
        if asked["token"] == self._handled:
            return
        self._handled = self._answered = asked["token"]
        seen = asked.get("id") or self.current
        try:
            if asked["act"] == "undo":
                self.take_back()
            elif asked["act"] == "note":
                self._decide("note", [seen] if seen else [], text=asked.get("text"), token=asked["token"])
            elif seen != self.current:
                self._say("That key came before this text was on screen, so it was left out.", failed=True)
            elif asked["act"] in STEPS:
                self._step(STEPS[asked["act"]])
            else:
                self._decide_here(asked["act"], asked.get("reason"), asked["token"])
        except LorifError as error:
            self._fail(error)
        self._draw()  # says that it is answered, and is the last thing that the page gets

    def _step(self, step: int) -> None:
        """Open the next or the previous text of the queue, decided or not."""
        if self.current is None:
            return
        place = self.ids.index(self.current) + step
        if 0 <= place < len(self.ids):
            self._go(self.ids[place])

    def _decide_here(self, act: str, reason: str | None, token: str) -> None:
        ids = self._open_ids()
        if act == "needs-review":
            batch = self.workspace.decisions.label(
                ids, NEEDS_REVIEW, client_id=f"review-{token}-{len(self._trail)}", dataset=self.dataset_id
            )
            self._done(batch, "Labelled for somebody else.")
        elif act == "skip":
            self._say("Skipped.")
        else:
            write = {"keep": "restore"}.get(act, act)
            self._decide(write, ids, reason=None if act == "keep" else reason, token=token)
        self._advance(ids[0], act)

    def _open_ids(self) -> list[str]:
        return [] if self.current is None else [self.current]

    def _advance(self, train_id: str, act: str) -> None:
        self.done[train_id] = act
        if train_id not in self._trail:
            self._trail.append(train_id)
        place = self.ids.index(train_id)
        order = self.ids[place + 1 :] + self.ids[:place]
        self._go(next((one for one in order if one not in self.done), None))

    def _go(self, train_id: str | None) -> None:
        self.set_trait("current", train_id)
        self.show(train_id)
        self._draw()

    def _draw(self) -> None:
        train_id, guidelines = self.current, self.workspace.team.guidelines(dataset=self.dataset_id)
        self._put(
            "data",
            {
                "mode": "review",
                "title": self.review.title,
                "total": len(self.ids),
                "num_done": len(self.done),
                "place": 0 if train_id is None else self.ids.index(train_id) + 1,
                "reasons": [reason.name for reason in self.workspace.journal.reasons()],
                "guidelines": None if guidelines is None else visible(guidelines.markdown),
                "answered": self._answered,
            },
        )
