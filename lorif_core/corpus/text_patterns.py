r"""What a person typed, as regular expressions that DuckDB searches texts with; see ``normalising``.

Folding a million texts takes 4 to 9 s, in DuckDB and in Python; searching them for a pattern takes 1 s. So
``contains`` folds what was typed only, and looks in the texts as they are for everything that becomes it:

    straße  →  [sSｓſ…][tT…][rR…][aA…](?:[ßẞ]|[sS…][sS…])[eE…]

where [sSｓſ…] are all characters whose comparable form is s, ß stands for the two that it becomes, and ignored
characters may stand anywhere between. Two patterns do it: a loose one, which lets any marks stand behind a
letter that takes some, finds the few texts that are brought into NFC and searched for the exact one.

What this misses of the definition (``comparable(typed) in comparable(text)``): a mark behind a ligature (ﬁ and an
acute, which Unicode composes to fí); and in a stretch of more than ``LONGEST_CHAIN`` characters that overlapping
ligatures could stand for, such as ssssssssssssss, a ligature right at its seam.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from itertools import accumulate, pairwise, permutations
from typing import NamedTuple

from lorif_core.corpus.normalising import IGNORED, class_of, comparable

LONGEST_CHAIN = 12
"""Characters of a stretch within which every mix of characters and ligatures is looked for."""

FAST_PATTERN = 12_000
"""Characters of a pattern for which RE2 has memory enough to be fast in every text."""

_FOLDED = (
    *range(0x3400), *range(0xA640, 0xAC00), *range(0xF900, 0x11A00), *range(0x16000, 0x17000),
    *range(0x1D000, 0x20000), *range(0x2F800, 0x2FA20),
)  # fmt: skip
"""Where all characters lie that have another form, or take marks; but for Hangul, whose rule is arithmetic."""

_GAP = f"[{IGNORED}]*"
_COMMON_MARKS = "\u0300-\u036f\u1161-\u11ff\uff9e\uff9f"
"""Accents, vowels and ends of Hangul syllables, and marks of half-width kana."""

_DOT = "\u0307"
"""What full case folding leaves of the dot of İ, and ``comparable`` takes away behind an i."""

_NOT_NFC = (
    # Marks that letters take, and characters that NFC replaces.
    "[\u0300-\u036f\u0374\u037e\u0387\u0653-\u0655\u0958-\u095f\u09dc-\u09df\u0a33-\u0a5e\u0b5c\u0b5d\u0f43-\u0fb9"
    "\u1161-\u1175\u11a8-\u11c2\u1b35\u1f71-\u1fff\u2000\u2001\u2126\u212a\u212b\u2329\u232a\u2adc\u3099\u309a"
    "\uf900-\ufad9\ufb1d-\ufb4e\U000110ba\U00011127\U0001133e\U00011357\U000114b0-\U000114bd\U000115af\U00011930"
    "\U0001d15e-\U0001d1c0\U0002f800-\U0002fa1d]"
    # Vowel signs, which few letters take and many texts hold.
    "|[\u0928\u0930\u0933]\u093c|[\u09c7\u0b47\u0b92\u0bc6\u0bc7\u0c46\u0cbf\u0cc6\u0cca\u0d46\u0d47\u0dd9\u0ddc\u1025]"
    "[\u09be\u09d7\u0b3e\u0b56\u0b57\u0bbe\u0bd7\u0c56\u0cc2\u0cd5\u0cd6\u0d3e\u0d57\u0dca\u0dcf\u0ddf\u102e]"
)
"""Found in every text that is not in NFC but for the order of its marks, and in few others."""


_MISORDERED = (
    ((200, 240), (1, 199)), ((219, 240), (200, 218)), ((225, 240), (219, 224)), ((231, 240), (225, 230)),
    ((10, 199), (1, 9)), ((8, 9), (1, 8)), ((10, 26), (10, 26)), ((27, 36), (27, 36)), ((91, 91), (84, 84)),
    ((107, 107), (103, 103)), ((122, 122), (118, 118)), ((129, 132), (129, 132)),
)  # fmt: skip
"""Combining classes, from and to, of two marks whose order is not NFC's, or may not be."""


def _misordered() -> str:
    """Finds two marks that NFC may put in another order; those below U+0370 are among ``_NOT_NFC``."""
    classes = [(code, unicodedata.combining(chr(code))) for code in range(0x370, 0x1EA00)]
    marks = [(code, order) for code, order in classes if order]
    pairs = (
        "".join(f"[{class_of(code for code, order in marks if low <= order <= high)}]" for low, high in pair)
        for pair in _MISORDERED
    )
    return "|".join(pairs)


@lru_cache(maxsize=1)
def _needs_nfc() -> str:
    """Finds every text that is not in NFC, and few others; made when it is first wanted, from 126,000 characters."""
    return f"{_NOT_NFC}|{_misordered()}"


