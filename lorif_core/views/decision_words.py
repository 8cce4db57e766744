"""Acts of people in words: a restored text is kept, and a batch is ``excluded 3 texts as spam``."""

from lorif_core.journal.entries import Batch
from lorif_core.views.text import counted

KIND_WORDS = {
    "flag": "flag",
    "exclude": "exclude",
    "restore": "keep",
    "note": "note",
    "label": "label",
    "unlabel": "remove label",
    "undo": "undo",
    "redo": "redo",
}
"""Kind of an act in the journal → what people call it."""

DONE_WORDS = {
    "flag": "flagged",
    "exclude": "excluded",
    "restore": "kept",
    "note": "wrote a note about",
    "label": "labelled",
    "unlabel": "removed a label from",
    "undo": "undid a decision about",
    "redo": "brought back a decision about",
}

BLIND = (
    "What others decided and said about this text does not show here: in a share, everybody decides for themselves."
)
"""Said where a review leaves that out."""


def kind_word(kind: str) -> str:
    """What people call a kind of act; one that has no word of its own keeps its name."""
    return KIND_WORDS.get(kind, kind)


def counted_texts(count: int) -> str:
    """``1 text`` or ``3 texts``."""
    return counted(count, "text")


def done_words(batch: Batch) -> str:
    """An act in one phrase without data in it: ``excluded 3 texts as spam``."""
    reason = f" as {batch.reason}" if batch.reason else ""
    return f"{DONE_WORDS.get(batch.kind, batch.kind)} {counted_texts(batch.num_events)}{reason}"
