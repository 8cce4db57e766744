"""What the token renderer (``tokens.js``) draws, as JSON values: token strips, texts with heat, cards.

Heat is a token's part of the score over the largest part of the same text, so it lies between -1 and 1 and
tells where in a text its influence comes from, not how strong the text is; that is what the score is for.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any

from lorif_core.views.diffs import Piece
from lorif_core.views.hits import ELLIPSIS, Hit, TokenPart, join_words, window_text, z_text
from lorif_core.views.text import visible

FAINT = 0.06
"""Heat below this is not drawn."""

WORD = re.compile(r"\w+")
SHARED_WORDS = 2
"""Fewest words in a row that count as shared, unless the completion has fewer."""

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


def found_parts(content: str, found: Sequence[tuple[int, int]]) -> list[Payload]:
    """The pieces of a text, those that a search found marked."""
    edges = [0, *(place for span in found for place in span), len(content)]
    pieces = [content[start:end] for start, end in pairwise(edges)]
    marked = [{"t": visible(piece)} | ({"m": True} if place % 2 else {}) for place, piece in enumerate(pieces)]
    return [part for part in marked if part["t"]] or [{"t": ""}]


def diff(pieces: Sequence[Piece]) -> Payload:
    """Two texts in one: what only one of them says is framed and marked A or B."""
    parts: list[Payload] = [
        {"t": visible(piece.text)} | ({} if piece.side == "both" else {"d": piece.side}) for piece in pieces
    ]
    return {"mode": "text", "parts": parts}


def heated(tokens: Sequence[TokenPart], completion: str | None = None) -> Payload:
    """A text by its tokens.

    Args:
        tokens: With their parts of the score.
        completion: Words shared with it get a line above; None: none are.
    """
    return {"mode": "text", "parts": _parts(tokens, completion)}


def card(
    hit: Hit,
    *,
    largest: float,
    percentile: float | None,
    status: str,
    reason: str | None,
    completion: str | None = None,
    heat: bool = True,
    max_chars: int = 260,
) -> Payload:
    """A hit of a list.

    Args:
        hit: What to show.
        largest: Size of the largest score of both lists, which fills the bar.
        percentile: Share of all examples with a smaller score, in percent; None when the scores are gone.
        status: kept, flagged or excluded.
        reason: Of the status.
        completion: Words shared with it get a line above; None: none are.
        heat: Whether tokens are coloured.
        max_chars: Length of the snippet.
    """
    words = join_words(hit.tokens) if hit.tokens else [TokenPart(hit.text, 0.0)]
    start, stop = _window(words, hit.score, max_chars)
    parts = _parts(words, completion)[start:stop]
    for part in parts:
        part["t"] = re.sub(r"[\r\n\t]", " ", part["t"])
        if not heat:
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


def _parts(tokens: Sequence[TokenPart], completion: str | None) -> list[Payload]:
    largest = max((abs(token.part) for token in tokens), default=0.0)
    shared = shared_words(tokens, completion) if completion else set()
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


def shared_words(tokens: Sequence[TokenPart], completion: str) -> set[int]:
    """Places of tokens that are part of words in a row which the completion says too, whatever their case."""
    wanted = [word.casefold() for word in WORD.findall(completion)]
    length = min(SHARED_WORDS, len(wanted))
    if not length:
        return set()
    runs = {tuple(wanted[start : start + length]) for start in range(len(wanted) - length + 1)}
    joined = "".join(token.text for token in tokens)
    found = list(WORD.finditer(joined))
    spans = [
        (found[start].start(), found[start + length - 1].end())
        for start in range(len(found) - length + 1)
        if tuple(word.group().casefold() for word in found[start : start + length]) in runs
    ]
    places, begin = set(), 0
    for place, token in enumerate(tokens):
        end = begin + len(token.text)
        if any(first < end and begin < last for first, last in spans):
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
