"""Lists of the training texts in which what was said stands word for word: no scores, and no heat."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lorif_core.corpus.highlighting import Snippet
from lorif_core.views.hit_html import block, literal, table_html, withheld
from lorif_core.views.hits import ELLIPSIS
from lorif_core.views.tables import bracketed, marked_passage, records_table
from lorif_core.views.text import visible
from lorif_core.views.tokens import Payload, found_parts
from lorif_core.views.verbatim_of_hit import Verbatim, joined_spans

PASSAGE = 260
"""Characters of a passage."""

BEFORE = 40
"""Characters before its longest span."""

NOTE = "Words in a row, whether or not the text is influential: this is no part of any score."


@dataclass(frozen=True)
class VerbatimText:
    """A training text with a span of what was said."""

    rank: int
    """1 has the longest span."""

    train_id: str
    text: str
    metadata: dict[str, Any]

    status: str
    """kept, flagged or excluded: decided texts are listed like others."""

    reason: str | None
    verbatim: Verbatim

    @property
    def source(self) -> str:
        """The `source` column, or nothing if the data set has none."""
        return str(self.metadata.get("source") or "")

    @property
    def decided(self) -> str:
        """Its status with the reason."""
        return f"{self.status} · {self.reason}" if self.reason else self.status


def passage_of(text: str, found: Verbatim) -> Snippet:
    """The passage around the longest span, on one line, with all spans in it."""
    first = found.spans[0].start
    start = max(0, first - BEFORE)
    end = min(len(text), start + PASSAGE)
    before, after = ELLIPSIS if start else "", ELLIPSIS if end < len(text) else ""
    inside = [
        (max(begin, start) - start + len(before), min(last, end) - start + len(before))
        for begin, last in joined_spans((one.start, one.stop) for one in found.spans)
        if begin < end and last > start
    ]
    shown = text[start:end].replace("\r", " ").replace("\n", " ").replace("\t", " ")
    return Snippet(before + shown + after, tuple(inside))


def verbatim_table(said: str, texts: Sequence[VerbatimText], facts: Iterable[str]) -> RenderableType:
    """The list as a terminal shows it."""
    rows = (
        [
            str(one.rank),
            f"{one.verbatim.longest:,}" + (" (all)" if one.verbatim.is_whole else ""),
            one.verbatim.spans[0].part,
            one.decided,
            one.train_id,
            marked_passage(passage_of(one.text, one.verbatim)),
        ]
        for one in texts
    )
    asked = Text.assemble(("said  ", "dim"), (visible(said), "bold yellow"))
    table = records_table("Word for word", ["#", "words", "part", "status", "id", "training text"], rows)
    below = Text(f"{NOTE}\n{'  ·  '.join(facts)}", style="dim")
    return Group(asked, Text(), *([table, Text()] if texts else []), below)


def verbatim_html(said: str, texts: Sequence[VerbatimText], facts: Iterable[str], *, redact: bool = False) -> str:
    """The list as HTML without a script."""
    rows = [
        [
            str(one.rank),
            f"{one.verbatim.longest:,}",
            literal(one.verbatim.spans[0].part),
            literal(one.decided),
            literal(one.train_id),
            withheld(len(one.text)) if redact else literal(bracketed(passage_of(one.text, one.verbatim))),
        ]
        for one in texts
    ]
    table = table_html(["#", "words", "part", "status", "id", "training text"], rows, "Word for word")
    return block(f"<p>{literal(said)}</p>", table, f"<p>{literal(NOTE)}<br>{literal(' · '.join(facts))}</p>")


def verbatim_whole(one: VerbatimText) -> Payload:
    """A text in full for the renderer, its spans marked."""
    spans = joined_spans((span.start, span.stop) for span in one.verbatim.spans)
    return {"mode": "text", "parts": found_parts(one.text, spans, "o")}


def verbatim_card(one: VerbatimText, decided: tuple[str, str | None], listed: str | None) -> Payload:
    """A text of the list for the renderer.

    Args:
        one: With what it holds.
        decided: Its present status, and why it has it.
        listed: Where the lists by influence have it, in words; None: they do not.
    """
    status, reason = decided
    passage = passage_of(one.text, one.verbatim)
    return {
        "mode": "words",
        "rank": one.rank,
        "verbatim": one.verbatim.sentence,
        "source": visible(one.source) or None,
        "status": status,
        "status_text": visible(f"{status} · {reason}" if reason else status),
        "listed": listed,
        "id": visible(one.train_id),
        "parts": found_parts(passage.text, passage.spans, "o"),
    }
