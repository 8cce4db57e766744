"""What of an answer stands word for word in a training text, beside its influence and never mixed with it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lorif_core.corpus.verbatim import MAX_SPANS, VerbatimSpan, Wording, longest_first
from lorif_core.data.example import Example
from lorif_core.views.text import counted, visible


@dataclass(frozen=True)
class Verbatim:
    """The spans of an answer that a text has word for word, see ``lorif_core.corpus.verbatim``."""

    spans: tuple[VerbatimSpan, ...] = ()
    """The longest first; places are characters of the text as people read it."""

    num_spans: int = 0
    """How many there are; more than ``MAX_SPANS`` are not all told."""

    is_whole: bool = False
    """Whether the longest one is all that was said."""

    @property
    def longest(self) -> int:
        """Words of the longest span; 0 without one."""
        return self.spans[0].words if self.spans else 0

    @property
    def sentence(self) -> str:
        """In words; empty without a span."""
        if not self.spans:
            return ""
        first = self.spans[0]
        said = f"verbatim: {'the whole answer, ' if self.is_whole else ''}{words_text(first.words)}"
        further = self.num_spans - 1
        where = f", in {visible(first.part)}" if first.part not in ("", "text") else ""
        return said + where + (f", and {further:,} further {'spans' if further > 1 else 'span'}" if further else "")

    @property
    def short(self) -> str:
        """The same in two or three words, for a badge; empty without a span."""
        if not self.spans:
            return ""
        return "verbatim: all" if self.is_whole else f"verbatim: {words_text(self.longest)}"


def words_text(count: int) -> str:
    """A number of words."""
    return counted(count, "word")


def verbatim_of(example: Example, wording: Wording) -> Verbatim:
    """What of an answer stands in an example; no span goes over from one part of it to the next.

    Args:
        example: Its text, prompt and completion, or turns.
        wording: Of the answer.
    """
    text = example.plain_text
    found = [
        replace(span, start=span.start + part.start, stop=span.stop + part.start, part=part.name)
        for part in example.parts
        for span in wording.spans_in(text[part.start : part.stop])
    ]
    ordered = longest_first(found)
    is_whole = bool(ordered) and ordered[0].words == len(wording.words)
    return Verbatim(tuple(ordered[:MAX_SPANS]), len(ordered), is_whole)


def verbatim_places(shown: str, text: str, found: Verbatim) -> list[tuple[int, int]]:
    """Where the spans of a text stand in what is shown of it, ascending and apart.

    Args:
        shown: The text itself, or another writing of it, such as its tokens joined, with a template's own words.
        text: The text that the spans were found in.
        found: They.
    """
    if shown == text:
        return joined_spans([(one.start, one.stop) for one in found.spans])
    wanted = dict.fromkeys(text[one.start : one.stop] for one in found.spans)
    return joined_spans([match.span() for one in wanted for match in re.finditer(re.escape(one), shown)])


def joined_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches, ascending and apart."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined
