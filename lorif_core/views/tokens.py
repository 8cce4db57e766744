"""What the token renderer (``tokens.js``) draws, as JSON values: token strips, texts with heat, cards.

Heat is a token's part of the score over the largest part of the same text, so it lies between -1 and 1 and
tells where in a text its influence comes from, not how strong the text is; that is what the score is for.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal

from lorif_core.views.diffs import Piece
from lorif_core.views.hits import ELLIPSIS, Hit, TokenPart, join_words, window_text, z_text
from lorif_core.views.text import visible
from lorif_core.views.verbatim_of_hit import verbatim_places

FAINT = 0.06
"""Heat below this is not drawn."""

Mark = Literal["heat", "verbatim"]
MARKS: tuple[Mark, ...] = ("heat", "verbatim")
"""What is marked in a text: where its influence comes from, and what it shares with the answer word for word."""

Payload = dict[str, Any]
"""JSON-serialisable."""


def renderer_source() -> tuple[str, str]:
    """JavaScript of the renderer, which exports ``render(host, data, emit)``, and its style sheet."""
    folder = files("lorif_core.views")
    return tuple(folder.joinpath(f"tokens.{suffix}").read_text(encoding="utf-8") for suffix in ("js", "css"))  # type: ignore[return-value]


def strip(tokens: Sequence[TokenPart], selected: Sequence[int]) -> Payload:
    """A completion to choose tokens from; ``part`` is a log-probability in nats."""
    shown = [
        {
            "t": _mark_spaces(token.text),
            "n": f"{token.part:.2f}".replace("-", "−"),
            "title": f"token {place}: {token.part:.3f} nats"
            + ("" if token.text else ", the beginning of the character that follows"),
        }
        for place, token in enumerate(tokens)
    ]
    return {"mode": "strip", "tokens": shown, "selected": list(selected), "label": "Tokens of the completion"}


def text(content: str, found: Sequence[tuple[int, int]] = ()) -> Payload:
    """A text without heat, to be read literally.

    Args:
        content: The text.
        found: Start and end of what a search found in it, ascending and apart; it is framed.
    """
    return {"mode": "text", "parts": found_parts(content, found)}


def plain(hit: Hit) -> Payload:
    """A hit's text without heat; what it shares with the answer word for word gets a line above."""
    return {"mode": "text", "parts": found_parts(hit.text, verbatim_places(hit.text, hit.text, hit.verbatim), "o")}


def found_parts(content: str, found: Sequence[tuple[int, int]], mark: Literal["m", "o"] = "m") -> list[Payload]:
    """The pieces of a text, those that a search found (``m``), or that the answer says too (``o``), marked."""
    edges = [0, *(place for span in found for place in span), len(content)]
    pieces = [content[start:end] for start, end in pairwise(edges)]
    marked = [{"t": visible(piece)} | ({mark: True} if place % 2 else {}) for place, piece in enumerate(pieces)]
    return [part for part in marked if part["t"]] or [{"t": ""}]


def diff(pieces: Sequence[Piece]) -> Payload:
    """Two texts in one: what only one of them says is framed and marked A or B."""
    parts: list[Payload] = [
        {"t": visible(piece.text)} | ({} if piece.side == "both" else {"d": piece.side}) for piece in pieces
    ]
    return {"mode": "text", "parts": parts}


def heated(tokens: Sequence[TokenPart], hit: Hit | None = None) -> Payload:
    """A text by its tokens.

    Args:
        tokens: With their parts of the score.
        hit: Whose tokens they are: what it shares with the answer word for word gets a line above.
    """
    return {"mode": "text", "parts": _parts(tokens, hit)}


