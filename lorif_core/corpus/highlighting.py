"""What a search found, marked in the texts as they are: also where they are stored in another form.

Words and ``contains`` are looked for in the comparable form of a text, a regular expression in its NFC by DuckDB,
whose expressions they are; each hit is then traced back to the characters that it came from.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import duckdb

from lorif_core.corpus.connection import stop_after, too_slow
from lorif_core.corpus.filters import MAX_TYPED, TextSearch
from lorif_core.corpus.normalising import Span, aligned, aligned_nfc, aligned_words, comparable, words_of
from lorif_core.errors import QueryError

ELLIPSIS = "…"
PASSAGE = 200
"""Characters of a passage."""

BEFORE = 40
"""Characters before its first hit."""

BLOCK = 5_000
"""Characters of a long text that are searched at once: a passage needs one good place, not all."""

TIME_LIMIT_S = 3.0
"""How long a page of texts may be searched for a regular expression."""

PIECES = re.compile(r'"([^"]*)"(\*?)|([^\s"]+)')
"""A phrase in quotes, with or without a star, or a run without spaces and quotes."""


@dataclass(frozen=True)
class Snippet:
    """A passage of a text, with what was found in it."""

    text: str
    """The passage; an ellipsis stands where the text goes on."""

    spans: tuple[Span, ...]
    """Start and end of each hit in the passage, in characters, ascending and apart."""


class Phrase(NamedTuple):
    """Words that must follow each other."""

    words: tuple[str, ...]
    """As the index holds them, at least one."""

    is_prefix: bool
    """Whether the last one may go on."""


def phrases_of(typed: str) -> list[Phrase]:
    """What a search for words looks for; pieces without a letter or digit are left out.

    Raises:
        QueryError: The text is too long or no plain text.
    """
    pieces = PIECES.findall(TextSearch("words", typed).text)
    found = [
        Phrase(tuple(words_of(phrase or word)), bool(star) or word.endswith("*")) for phrase, star, word in pieces
    ]
    return [phrase for phrase in found if phrase.words]


def spans_of(search: TextSearch, texts: Sequence[str]) -> list[list[Span]]:
    """For each text, where a search finds something in it, ascending and apart.

    Raises:
        QueryError: It is no regular expression, or takes too long.
    """
    if search.mode == "regex":
        return _regex_spans(search.text, texts)
    find = _finder(search)
    return [_apart(find(text)) for text in texts]


def snippets_of(search: TextSearch | str, texts: Sequence[Sequence[str]]) -> list[Snippet]:
    """For each example, the passage with most of what was found, or the beginning where there is nothing.

    Args:
        search: What was searched for; a plain text is a search for words.
        texts: For each example the readable texts of its text columns.

    Raises:
        QueryError: It cannot be searched for.
    """
    wanted = TextSearch("words", search) if isinstance(search, str) else search
    readable = [[text.replace("\0", " ") for text in columns] for columns in texts]
    if wanted.mode == "regex":
        spans = iter(_regex_spans(wanted.text, [text for columns in readable for text in columns]))
        return [_best(columns, [next(spans) for _ in columns]) for columns in readable]
    find = _finder(wanted)
    return [_best(columns, [_first_spans(text, find) for text in columns]) for columns in readable]


def _finder(search: TextSearch) -> Callable[[str], list[Span]]:
    if search.mode == "words":
        phrases = phrases_of(search.text)
        return lambda text: _word_spans(text, phrases)
    form = comparable(search.text)
    if form.strip():
        return lambda text: _form_spans(text, form)
    literal = unicodedata.normalize("NFC", search.text)
    return lambda text: _literal_spans(text, literal)


def _word_spans(text: str, phrases: Sequence[Phrase]) -> list[Span]:
    if not phrases:
        return []
    found = aligned_words(text)
    places: dict[str, list[int]] = {}
    for place, (word, _) in enumerate(found):
        places.setdefault(word, []).append(place)
    spans = []
    for phrase in phrases:
        first, *others = phrase.words
        starts = places.get(first, []) if others or not phrase.is_prefix else _begun(places, first)
        for start in starts:
            end = start + len(phrase.words)
            if end <= len(found) and _stands(phrase, [word for word, _ in found[start:end]]):
                spans.append((found[start][1][0], found[end - 1][1][1]))
    return spans


def _begun(places: dict[str, list[int]], beginning: str) -> list[int]:
    return sorted(place for word, own in places.items() if word.startswith(beginning) for place in own)


def _stands(phrase: Phrase, words: list[str]) -> bool:
    *first, last = phrase.words
    is_last = words[-1].startswith(last) if phrase.is_prefix else words[-1] == last
    return is_last and words[:-1] == first


def _form_spans(text: str, form: str) -> list[Span]:
    if form not in comparable(text):
        return []
    found = aligned(text)
    return [found.original(span) for span in _occurrences(found.form, form)]


def _literal_spans(text: str, literal: str) -> list[Span]:
    found = aligned_nfc(text)
    return [found.original(span) for span in _occurrences(found.form, literal)] if literal else []


def _occurrences(text: str, wanted: str) -> list[Span]:
    return [match.span() for match in re.finditer(re.escape(wanted), text)]


def _regex_spans(pattern: str, texts: Sequence[str]) -> list[list[Span]]:
    forms = [aligned_nfc(text) for text in texts]
    opening, closing = _unused_characters([found.form for found in forms])
    marked = _marked(unicodedata.normalize("NFC", pattern), opening + "\\0" + closing, [one.form for one in forms])
    return [
        _apart([found.original(span) for span in _between_marks(text, opening, closing)])
        for found, text in zip(forms, marked, strict=True)
    ]


def _marked(pattern: str, replacement: str, texts: list[str]) -> list[str]:
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as own:
        with stop_after(TIME_LIMIT_S, own.interrupt) as is_late:
            try:
                sql = "SELECT list_transform(?::VARCHAR[], lambda t: regexp_replace(t, ?, ?, 'g'))"
                return own.execute(sql, [texts, pattern, replacement]).fetchall()[0][0]
            except duckdb.Error as error:
                if is_late.is_set():
                    raise too_slow(TIME_LIMIT_S) from error
                cause = str(error).partition(": ")[2]
                raise QueryError(f"{pattern!r} is not a regular expression ({cause}): correct it.") from error


def _between_marks(marked: str, opening: str, closing: str) -> list[Span]:
    before, *hits = marked.split(opening)
    place, spans = len(before), []
    for hit in hits:
        inside, _, after = hit.partition(closing)
        if inside:
            spans.append((place, place + len(inside)))
        place += len(inside) + len(after)
    return spans


def _unused_characters(texts: Sequence[str]) -> tuple[str, str]:
    """Two characters that no text holds, to mark hits with."""
    unused = (mark for mark in map(chr, range(0xE000, 0xF900)) if not any(mark in text for text in texts))
    opening, closing = islice(unused, 2)
    return opening, closing


def _apart(spans: Sequence[Span]) -> list[Span]:
    """The spans in order, those that overlap made one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _first_spans(text: str, find: Callable[[str], list[Span]]) -> list[Span]:
    """What is found in a text, or in the first block of a long one in which something is."""
    for start in range(0, max(1, len(text)), BLOCK):
        found = find(text[max(0, start - MAX_TYPED) : start + BLOCK])
        if found:
            return _apart(
                [(first + max(0, start - MAX_TYPED), last + max(0, start - MAX_TYPED)) for first, last in found]
            )
    return []


def _best(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> Snippet:
    """The passage with most hits, of all columns of an example."""
    passages = [
        (sum(start <= first and last <= start + PASSAGE - BEFORE for first, last in found), -column, -start)
        for column, found in enumerate(spans)
        for start, _ in found
    ]
    if not passages:
        return _plain_snippet(texts)
    _, column, first = max(passages)
    return _passage(texts[-column], spans[-column], -first)


def _passage(text: str, spans: Sequence[Span], first: int) -> Snippet:
    start = max(0, first - BEFORE)
    if start:
        start = next((place + 1 for place in range(start, first) if text[place].isspace()), start)
    end = max(start + PASSAGE, next(last for begin, last in spans if begin == first))
    shown = [(begin, last) for begin, last in spans if start <= begin and last <= end]
    before, after = ELLIPSIS if start else "", ELLIPSIS if end < len(text) else ""
    moved = tuple((begin - start + len(before), last - start + len(before)) for begin, last in shown)
    return Snippet(before + text[start:end] + after, moved)


def _plain_snippet(columns: Sequence[str]) -> Snippet:
    text = next((text for text in columns if text.strip()), "")
    return Snippet(text if len(text) <= PASSAGE else text[:PASSAGE] + ELLIPSIS, ())
