"""What all widgets share: their data on both sides, decisions, long work, news from the journal."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

from lorif_core.errors import DataError, LorifError
from lorif_core.files import fingerprint_of_value
from lorif_core.journal.entries import Batch, ExampleEvent
from lorif_core.system_failures import failure_sentence, is_of_the_machine, is_out_of_memory
from lorif_core.views.decision_words import kind_word
from lorif_core.views.hit_filters import statuses_of
from lorif_core.views.panels import status_words
from lorif_core.views.text import visible
from lorif_core.views.tokens import Payload, renderer_source
from lorif_core.widgets.watching import unwatch, watch
from lorif_core.widgets.work import Work
from lorif_core.workspace.workspace import Workspace

VIEW = "application/vnd.jupyter.widget-view+json"
TEXTS = ("data", "reader")
"""Traits that hold texts."""


def source(*panels: str) -> str:
    """The renderer shared with the studio, and the panels of a widget, as one ES module."""
    folder = files("lorif_core.widgets")
    # A widget is what its module exports as the default; it takes any other export for an old spelling of that.
    shared = renderer_source()[0].replace("export function", "function")
    ours = [folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in ("pieces", *panels, "entry")]
    return "\n".join([shared, *ours])


def style() -> str:
    """The style sheet of the renderer and of the panels."""
    return renderer_source()[1] + files("lorif_core.widgets").joinpath("panels.css").read_text(encoding="utf-8")


class Panel(anywidget.AnyWidget):
    """A view of one data set of a workspace. Ids are train ids, never positions."""

    _css = style()

    data = traitlets.Dict().tag(sync=True)
    """What is drawn and stays; see ``lorif_core.views.panels``. Empty while texts are redacted."""

    statuses = traitlets.Dict().tag(sync=True)
    """Train id → status of every example that something was decided about."""

    reader = traitlets.Dict().tag(sync=True)
    """The open text. Empty while texts are redacted."""

    progress = traitlets.Dict().tag(sync=True)
    said = traitlets.Dict().tag(sync=True)
    """What happened last, and the token that the next decision must carry."""

    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Train ids that are selected in the list."""

    is_redacted = traitlets.Bool(False).tag(sync=True)

    is_blind = False
    """Whether what was decided is left out."""

    def __init__(self, workspace: Workspace, dataset_id: str, *, query: str | None, redact: bool) -> None:
        super().__init__(is_redacted=redact, said={"text": "", "failed": False, "token": uuid.uuid4().hex})
        self.workspace, self.dataset_id, self.query = workspace, dataset_id, query
        self._texts: dict[str, Payload] = {}
        self._handled = ""
        self._work = Work(self._show_progress, self._fail)
        self._commands: dict[str, Callable[[Any], None]] = {
            "act": self._act,
            "open": self.show,
            "cancel": lambda _: self.cancel(),
            "hello": lambda _: self._send_texts(),
        }
        self.on_msg(self._receive)
        self.refresh()
        watch(self)

    def flag(self, ids: Sequence[str] | None = None, *, reason: str | None = None, text: str | None = None) -> None:
        """Flag texts; None: the selected ones."""
        self._decide("flag", ids, reason=reason, text=text)

    def exclude(self, ids: Sequence[str] | None = None, *, reason: str, text: str | None = None) -> None:
        """Exclude texts; None: the selected ones."""
        self._decide("exclude", ids, reason=reason, text=text)

    def restore(self, ids: Sequence[str] | None = None) -> None:
        """Keep texts; None: the selected ones."""
        self._decide("restore", ids)

    def note(self, text: str, ids: Sequence[str] | None = None) -> None:
        """Write a note beside texts; None: the selected ones."""
        self._decide("note", ids, text=text)

    def undo(self) -> None:
        """Take back your latest decision."""
        self._done(self.workspace.undo(dataset=self.dataset_id), "Undone.")

    def show(self, train_id: str | None) -> None:
        """Show a text in full; None closes it."""
        self._put("reader", {} if train_id is None else self.read_example(train_id))

    def read_example(self, train_id: str) -> Payload:
        """What the reader shows of a text."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stop what is running."""
        self._work.cancel()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when nothing is running any more; for scripts."""
        self._work.wait(timeout_s)

    def refresh(self) -> None:
        """Show the decisions as they stand in the journal."""
        states = self.workspace.decisions.states(dataset=self.dataset_id)
        self.statuses = {} if self.is_blind else status_words(statuses_of(states))
        if opened := self._shown("reader").get("key"):
            self.show(opened)

    def to_html(self) -> str:
        """HTML without a script; every text is escaped, or left out if the widget is redacted."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the widget holds; it disappears from the notebook."""
        unwatch(self)
        self._work.close()
        super().close()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {VIEW: view, "text/html": self.to_html(), "text/plain": f"{type(self).__name__} of {self.dataset_id}"}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dataset_id!r})"

    def _put(self, trait: str, value: Payload) -> None:
        """Show texts: through the trait, or past it if it must not be saved."""
        self._texts[trait] = value
        if self.is_redacted:
            self.send({"trait": trait, "value": value})
        else:
            self.set_trait(trait, value)

    def _shown(self, trait: str) -> Payload:
        return self._texts.get(trait, {})

    def _send_texts(self) -> None:
        for trait, value in self._texts.items():
            self.send({"trait": trait, "value": value})

    def _receive(self, _: object, content: Mapping[str, Any], buffers: object) -> None:
        command = self._commands.get(content.get("kind", ""))
        if command is None:
            return
        try:
            command(content.get("value"))
        except LorifError as error:
            self._fail(error)

    def _act(self, asked: Mapping[str, Any]) -> None:
        """A decision from the page, under a token of its own; the same one again is the same request."""
        if asked["token"] in (self._handled, None):
            return
        self._handled = asked["token"]
        try:
            if asked["act"] == "undo":
                self.undo()
            else:
                self._decide(
                    asked["act"], asked["ids"], reason=asked.get("reason"), text=asked.get("text") or None,
                    token=asked["token"],
                )  # fmt: skip
        except LorifError as error:
            self._fail(error)

    def _decide(
        self,
        act: str,
        ids: Sequence[str] | None,
        *,
        reason: str | None = None,
        text: str | None = None,
        token: str | None = None,
    ) -> None:
        chosen = list(self.selected if ids is None else ids)
        if not chosen:
            raise DataError("a decision is about at least one text, and none is selected: pass ids, or tick some.")
        client_id = f"notebook-{fingerprint_of_value([token or self.said['token'], act, chosen])}"
        why: dict[str, Any] = {"client_id": client_id, "dataset": self.dataset_id}
        if act == "note":
            batch = self.workspace.decisions.note(chosen, text or "", **why)
        else:
            write = {
                "flag": self.workspace.flag,
                "exclude": self.workspace.exclude,
                "restore": self.workspace.restore,
            }[act]
            batch = write(chosen, reason=reason, text=text, query=self.query, **why)
        done = {"flag": "Flagged", "exclude": "Excluded", "restore": "Kept", "note": "Commented on"}[act]
        self._done(batch, f"{done} {len(chosen):,} {'text' if len(chosen) == 1 else 'texts'}.")

    def _done(self, batch: Batch, said: str) -> None:
        self.refresh()  # first: what is said last tells the page that all is there, and lets waiting keys go on
        self._say(f"{said} Batch {batch.batch_id} by {batch.actor}.")

    def _say(self, text: str, *, failed: bool = False) -> None:
        self.said = {"text": visible(text), "failed": failed, "token": uuid.uuid4().hex}

    def _fail(self, error: BaseException) -> None:
        self._say(f"Something went wrong: {_sentence_of(error)}", failed=True)

    def _show_progress(self, label: str, done: int, total: int) -> None:
        self.progress = {"label": label, "done": done, "total": total}


def _sentence_of(error: BaseException) -> str:
    """What the page says of an error; a message that is not ours may quote a training text."""
    if isinstance(error, LorifError):
        return str(error)
    if is_out_of_memory(error):
        return (
            "the memory of this machine did not suffice. Ask for shorter lists or a shorter text, or end other work."
        )
    if is_of_the_machine(error):
        return f"{failure_sentence(error)}."
    return f"a defect of LoRIF Studio ({type(error).__name__}). `wait()` of this widget raises it with its place."


def told(events: Sequence[ExampleEvent]) -> list[str]:
    """What happened to an example, one sentence for each event."""
    found = []
    for event in events:
        batch = event.batch
        said = [f"{batch.at:%Y-%m-%d %H:%M} UTC", batch.actor, kind_word(batch.kind)]
        said += [part for part in (batch.reason, batch.text) if part]
        said.append(f"{event.status_before} → {event.status_after}")
        found.append(" · ".join(said) + (" (undone)" if event.is_undone else ""))
    return found