def card(
    hit: Hit,
    *,
    largest: float,
    percentile: float | None,
    status: str,
    reason: str | None,
    marks: Sequence[Mark] = MARKS,
    max_chars: int = 260,
) -> Payload:
    """A hit of a list.

    Args:
        hit: What to show.
        largest: Size of the largest score of both lists, which fills the bar.
        percentile: Share of all examples with a smaller score, in percent; None when the scores are gone.
        status: kept, flagged or excluded.
        reason: Of the status.
        marks: What is marked in the snippet.
        max_chars: Length of the snippet.
    """
    words = join_words(hit.tokens) if hit.tokens else [TokenPart(hit.text, 0.0)]
    start, stop = _window(words, hit.score, max_chars)
    parts = _parts(words, hit if "verbatim" in marks else None)[start:stop]
    for part in parts:
        part["t"] = re.sub(r"[\r\n\t]", " ", part["t"])
        if "heat" not in marks:
            part.pop("h", None)
    if len(parts) == 1 and len(parts[0]["t"]) > max_chars:
        parts[0]["t"] = parts[0]["t"][:max_chars] + ELLIPSIS
    edges = [[{"t": ELLIPSIS}] if cut else [] for cut in (start > 0, stop < len(words))]
    return {
        "mode": "card",
        "rank": hit.rank,
        "score": signed(hit.score),
        "share": hit.score / largest if largest else 0.0,
        "percentile": None if percentile is None else percentile_text(percentile),
        "z": z_text(hit) or None,
        "window": window_text(hit) or None,
        "verbatim": hit.verbatim.sentence or None,
        "source": visible(hit.source) or None,
        "status": status,
        "status_text": f"{status} · {reason}" if reason else status,
        "id": visible(hit.train_id),
        "parts": edges[0] + parts + edges[1],
    }


def signed(score: float) -> str:
    """A score with its sign, four digits."""
    return f"{score:+.4g}".replace("-", "−")


def percentile_text(percentile: float) -> str:
    """Where a score stands among all: ``top 0.02 %`` or ``lowest 0.1 %``."""
    side, share = ("top", 100 - percentile) if percentile >= 50 else ("lowest", percentile)
    return f"{side} {max(share, 0.001):.2g} %"


def _parts(tokens: Sequence[TokenPart], hit: Hit | None) -> list[Payload]:
    largest = max((abs(token.part) for token in tokens), default=0.0)
    shared = _shared(tokens, hit) if hit is not None and hit.verbatim.spans else set[int]()
    parts: list[Payload] = []
    for place, token in enumerate(tokens):
        part: Payload = {"t": visible(token.text)}
        heat = token.part / largest if largest else 0.0
        if abs(heat) >= FAINT and token.text.strip():
            part["h"] = round(heat, 3)
        if place in shared:
            part["o"] = True
        parts.append(part)
    return parts


def _shared(tokens: Sequence[TokenPart], hit: Hit) -> set[int]:
    """Places of tokens that the answer says too, word for word."""
    spans = verbatim_places("".join(token.text for token in tokens), hit.text, hit.verbatim)
    places, begin, at = set[int](), 0, 0
    for place, token in enumerate(tokens):
        end = begin + len(token.text)
        while at < len(spans) and spans[at][1] <= begin:
            at += 1
        if at < len(spans) and spans[at][0] < end:
            places.add(place)
        begin = end
    return places


def _window(words: Sequence[TokenPart], score: float, max_chars: int) -> tuple[int, int]:
    """First and last word of a snippet around the strongest word of the score's sign."""
    sign = 1 if score >= 0 else -1
    focus = max(range(len(words)), key=lambda place: sign * words[place].part)
    start, used = focus, len(words[focus].text)
    while start > 0 and used + len(words[start - 1].text) <= max_chars * 2 // 3:
        start -= 1
        used += len(words[start].text)
    stop = focus + 1
    while stop < len(words) and used + len(words[stop].text) <= max_chars:
        used += len(words[stop].text)
        stop += 1
    while start > 0 and used + len(words[start - 1].text) <= max_chars:
        start -= 1
        used += len(words[start].text)
    return start, stop


def _mark_spaces(token: str) -> str:
    return visible(token).replace(" ", "·").replace("\n", "↵").replace("\t", "⇥") or "∅"