def nfc_sql(expression: str) -> str:
    """SQL of a text in Unicode's NFC; most texts are, and bringing them into it would take ten times as long."""
    needs_it = f"regexp_matches({expression}, '{_needs_nfc()}')"
    return f"(CASE WHEN {needs_it} THEN nfc_normalize({expression}) ELSE {expression} END)"


def contains_sql(expression: str) -> str:
    """SQL that is true of a text that contains what was typed; its two ``?`` are ``contains_patterns``."""
    is_likely = f"coalesce(regexp_matches({expression}, ?), false)"
    return f"(CASE WHEN {is_likely} THEN regexp_matches({nfc_sql(expression)}, ?) ELSE false END)"


def matches_sql(expression: str) -> str:
    """SQL that is true of a text that a regular expression matches; its ``?`` is the expression in NFC."""
    return f"coalesce(regexp_matches({nfc_sql(expression)}, ?), false)"


def typed_pattern(typed: str) -> str:
    """A regular expression that a person typed, in NFC as the texts that it is looked for in."""
    return unicodedata.normalize("NFC", typed)


class ContainsPatterns(NamedTuple):
    """Regular expressions (RE2) of texts that contain something."""

    loose: str
    """Matches all of them and few others, in whatever form they are; of the beginning of what was typed."""

    exact: str
    """Matches them in NFC and no others."""


@lru_cache(maxsize=64)
def contains_patterns(typed: str) -> ContainsPatterns:
    """The regular expressions of texts whose comparable form contains that of what was typed.

    What folds to nothing but spaces, such as a soft hyphen or a no-break space, is looked for as it stands.
    """
    form = comparable(typed)
    if not form.strip():
        return ContainsPatterns("", "".join(map(_one_of, unicodedata.normalize("NFC", typed))))
    edges = _edges(form)
    seams = _seams(len(form), edges)
    loose, exact = _ways(form, edges, _loose_unit, lambda place: ""), _ways(form, edges, _unit, lambda place: _GAP)
    beginning = [loose(start, end) for start, end in pairwise(seams)]
    num_fast = max(1, sum(size <= FAST_PATTERN for size in accumulate(map(len, beginning))))
    middle = _GAP.join(exact(start, end) for start, end in pairwise(seams))
    return ContainsPatterns("".join(beginning[:num_fast]), _not_behind(form[0]) + middle + _not_before(form[-1]))


def _not_before(last: str) -> str:
    """Keeps a letter from being found where a mark behind it makes another one of it."""
    taken = "".join(_characters_of()[mark] for mark in _marks_taken()[last])
    return f"{_GAP}(?:\\z|[^{_class(taken)}{IGNORED}])" if taken else ""


def _not_behind(first: str) -> str:
    """Keeps a mark from being found where the letter before takes it."""
    takers = "".join(_characters_of()[letter] for letter in _takers()[first])
    return f"(?:\\A|[^{_class(takers)}{IGNORED}]){_GAP}" if takers else ""


Edges = dict[tuple[int, int], str]
"""Parts of a form, from and to, and the single characters that stand for all of a part."""


def _edges(form: str) -> Edges:
    """The characters that stand for several of the form, or for its start or end and more."""
    known = _expansions()
    longest = max(map(len, known))
    found: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for start in range(len(form)):
        for end in range(start + 2, min(len(form), start + longest) + 1):
            found[start, end].update(known.get(form[start:end], ""))
    for expansion, characters in known.items():
        if form in expansion:
            found[0, len(form)].update(characters)
        for size in range(1, min(len(expansion), len(form))):
            if form.startswith(expansion[-size:]):
                found[0, size].update(characters)
            if form.endswith(expansion[:size]):
                found[len(form) - size, len(form)].update(characters)
    return {part: "".join(sorted(characters)) for part, characters in found.items() if characters}


def _seams(length: int, edges: Edges) -> list[int]:
    """Start, end, and the places between that no edge crosses; a long chain of edges is cut."""
    crossed = {place for first, last in edges for place in range(first + 1, last)}
    seams = [0]
    for place in range(1, length + 1):
        if place not in crossed or place - seams[-1] == LONGEST_CHAIN:
            seams.append(place)
    return seams


def _ways(
    form: str, edges: Edges, unit: Callable[[str, str, str], str], gap: Callable[[int], str]
) -> Callable[[int, int], str]:
    """A function that gives, for a part of the form, the pattern of all that stands for it.

    Args:
        form: What is looked for.
        edges: Characters that stand for several of it.
        unit: Pattern of one character: it, the characters that stand for it and more, the character behind it.
        gap: What may stand before a place.
    """

    @cache
    def between(start: int, end: int) -> str:
        if end - start == 1:
            return unit(form[start], edges.get((start, end), ""), form[end : end + 1])
        middle = (start + end) // 2
        ways = [between(start, middle) + gap(middle) + between(middle, end)]
        for (first, last), characters in edges.items():
            if start <= first < middle < last <= end:
                before = between(start, first) + gap(first) if first > start else ""
                after = gap(last) + between(last, end) if last < end else ""
                inner = _any_marks("e") if unit is _loose_unit else ""
                ways.append(f"{before}[{_class(characters)}]{inner}{after}")
        return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"

    return between


