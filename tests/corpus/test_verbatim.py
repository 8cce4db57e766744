"""What stands word for word: the automaton against all stretches by brute force, and what counts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.corpus.normalising import words_of
from lorif_core.corpus.verbatim import MIN_WORDS, VerbatimSpan, Wording, _Automaton, longest_first

small = st.lists(st.sampled_from("abc"), max_size=14)
long_words = ["harbour", "lantern", "the", "of", "crossing", "silver", "and"]
sentences = st.lists(st.sampled_from(long_words), max_size=40)


def all_runs(text, said):
    """Every common stretch that the text cannot have longer, by comparing all with all."""
    stretches = {tuple(said[a:b]) for a in range(len(said)) for b in range(a + 1, len(said) + 1)}
    common = [(a, b) for a in range(len(text)) for b in range(a + 1, len(text) + 1) if tuple(text[a:b]) in stretches]
    return [one for one in common if not any(a <= one[0] and one[1] <= b and (a, b) != one for a, b in common)]


def first_place(said, words):
    return next(a for a in range(len(said)) if said[a : a + len(words)] == words)


@given(text=small, said=small)
def test_the_automaton_finds_the_longest_common_stretches_and_where_the_answer_has_them_first(text, said):
    expected = [(b - 1, b - a, first_place(said, text[a:b]) + b - a - 1) for a, b in all_runs(text, said)]
    assert _Automaton(said).runs(text) == expected


@given(text=sentences, said=sentences)
def test_spans_are_those_of_brute_force_that_count(text, said):
    common = {"the", "of", "and"}

    def counts(words):
        size = len(" ".join(words))
        whole = words == said
        return not set(words) <= common and (whole or size >= 40 or (size >= 24 and len(words) >= 5))

    expected = [" ".join(text[a:b]) for a, b in all_runs(text, said) if counts(text[a:b])]
    written = " ".join(text)
    assert [written[one.start : one.stop] for one in Wording(" ".join(said)).spans_in(written)] == expected


@given(text=sentences, said=sentences)
def test_a_text_has_a_span_that_counts_exactly_if_it_has_a_window(text, said):
    wording, written = Wording(" ".join(said)), " ".join(text)
    windows = wording.windows()
    has_window = any(text[at : at + b - a] == said[a:b] for a, b in windows for at in range(len(text)))
    assert has_window == bool(wording.spans_in(written))
    assert not any(a <= c and d <= b and (a, b) != (c, d) for a, b in windows for c, d in windows)


SAID = "The old lighthouse keeper counted seven ships that night."
SHA = "4f3c9a7be21d0c55aa10f09b77e4d2c61b3e8f0011"


@pytest.mark.parametrize(
    ("said", "marked"),
    [
        (SAID, "Then «the OLD  lighthouse\nkeeper, counted seven: ships»!"),
        (SAID, "the old lighthouse keeper slept"),  # four words
        (SAID, "seven ships that night. «The old lighthouse keeper counted»"),
        ("It is one of the most of all that there is", "it is one of the most of all that there is"),
        (" Lyon.", "Paris, not «LYON», is"),  # all that was said
        ("Yes", "yes and no"),
        (f"sha {SHA}", f"see «{SHA.upper()}»."),
        ("def add(left, right):\n    return left + right", "    «def add(left,right):\n\treturn left+right» # sum"),
        ("巴黎是法国的首都也是最大的城市", "他说«巴黎是法国的首都，也是最大的城市»。"),
        ("巴黎是法国的首都也是最大的城市", "他说巴黎是法国的人"),  # seven characters are too few
        ("Le café près de la gare Saint-Lazare", "«le cafe\u0301 pres de la gare SAINT-LAZARE»"),
        ("", "anything at all"),
        (" .", ". . ."),
    ],
)
def test_spans_are_told_as_the_text_writes_them(said, marked):
    text = marked.replace("«", "").replace("»", "")
    found = re.findall("«(.*?)»", marked, re.DOTALL)
    assert [text[one.start : one.stop] for one in Wording(said).spans_in(text)] == found


def test_a_span_says_where_the_answer_has_it():
    (span,) = Wording(f"Well: {SAID}").spans_in(f"He wrote: {SAID.lower()}")
    assert f"Well: {SAID}"[span.said_start : span.said_stop] == SAID.rstrip(".")
    assert span.words == len(words_of(SAID)) > MIN_WORDS


def test_the_longest_span_comes_first_then_the_first():
    spans = [VerbatimSpan(5, 0, 30, 0, 30), VerbatimSpan(7, 40, 80, 0, 40), VerbatimSpan(5, 90, 120, 0, 30)]
    assert [one.start for one in longest_first(spans)] == [40, 0, 90]


def test_the_automaton_of_a_long_answer_has_at_most_two_states_per_word():
    said = " ".join(f"w{number % 977}x{number % 13}" for number in range(20_000))
    wording = Wording(said)
    assert len(wording._automaton._next) <= 2 * len(wording.words)
    (span,) = wording.spans_in(said)
    assert span.words == 20_000
