"""The beginning of texts that acts are about: people know a text by what it says, not by its id."""

from collections.abc import Sequence

from app import session
from lorif_core.errors import DataError
from lorif_core.views.text import visible

MAX_CHARS = 160
GONE = "(not in this version of the data)"
MOST = 500
"""Texts of which the beginning is read for one table."""


def snippets(train_ids: Sequence[str], dataset: str) -> dict[str, str]:
    """Train id → the beginning of its text on one line; of one that this version of the data lacks, that it does."""
    ids = list(dict.fromkeys(train_ids))
    try:
        shown = session.workspace().data.texts(ids[:MOST], dataset)
    except DataError:
        shown = [one for train_id in ids[:MOST] for one in _found(train_id, dataset)]
    known = {one.train_id: visible(_beginning(one.text)) for one in shown}
    return {train_id: known.get(train_id, GONE if place < MOST else "") for place, train_id in enumerate(ids)}


def _found(train_id: str, dataset: str) -> list:
    try:
        return session.workspace().data.texts([train_id], dataset)
    except DataError:
        return []


def _beginning(text: str) -> str:
    line = " ".join(text[: 2 * MAX_CHARS].split())
    return line[:MAX_CHARS] + "…" * (len(line) > MAX_CHARS or len(text) > 2 * MAX_CHARS)
