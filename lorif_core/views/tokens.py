"""What the token renderer (``tokens.js``) draws, as JSON values: token strips, texts with heat, cards.

Heat is a word's part of the score over the largest part of a word of the same text, so it lies between -1 and 1 and
tells where in a text its influence comes from, not how strong the text is; that is what the score is for.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal

from lorif_core.views.diffs import Piece
from lorif_core.views.hits import ELLIPSIS, Hit, TokenPart, join_words, places_in, window_text, z_text
from lorif_core.views.score_scale import BarScale
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
    """A completion to choose words from, or tokens; ``part`` is a log-probability in nats."""
    shown = [
        {
            "t": _mark_spaces(token.text),
            "n": _two_digits(token.part),
            "title": f"token {place}: {token.part:.3f} nats"
            + ("" if token.text else ", the beginning of the character that follows"),
        }
        for place, token in enumerate(tokens)
    ]
    return {
        "mode": "strip",
        "tokens": shown,
        "words": _words(tokens),
        "selected": list(selected),
        "label": "Tokens of the completion",
        "word_label": "Words of the completion",
    }


def _words(tokens: Sequence[TokenPart]) -> list[Payload]:
    """The words of a completion: what they say, and the places of their tokens."""
    found: list[Payload] = []
    for places in word_places(tokens):
        said, nats = "".join(tokens[one].text for one in places), sum(tokens[one].part for one in places)
        several = f"{len(places)} tokens" if len(places) > 1 else f"token {places[0]}"
        found.append(
            {
                "t": _mark_spaces(said.strip()) if said.strip() else _mark_spaces(said),
                "n": _two_digits(nats),
                "title": f"{several}: {nats:.3f} nats",
                "places": places,
            }
        )
    return found


def word_places(tokens: Sequence[TokenPart]) -> list[list[int]]:
    """Places of a completion's tokens, put together to the words that people see.

    A word begins at white space, and between letters and punctuation, so that the word before a full stop can be
    chosen without it; a special token is one by itself. Every token is in exactly one word.
    """
    found: list[list[int]] = []
    before = ""  # of the word so far
    for place, token in enumerate(tokens):
        said = token.text
        opens = not found or (said[:1].isspace() and bool(before.strip())) or _is_special(said) or _is_special(before)
        if opens or (bool(before.strip()) and bool(said) and _is_mark(said) != _is_mark(before)):
            found.append([place])
            before = said
        else:
            found[-1].append(place)
            before += said
    return found


def _is_mark(said: str) -> bool:
    """Whether it has nothing of a word in it."""
    return bool(said.strip()) and not any(one.isalnum() for one in said)


def _is_special(said: str) -> bool:
    return len(said) > 2 and said.startswith("<") and said.endswith(">")


def _two_digits(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def text(content: str, found: Sequence[tuple[int, int]] = ()) -> Payload:
    """A text without heat, to be read literally.

    Args:
        content: The text.
        found: Start and end of what a search found in it, ascending and apart; it is framed.
    """
    return {"mode": "text", "parts": found_parts(content, found)}


FOLD = 160
"""Characters of a prompt that are shown before it is folded."""


def asked(prompt: str, completion: str, contrast: str | None = None) -> Payload:
    """A question on one line; of a long prompt the end, and the rest on a click."""
    return {
        "mode": "asked",
        "prompt": visible(prompt),
        "completion": visible(completion),
        "contrast": None if contrast is None else visible(contrast),
        "contrast_word": "compared with",
        "fold": FOLD,
    }


def plain(hit: Hit) -> Payload:
    """A hit's text without heat; what it shares with the answer word for word gets a line above."""
    parts = found_parts(hit.text, verbatim_places(hit.text, hit.text, hit.verbatim), "o", hit.asked)
    return {"mode": "text", "parts": parts}


def found_parts(
    content: str,
    found: Sequence[tuple[int, int]],
    mark: Literal["m", "o"] = "m",
    asked: Sequence[tuple[int, int]] = (),
) -> list[Payload]:
    """The pieces of a text.

    Args:
        content: The text.
        found: What a search found (``m``), or what the answer says too (``o``), ascending and apart.
        mark: Which of both.
        asked: Stretches that are asked and not taught; their pieces are marked ``p``.
    """
    cuts = sorted({0, len(content), *(edge for span in (*found, *asked) for edge in span)})
    parts: list[Payload] = []
    for start, stop in pairwise(cuts):
        part: Payload = {"t": visible(content[start:stop])}
        if any(begin <= start < end for begin, end in found):
            part[mark] = True
        if any(begin <= start < end for begin, end in asked):
            part["p"] = True
        parts.append(part)
    return [part for part in parts if part["t"]] or [{"t": ""}]


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
        hit: Whose tokens they are: what it shares with the answer word for word gets a line above, and what is asked
            in it is told from what it teaches.
    """
    return {"mode": "text", "parts": _parts(tokens, hit)}


def words_of_hit(hit: Hit) -> list[TokenPart]:
    """A hit's tokens joined to words; what is taught begins with a word of its own."""
    if not hit.tokens:
        return [TokenPart(hit.text, 0.0)]
    whole = "".join(token.text for token in hit.tokens)
    edges = {edge for stretch in places_in(whole, hit.text, hit.asked) for edge in stretch}
    return join_words(hit.tokens, edges=edges)