@lru_cache(maxsize=1024)
def _unit(letter: str, others: str, following: str) -> str:
    """What stands for one character of a form in a text in NFC, ``others`` among it."""
    ways = [f"[{_class(_characters_of()[letter] + others)}]"]
    for head, marks in sorted(_split_ways(letter)):
        ways.append(_GAP.join(f"[{_class(_characters_of()[one])}]" for one in (head, *marks)))
    dot = f"(?:{_GAP}{_DOT})?" if letter == "i" else ""
    return (ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})") + dot


@lru_cache(maxsize=1024)
def _loose_unit(letter: str, others: str, following: str) -> str:
    """What stands for one character of a form, with what may follow it; of a mark nothing but what may follow."""
    if unicodedata.category(letter).startswith("M"):
        return _any_marks(letter)
    heads = {letter, *(head for head, _ in _split_ways(letter))}
    takes_marks = len(heads) > 1 or letter == "i" or unicodedata.category(following or " ").startswith("M")
    if takes_marks:
        heads.update(_based_on()[_base(letter)])
    characters = "".join(_characters_of()[head] for head in heads) + others
    return f"[{_class(characters)}]{_any_marks(letter) if takes_marks else _GAP}"


@lru_cache(maxsize=1024)
def _any_marks(letter: str) -> str:
    """Any marks of the scripts around a character; those of others are not mixed with them."""
    first = ord(letter) & ~0xFF
    own = [code for code in range(first, first + 0x100) if unicodedata.category(chr(code)).startswith("M")]
    return f"[{_COMMON_MARKS}{IGNORED}{class_of(own)}]*"


def _split_ways(letter: str) -> set[tuple[str, str]]:
    """(letter, marks) that NFC makes this letter of, in every order of the marks."""
    base, *marks = unicodedata.normalize("NFD", letter)
    ways = set()
    for order in permutations(marks):
        for size in range(len(marks)):
            head = unicodedata.normalize("NFC", base + "".join(order[:size]))
            tail = "".join(order[size:])
            if len(head) == 1 and unicodedata.normalize("NFC", head + tail) == letter:
                ways.add((head, tail))
    return ways


def _base(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0]


@cache
def _forms() -> list[tuple[str, str]]:
    """(character, comparable form) of every character whose form is another one."""
    characters = [character for character in map(chr, _FOLDED) if character != "\n"]
    forms = comparable("\n".join(characters), keeps_ignored=True).split("\n")
    return [pair for pair in zip(characters, forms, strict=True) if pair[0] != pair[1]]


class _Characters(dict[str, str]):
    """Character of a form → all characters that become it; those that are not named only become themselves."""

    def __missing__(self, letter: str) -> str:
        return letter


@cache
def _characters_of() -> _Characters:
    found = _Characters()
    for character, form in _forms():
        if len(form) == 1:
            found[form] = found[form] + character
    return found


@cache
def _expansions() -> dict[str, str]:
    """Form of several characters → the single characters that become it."""
    found: defaultdict[str, str] = defaultdict(str)
    for character, form in _forms():
        if len(form) > 1:
            found[form] += character
    return dict(found)


@cache
def _based_on() -> defaultdict[str, set[str]]:
    """Letter → the letters of comparable forms that are it with marks."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for letter in map(chr, _FOLDED):
        if (base := _base(letter)) != letter:
            found[base].add(letter)
    return found


@cache
def _marks_taken() -> defaultdict[str, set[str]]:
    """Letter of a form → the marks that NFC makes another letter of it with."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for parts in (unicodedata.decomposition(chr(code)).split() for code in _FOLDED):
        if len(parts) == 2 and not parts[0].startswith("<"):
            letter, mark = (comparable(chr(int(part, 16))) for part in parts)
            if letter + mark != "i" + _DOT and len(letter) == len(mark) == len(comparable(letter + mark)) == 1:
                found[letter].add(mark)
    vowels, tails = set(map(chr, range(0x1161, 0x1176))), set(map(chr, range(0x11A8, 0x11C3)))
    found.update({chr(code): vowels for code in range(0x1100, 0x1113)})
    found.update({chr(code): tails for code in range(0xAC00, 0xD7A4, 28)})
    return found


@cache
def _takers() -> defaultdict[str, set[str]]:
    """Mark → the letters that take it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for letter, marks in _marks_taken().items():
        for mark in marks:
            found[mark].add(letter)
    return found


def _one_of(character: str) -> str:
    return f"[{_class(character)}]"


@lru_cache(maxsize=1024)
def _class(characters: Iterable[str]) -> str:
    """The inside of a character class."""
    return class_of(sorted(set(map(ord, characters))))
