"""The train examples a question brings up, as values, as a frame and as short text."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lorif_core.data.example import Example
from lorif_core.views.text import visible
from lorif_core.views.verbatim_of_hit import Verbatim

SIGN_CONVENTION = (
    "A positive score supports the completion: training more on the text makes it more likely; "
    "a negative score opposes it."
)
ELLIPSIS = "…"


@dataclass(frozen=True)
class TokenPart:
    """One token of a text and its part of the text's score."""

    text: str
    part: float


@dataclass(frozen=True)
class Hit:
    """One train example and how much it pushed the model towards the completion, or away from it."""

    rank: int
    """1 is the strongest of its list."""

    train_id: str
    score: float
    """Positive supports, negative opposes; see ``SIGN_CONVENTION``."""

    text: str
    """The whole example as plain text."""

    metadata: dict[str, Any]
    """Every metadata column of the data set."""

    tokens: tuple[TokenPart, ...] = ()
    """The example's tokens with their parts of the score, which stand at the tokens that are predicted: a part is
    what learning to say this token here does to the completion. Empty if not asked for."""

    window: tuple[int, int] | None = None
    """Of a text that is several sequences, such as windows, the one that has most of the score: its first token, and
    one behind its last, counted over the whole text. None for a text of one sequence."""

    z: float | None = None
    """Standard deviations of the score above the mean of all texts' scores; None where that is not known."""

    is_noise: bool = False
    """Whether it stands out no more than the largest of as many meaningless scores would."""

    verbatim: Verbatim = field(default_factory=Verbatim)
    """What of the completion stands in it word for word: no part of the score, which says nothing about it."""

    asked: tuple[tuple[int, int], ...] = ()
    """Stretches of ``text``, first character and the one behind the last, that the model reads and is not taught to
    say: a prompt, the turns that are not the assistant's. Empty where all of it is taught."""

    @property
    def source(self) -> str:
        """The `source` column, or nothing if the data set has none."""
        return str(self.metadata.get("source") or "")


def z_text(hit: Hit) -> str:
    """How far a hit stands out, in words: standard deviations above or below the mean, and whether that is noise."""
    if hit.z is None:
        return ""
    return f"z {hit.z:+.1f}".replace("-", "−") + (" · noise" if hit.is_noise else "")


def window_text(hit: Hit) -> str:
    """Where most of the score of a text of several sequences comes from, in words; nothing for other texts."""
    if hit.window is None:
        return ""
    first, behind = hit.window
    return f"most of it from tokens {first:,}–{behind - 1:,}"


def hits_frame(hits: Sequence[Hit]) -> pl.DataFrame:
    """Hits as a frame: rank, train_id, score, z, text, then the metadata columns."""
    columns = {"rank": pl.Int64, "train_id": pl.String, "score": pl.Float64, "z": pl.Float64, "text": pl.String}
    rows = [
        {"rank": hit.rank, "train_id": hit.train_id, "score": hit.score, "z": hit.z, "text": hit.text}
        | {name: value for name, value in hit.metadata.items() if name not in columns}
        for hit in hits
    ]
    return (
        pl.DataFrame(rows, infer_schema_length=None, schema_overrides=columns)
        if rows
        else pl.DataFrame(schema=columns)
    )


def snippet(hit: Hit, *, max_chars: int = 110, num_marked: int = 3) -> list[tuple[str, bool]]:
    """A stretch of a hit's text around its strongest words: (text, is marked) pieces in order.

    A word's part is the sum of its tokens' parts. The strongest words are those whose parts have
    the score's sign and the largest size. Line breaks show as spaces, other control characters as
    in ``visible``.
    """
    if not hit.tokens:
        text = _one_line(hit.text)
        return [(text if len(text) <= max_chars else text[: max_chars - 1] + ELLIPSIS, False)]
    words = join_words(hit.tokens)
    sign = 1 if hit.score >= 0 else -1
    strongest = sorted(range(len(words)), key=lambda position: -sign * words[position].part)[:num_marked]
    marked = {position for position in strongest if sign * words[position].part > 0}
    start, stop = _window([len(word.text) for word in words], strongest[0] if strongest else 0, max_chars)
    pieces = [(_one_line(words[position].text), position in marked) for position in range(start, stop)]
    before = [(ELLIPSIS, False)] if start else []
    after = [(ELLIPSIS, False)] if stop < len(words) else []
    return before + pieces + after


def asked_of(example: Example) -> tuple[tuple[int, int], ...]:
    """The stretches of an example's plain text that are asked and not taught; see ``Hit.asked``."""
    return tuple((one.start, one.stop) for one in example.parts if one.name == "prompt" or _is_asked_turn(one.name))


def _is_asked_turn(name: str) -> bool:
    return "turn " in name and not name.endswith("(assistant)")


def join_words(
    tokens: Sequence[TokenPart], longest: int = 24, edges: Collection[int] = frozenset()
) -> list[TokenPart]:
    """Tokens joined to words, their parts added.

    Args:
        tokens: In the order of the text.
        longest: A word starts at white space or after so many characters.
        edges: Characters of the joined text at which a word starts, too, such as the first one of a completion.
    """
    words: list[TokenPart] = []
    place = 0
    for token in tokens:
        is_inside = words and not token.text[:1].isspace() and place not in edges
        if is_inside and len(words[-1].text) + len(token.text) <= longest:
            words[-1] = TokenPart(words[-1].text + token.text, words[-1].part + token.part)
        else:
            words.append(token)
        place += len(token.text)
    return words


def places_in(shown: str, text: str, stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where stretches of a text stand in another writing of it, such as its tokens joined; one that is not there is
    left out.

    Args:
        shown: The other writing, in the same order.
        text: The text that the stretches are of.
        stretches: First character and the one behind the last, ascending.
    """
    if shown == text:
        return list(stretches)
    found: list[tuple[int, int]] = []
    begin = 0
    for start, stop in stretches:
        wanted = text[start:stop]
        if wanted and (place := shown.find(wanted, begin)) >= 0:
            begin = place + len(wanted)
            found.append((place, begin))
    return found


def _window(lengths: list[int], focus: int, max_chars: int) -> tuple[int, int]:
    """Tokens to show: as many as fit, from the start if that reaches the focus."""
    start = 0
    while sum(lengths[start : focus + 1]) > max_chars * 2 // 3 and start < focus:
        start += 1
    stop, used = start, 0
    while stop < len(lengths) and (used + lengths[stop] <= max_chars or stop == start):
        used += lengths[stop]
        stop += 1
    return start, stop


def _one_line(text: str) -> str:
    return visible(text.replace("\r", " ").replace("\n", " ").replace("\t", " "))
