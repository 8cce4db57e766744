"""The one form in which texts are compared: by searches, ``contains``, duplicates and highlights.

**comparable** is Unicode's compatibility caseless form: NFKC, full case folding, NFKC again, without
characters that show nothing (soft hyphens, joiners, variation selectors, direction marks). So é is
found however it is stored, ß is ss, ς is σ, İ is i, and ﬁ, Ａ and ｶ are fi, a and カ. Compatibility and
not only canonical equality, because full-width letters and half-width kana are the same to who reads;
who looks for exactly ² or a no-break space writes a regular expression, which sees NFC.

**Words** are runs of letters, digits and their marks in that form. A mark that changes a letter into
another one belongs to the word: vowel signs and viramas of Indic scripts, Thai tones, the breve of й.
Accents of Latin and Greek, the dots of ё, stress marks, Arabic harakat and Hebrew points do not: people
leave them out when they write, so words are compared without. Where a script sets no spaces between
words (Han, kana, Thai, Lao, Khmer, Burmese, …) every character with its marks is a word of its own,
and what is typed is a phrase of them.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

Span = tuple[int, int]
"""First character, and the one behind the last."""

IGNORED = (
    "\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point, as the inside of a character class."""

_IGNORED = re.compile(f"[{IGNORED}]+")
_ASCII_WORD = re.compile("[a-z0-9]+")

SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u2fdf\u3005-\u3007"
    "\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u30fa\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
"""Scripts without spaces between words, as the inside of a character class: Thai, Lao, Burmese, Khmer, Tai,
Balinese, Javanese, Han, kana, bopomofo, Yi. (Tibetan marks its syllables, Korean sets spaces.)"""

_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_LAST_LETTER = 0x1FFFF
"""Behind it are only ideographs, ignored and private characters."""

_ACCENTED = ("\u00c0-\u024f", "\u0374-\u03ff", "\u1e00-\u1fff", "\u0450-\u0451", "\u040d\u045d", "\u04d6-\u04d7")
_STROKES = {"ł": "l", "đ": "d", "ø": "o", "ħ": "h", "ŧ": "t", "ı": "i"}
_UNWRITTEN = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"  # accents that no letter took
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew points
    "\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4"
    "\u06e7\u06e8\u06ea-\u06ed"  # the last two: harakat
)
_APOSTROPHES = "\u02bb\u02bc"
"""Letters to Unicode; п'ять and пʼять are one word."""


def comparable(text: str, *, keeps_ignored: bool = False) -> str:
    """The form in which texts are compared; texts that look and read the same have the same."""
    if text.isascii():
        return text.lower()
    shown = text if keeps_ignored else _IGNORED.sub("", text)
    folded = unicodedata.normalize("NFKC", shown).casefold().replace("i\u0307", "i")
    return unicodedata.normalize("NFKC", folded)


def words_of(text: str) -> list[str]:
    """The words of a text, in order."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return [plain for word in _word_pattern().findall(comparable(text)) if (plain := _plain(word))]


def spaced_words(text: str) -> str:
    """The words of a text with spaces between; what has only ASCII stays, for a tokenizer of ASCII to cut."""
    return text if text.isascii() else " ".join(words_of(text))


def set_apart(form: str) -> str:
    """A comparable form with spaces around every character of a script without spaces."""
    return form if form.isascii() else _spaceless_pattern().sub(r" \g<0> ", form)


class Aligned(NamedTuple):
    """A text in another form, and where each of its characters stands in the original."""

    form: str
    """The other form."""

    starts: Sequence[int]
    """For each character of the form, the first character of the original that it came from."""

    ends: Sequence[int]
    """For each character of the form, the place behind the last one that it came from."""

    def original(self, span: Span) -> Span:
        """Where a part of the form stands in the original text."""
        start, end = span
        return self.starts[start], max(self.ends[start:end])


def aligned(text: str) -> Aligned:
    """The comparable form, character by character beside the original."""
    return _aligned(text, comparable)


def aligned_nfc(text: str) -> Aligned:
    """The text in Unicode's NFC, beside the original."""
    return _aligned(text, lambda part: unicodedata.normalize("NFC", part))


def aligned_words(text: str) -> list[tuple[str, Span]]:
    """The words of a text, as the full-text index holds them, each with its place in the original."""
    if text.isascii():
        return [(match.group(), match.span()) for match in _ASCII_WORD.finditer(text.lower())]
    found = aligned(text)
    return [
        (plain, found.original(match.span()))
        for match in _word_pattern().finditer(found.form)
        if (plain := _plain(match.group()))
    ]


