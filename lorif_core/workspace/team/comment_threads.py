"""What people said about a text, as a thread: comments, and what they wrote beside their decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lorif_core.journal.entries import STATUS_OF, ExampleEvent


@dataclass(frozen=True, kw_only=True)
class Comment:
    """One contribution to the thread of a text."""

    batch_id: str
    """The act that it is; `undo` takes it back."""

    by: str
    """Who said it."""

    at: datetime
    """When."""

    text: str
    """What they said, literally."""

    beside: str | None
    """The decision that it was written beside, as in ``excluded · spam``; None for a comment by itself."""


def thread_of(events: Sequence[ExampleEvent]) -> list[Comment]:
    """The thread of a text, oldest first, from everything that happened to it; without what was taken back."""
    thread = []
    for event in reversed(events):
        batch = event.batch
        if event.is_undone or not batch.text or batch.kind not in ("note", *STATUS_OF):
            continue
        status = STATUS_OF.get(batch.kind)
        said = None if status is None else f"{status} · {batch.reason}" if batch.reason else status
        thread.append(Comment(batch_id=batch.batch_id, by=batch.actor, at=batch.at, text=batch.text, beside=said))
    return thread
