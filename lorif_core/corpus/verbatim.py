"""The longest spans of what a model said that stand word for word in a text.

Words are those of ``normalising``: without case and accents, and without what stands between them, so that other
white space, line breaks and punctuation change nothing; in scripts without spaces every character is one. A span is a
run of words that the answer and the text both have in this order with no other word between, and that the text cannot
have longer.

What was said becomes a suffix automaton of its words (Blumer et al. 1985): one walk over a text of n words then finds
at each word the longest stretch that ends there and was said, in O(n) steps however long the answer is. A stretch is
reported where the next word does not lengthen it. The automaton also tells where the answer has it first.

**What counts.** A span of a few words stands in any two texts of a language, so one counts from ``MIN_WORDS`` words
and ``MIN_CHARACTERS`` characters on, or from ``MANY_CHARACTERS`` however few the words are (a hash, an address, a
line of code), and never if all its words are among the commonest of English. Spaces between words are counted; a
character of a script without spaces is half a word and two characters, about what it says. All that was said counts
however short it is. A longer span with one that counts inside counts itself, so a text holds a span that counts
exactly if it holds one of ``Wording.windows``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from lorif_core.corpus.normalising import SPACELESS, aligned_words, words_of

MIN_WORDS = 5
MIN_CHARACTERS = 24
MANY_CHARACTERS = 40

MAX_SPANS = 32
"""Spans of a text that are told, the longest ones; boilerplate may stand in a text thousands of times."""

COMMON = frozenset(
    "a about all also an and any are as at be been but by can could did do does for from had has have he her him his "
    "how i if in into is it its just like may me more most my no not of on one only or other our out s she should so "
    "some such t than that the their them then there these they this those to too up us was we were what when where "
    "which who will with would yes you your".split()
)
"""The commonest words of English, as ``words_of`` gives them: a span of nothing else says nothing."""

_SPACELESS = re.compile(f"[{SPACELESS}]")


@dataclass(frozen=True)
class VerbatimSpan:
    """A stretch that the answer and a text share word for word."""

    words: int
    """How many words it has."""

    start: int
    """Its first character in the text."""

    stop: int
    """The one behind its last."""

    said_start: int
    """Its first character in the answer, where it stands there first."""

    said_stop: int
    """The one behind its last."""

    part: str = ""
    """Which part of the example it stands in, such as ``completion`` or ``turn 2 (assistant)``."""


class Wording:
    """What was said, ready to be looked for in texts."""

    def __init__(self, said: str) -> None:
        """Take it apart into words.

        Args:
            said: An answer, or any text.
        """
        found = aligned_words(said)
        self.words: list[str] = [word for word, _ in found]
        """As they are compared."""

        self._places = [place for _, place in found]
        self._automaton = _Automaton(self.words)
        lengths = [_size_of(word) for word in self.words]
        self._halves = list(accumulate((halves for halves, _ in lengths), initial=0))
        self._characters = list(accumulate((characters for _, characters in lengths), initial=0))
        self._uncommon = list(accumulate((word not in COMMON for word in self.words), initial=0))

    def counts(self, first: int, behind: int) -> bool:
        """Whether the words from ``first`` to before ``behind`` are worth telling, see the module."""
        if self._uncommon[behind] == self._uncommon[first]:
            return False
        if behind - first == len(self.words):
            return True
        characters = self._characters[behind] - self._characters[first] - 1
        is_long = self._halves[behind] - self._halves[first] >= 2 * MIN_WORDS and characters >= MIN_CHARACTERS
        return is_long or characters >= MANY_CHARACTERS

    def windows(self) -> list[tuple[int, int]]:
        """The shortest stretches that count, first word and the one behind the last; none lies in another one."""
        found: list[tuple[int, int]] = []
        behind, total = 0, len(self.words)
        for first in range(total):
            behind = max(behind, first + 1)
            while behind <= total and not self.counts(first, behind):
                behind += 1
            if behind > total:
                break
            has_shorter = behind - first > 1 and self.counts(first + 1, behind)
            if not has_shorter:
                found.append((first, behind))
        return found

    def spans_in(self, text: str) -> list[VerbatimSpan]:
        """Every span that counts, in the order of the text; none lies in another one."""
        if not self.words:
            return []
        if text.isascii():
            found = aligned_words(text)
            runs = self._runs([word for word, _ in found])
        else:  # where each word stands is found out only if it is needed: that takes several times as long
            runs = self._runs(words_of(text))
            found = aligned_words(text) if runs else []
        return [
            VerbatimSpan(
                words=length,
                start=found[last - length + 1][1][0],
                stop=found[last][1][1],
                said_start=self._places[said_last - length + 1][0],
                said_stop=self._places[said_last][1],
            )
            for last, length, said_last in runs
        ]

    def _runs(self, words: Sequence[str]) -> list[tuple[int, int, int]]:
        """Last word in the text, number of words, last word in the answer, of every span that counts."""
        return [
            (last, length, said_last)
            for last, length, said_last in self._automaton.runs(words)
            if self.counts(said_last - length + 1, said_last + 1)
        ]


def longest_first(spans: Sequence[VerbatimSpan]) -> list[VerbatimSpan]:
    """The spans by their number of words, then characters, then place."""
    return sorted(spans, key=lambda one: (-one.words, one.start - one.stop, one.start))


def _size_of(word: str) -> tuple[int, int]:
    """Half words, and characters with the space behind."""
    return (1, 2) if _SPACELESS.match(word) else (2, len(word) + 1)


class _Automaton:
    """The smallest automaton that reads every stretch of a list of words, built word by word.

    A state stands for stretches that end at the same places: the longest has ``_lengths`` words, and the first of the
    places is ``_firsts``. ``_links`` leads to the state of the longest stretch of its ends that stands elsewhere too.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._links = [-1]
        self._lengths = [0]
        self._firsts = [-1]
        last = 0
        for place, word in enumerate(words):
            last = self._extended(last, word, place)

    def runs(self, words: Sequence[str]) -> list[tuple[int, int, int]]:
        """Last word, number of words, last word in what was read, of each longest stretch that both have."""
        found: list[tuple[int, int, int]] = []
        state = length = 0
        for place, word in enumerate(words):
            before = state, length
            while state and word not in self._next[state]:
                state = self._links[state]
                length = self._lengths[state]
            if (after := self._next[state].get(word)) is None:
                length = 0
            else:
                state, length = after, length + 1
            if before[1] and length <= before[1]:
                found.append((place - 1, before[1], self._firsts[before[0]]))
        if length:
            found.append((len(words) - 1, length, self._firsts[state]))
        return found

    def _extended(self, last: int, word: str, place: int) -> int:
        state = self._added({}, self._lengths[last] + 1, place)
        while last >= 0 and word not in self._next[last]:
            self._next[last][word] = state
            last = self._links[last]
        if last < 0:
            self._links[state] = 0
            return state
        after = self._next[last][word]
        if self._lengths[after] == self._lengths[last] + 1:
            self._links[state] = after
            return state
        copy = self._added(dict(self._next[after]), self._lengths[last] + 1, self._firsts[after])
        self._links[copy] = self._links[after]
        self._links[after] = self._links[state] = copy
        while last >= 0 and self._next[last].get(word) == after:
            self._next[last][word] = copy
            last = self._links[last]
        return state

    def _added(self, after: dict[str, int], length: int, first: int) -> int:
        self._next.append(after)
        self._links.append(-1)
        self._lengths.append(length)
        self._firsts.append(first)
        return len(self._next) - 1