@lru_cache(maxsize=1 << 16)
def _plain(word: str) -> str:
    """A word of a comparable form without what words are compared without."""
    return word if word.isascii() else word.translate(_without_accents())


def _aligned(text: str, form_of: Callable[[str], str]) -> Aligned:
    if text.isascii():
        places = range(len(text) + 1)
        return Aligned(form_of(text), places[:-1], places[1:])
    forms: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _cluster_pattern().finditer(text):
        whole, single = form_of(match.group()), [form_of(character) for character in match.group()]
        if "".join(single) == whole:
            sizes = [len(one) for one in single]
            places = [match.start() + place for place, size in enumerate(sizes) for _ in range(size)]
            starts += places
            ends += [place + 1 for place in places]
        else:  # its marks were composed with the letter
            starts += [match.start()] * len(whole)
            ends += [match.end()] * len(whole)
        forms.append(whole)
    return Aligned("".join(forms), starts, ends)


@cache
def _cluster_pattern() -> re.Pattern[str]:
    """A character and what may be composed with it: marks, ignored ones, and the jamo of a Hangul syllable."""
    tail = f"{class_of(_marks())}{IGNORED}\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc"
    return re.compile(f".[{tail}]*", re.DOTALL)


@cache
def _spaceless_pattern() -> re.Pattern[str]:
    near, far = _near_and_far(set(_codes_of(SPACELESS)))
    return re.compile(f"(?:{near}|{_IS_FAR}{far}){_near_and_far(_marks())[0]}*")


@cache
def _word_pattern() -> re.Pattern[str]:
    """A word of a comparable form: a spaceless character with its marks, or a run of letters, digits and marks."""
    spaceless = set(_codes_of(SPACELESS))
    letters = {code for code in range(_LAST_LETTER + 1) if chr(code).isalnum() and code not in spaceless}
    in_words = {*letters, *_marks(), *_codes_of(_PRIVATE)} - set(map(ord, _APOSTROPHES))
    near, far = _near_and_far(in_words)
    run = f"{near}+(?:{_IS_FAR}{far}+{near}*)*|{_IS_FAR}{far}+(?:{near}+(?:{_IS_FAR}{far}+)?)*"
    return re.compile(f"{_spaceless_pattern().pattern}|{run}")


_IS_FAR = "(?=[\U00010000-\U0010ffff])"


def _near_and_far(codes: Iterable[int]) -> tuple[str, str]:
    """Classes of the characters up to U+FFFF and of those behind: in one class, both would take ten times as long."""
    ordered = sorted(codes)
    place = bisect_left(ordered, 0x10000)
    return f"[{class_of(ordered[:place])}]", f"[{class_of(ordered[place:])}]"


@cache
def _marks() -> list[int]:
    return [code for code in range(_LAST_LETTER + 1) if unicodedata.category(chr(code)).startswith("M")]


@cache
def _without_accents() -> dict[int, str | None]:
    """For each character of a comparable form that words are compared without, what it becomes."""
    table: dict[int, str | None] = {code: None for code in _codes_of(_UNWRITTEN)}
    for code in (code for inside in _ACCENTED for code in _codes_of(inside)):
        base = unicodedata.normalize("NFD", chr(code)).translate(table)
        if base != chr(code):
            table[code] = base
    return table | {ord(letter): base for letter, base in _STROKES.items()}


def _codes_of(inside: str) -> list[int]:
    """The code points of the inside of a character class."""
    ranges = re.findall("(.)-(.)|(.)", inside, re.DOTALL)
    return [code for first, last, one in ranges for code in range(ord(first or one), ord(last or one) + 1)]


def class_of(codes: Iterable[int]) -> str:
    """Ascending code points as the inside of a character class, for Python and for RE2."""
    groups: list[list[int]] = []
    for code in codes:
        if groups and groups[-1][1] == code - 1:
            groups[-1][1] = code
        else:
            groups.append([code, code])
    ends = [(_literal(first), _literal(last)) for first, last in groups]
    return "".join(first if first == last else f"{first}-{last}" for first, last in ends)


def _literal(code: int) -> str:
    character = chr(code)
    return f"\\{character}" if code < 0x80 and not character.isalnum() else character