def card(
    hit: Hit,
    *,
    scale: BarScale,
    standing: str | None,
    status: str,
    reason: str | None,
    marks: Sequence[Mark] = MARKS,
    max_chars: int = 260,
) -> Payload:
    """A hit of a list.

    Args:
        hit: What to show.
        scale: Of the bars of the page.
        standing: Where its score stands among all; None when the scores are gone. See ``score_scale.standing``.
        status: kept, flagged or excluded.
        reason: Of the status.
        marks: What is marked in the snippet.
        max_chars: Length of the snippet.
    """
    return {
        "mode": "card",
        "rank": hit.rank,
        "score": signed(hit.score),
        "share": scale.share(hit),
        "standing": standing,
        "z": z_text(hit) or None,
        "is_noise": hit.is_noise,
        "window": window_text(hit) or None,
        "verbatim": hit.verbatim.sentence or None,
        "verbatim_short": hit.verbatim.short or None,
        "source": visible(hit.source) or None,
        "status": status,
        "status_text": f"{status} · {reason}" if reason else status,
        "id": visible(hit.train_id),
        "parts": _snippet(hit, marks, max_chars),
    }


def _snippet(hit: Hit, marks: Sequence[Mark], max_chars: int) -> list[Payload]:
    """The pieces of a stretch of a hit's text around its strongest word."""
    if not hit.tokens:
        shown = plain(hit)["parts"] if "verbatim" in marks else found_parts(hit.text, (), asked=hit.asked)
        return _shortened(_on_one_line(shown), max_chars)
    words = words_of_hit(hit)
    start, stop = _window(words, hit.score, max_chars)
    parts = _on_one_line(_parts(words, hit, marks)[start:stop])
    if len(parts) == 1:
        parts = _shortened(parts, max_chars)
    edges = [[{"t": ELLIPSIS}] if cut else [] for cut in (start > 0, stop < len(words))]
    return edges[0] + parts + edges[1]


def _on_one_line(parts: list[Payload]) -> list[Payload]:
    return [part | {"t": re.sub(r"[\r\n\t]", " ", part["t"])} for part in parts]


def _shortened(parts: list[Payload], max_chars: int) -> list[Payload]:
    """The first characters of some pieces."""
    kept, left = list[Payload](), max_chars
    for part in parts:
        if left <= 0:
            break
        is_cut = len(part["t"]) > left
        kept.append(part | {"t": part["t"][:left] + (ELLIPSIS if is_cut else "")})
        left -= len(part["t"])
    if sum(len(part["t"]) for part in parts) > max_chars and not kept[-1]["t"].endswith(ELLIPSIS):
        kept.append({"t": ELLIPSIS})
    return kept


def noise(told: tuple[str, str]) -> Payload:
    """The line at which a list turns into noise; see ``score_scale.noise_line``."""
    return {"mode": "noise", "text": told[0], "title": told[1]}


def signed(score: float, digits: int = 4) -> str:
    """A score with its sign."""
    return f"{score:+.{digits}g}".replace("-", "−")


def _parts(tokens: Sequence[TokenPart], hit: Hit | None, marks: Sequence[Mark] = MARKS) -> list[Payload]:
    largest = max((abs(token.part) for token in tokens if token.text.strip()), default=0.0)
    shared = _shared(tokens, hit) if hit is not None and hit.verbatim.spans and "verbatim" in marks else set[int]()
    asked = set[int]() if hit is None else _asked(tokens, hit)
    parts: list[Payload] = []
    for place, token in enumerate(tokens):
        part: Payload = {"t": visible(token.text)}
        heat = token.part / largest if largest else 0.0
        if "heat" in marks and abs(heat) >= FAINT and token.text.strip():
            part["h"] = round(heat, 3)
        if place in shared:
            part["o"] = True
        if place in asked:
            part["p"] = True
        parts.append(part)
    return parts


def _asked(tokens: Sequence[TokenPart], hit: Hit) -> set[int]:
    """Places of tokens that lie wholly in what is asked."""
    spans = places_in("".join(token.text for token in tokens), hit.text, hit.asked)
    places, begin = set[int](), 0
    for place, token in enumerate(tokens):
        end = begin + len(token.text)
        if any(start <= begin and end <= stop for start, stop in spans) and token.text:
            places.add(place)
        begin = end
    return places


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
    seen = [place for place, word in enumerate(words) if word.text.strip()] or range(len(words))
    focus = max(seen, key=lambda place: sign * words[place].part)
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
