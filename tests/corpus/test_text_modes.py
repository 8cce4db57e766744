"""Searching for characters and regular expressions."""

import threading
import time

import pytest
from corpora import NASTY, messages, nasty_text, write_corpus
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.corpus import Corpus, Filter, Range, TextSearch
from lorif_core.corpus.connection import stop_after
from lorif_core.corpus.where import parse_where
from lorif_core.errors import QueryError


def contains(text):
    return Filter(search=TextSearch("contains", text))


def regex(text):
    return Filter(search=TextSearch("regex", text))


@given(texts=st.lists(nasty_text, min_size=1, max_size=8), piece=st.sampled_from([*NASTY, "foo", "FOO", "a"]))
def test_contains_finds_the_characters_in_either_case(tmp_path_factory, texts, piece):
    file = write_corpus(tmp_path_factory.mktemp("corpus"), [{"text": text} for text in texts])
    with Corpus(file) as corpus:
        found = corpus.rows(contains(piece))
    assert found == [row for row, text in enumerate(texts) if piece.lower() in text.lower()]


@given(data=st.data(), texts=st.lists(nasty_text, min_size=1, max_size=8))
def test_any_part_of_a_text_is_found(tmp_path_factory, data, texts):
    row = data.draw(st.integers(0, len(texts) - 1))
    start = data.draw(st.integers(0, len(texts[row])))
    with Corpus(write_corpus(tmp_path_factory.mktemp("corpus"), [{"text": text} for text in texts])) as corpus:
        assert row in corpus.rows(contains(texts[row][start : start + 5]))


@pytest.mark.parametrize(
    ("pattern", "rows"),
    [("^foo", [0, 1]), ("foo$", [2]), (r"f(o|0){2}\d", [1]), ("FOO", []), ("(?i)FOO", [0, 1, 2]), ("", [0, 1, 2, 3])],
)
def test_a_regular_expression_is_searched_for_anywhere(tmp_path, pattern, rows):
    texts = ["foo bar", "foo1", "a foo", "bar"]
    with Corpus(write_corpus(tmp_path, [{"text": text} for text in texts])) as corpus:
        assert corpus.rows(regex(pattern)) == rows


def test_either_text_column_may_match(tmp_path):
    rows = [
        {"prompt": "foo", "completion": "x"},
        {"prompt": "x", "completion": "FOO"},
        {"prompt": "x", "completion": "y"},
    ]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        assert corpus.rows(contains("foo")) == [0, 1]
        assert corpus.rows(regex("FOO")) == [1]


def test_messages_are_searched_as_people_read_them(tmp_path):
    rows = [{"messages": messages('say "hi"', "line\nbreak")}, {"messages": messages("content", "ü")}]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        assert corpus.rows(contains('say "hi"\nline\n')) == [0]
        assert corpus.rows(contains("Ü")) == [1]
        assert corpus.rows(contains("role")) == []
        assert corpus.rows(regex("^content\nü$")) == [1]
        assert corpus.rows(Filter(where=parse_where('text contains "say ""hi"""'))) == [0]


def test_a_search_combines_with_choices_and_is_remembered(tmp_path):
    rows = [{"text": "foo" if n % 2 else "bar", "year": n} for n in range(10)]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        for _ in range(2):
            assert corpus.rows(Filter({"year": Range(4)}, TextSearch("contains", "foo"))) == [5, 7, 9]
        for number in range(8):  # more searches than are remembered
            assert corpus.rows(contains(f"{number}")) == []
        assert corpus.rows(Filter({"year": Range(4)}, TextSearch("contains", "foo"))) == [5, 7, 9]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a", r"missing \)"),
        ("a**", "bad repetition"),
        ("(?<=a)b", "invalid perl operator"),
        ("[z-a]", "invalid char"),
    ],
)
def test_what_is_no_regular_expression_is_refused_with_the_reason(tmp_path, pattern, reason):
    with Corpus(write_corpus(tmp_path, [{"text": "x"}])) as corpus:
        with pytest.raises(QueryError, match=rf"is not a regular expression \({reason}.*search with `contains`"):
            corpus.page(regex(pattern))


@pytest.mark.parametrize("mode", ["words", "contains", "regex"])
def test_what_is_too_long_or_no_plain_text_is_refused(mode):
    with pytest.raises(QueryError, match=r"^a search has at most 1,000 characters, this one has 1,001: shorten it"):
        TextSearch(mode, "a" * 1_001)
    with pytest.raises(QueryError, match=r"character at column 2 is '\\x00': remove it"):
        TextSearch(mode, "a\0")
    with pytest.raises(QueryError, match=r"character at column 1 is '\\udfff': remove it"):
        TextSearch(mode, "\udfff")


@pytest.fixture(scope="module")
def long_texts(tmp_path_factory):
    """Texts on which a pattern with a large state takes many seconds."""
    rows = [{"text": "ab" * 5_000, "year": n} for n in range(4_000)]
    return write_corpus(tmp_path_factory.mktemp("corpus"), rows, rows_per_group=100)


SLOW = "(a|b)*a(a|b){900}c"


def test_a_slow_search_is_stopped_and_the_corpus_stays_usable(long_texts, tmp_path):
    few = write_corpus(tmp_path, [{"text": "ab" * 5_000, "year": n} for n in range(40)])
    with Corpus(few, time_limit_s=3600) as corpus:
        started = time.process_time()
        assert corpus.page(regex(SLOW)).rows == []
        cost_of_a_hundredth = time.process_time() - started
    with Corpus(long_texts, time_limit_s=0.01) as corpus:
        for chosen in (regex(SLOW), Filter(where=parse_where(f'text matches "{SLOW}"'))):
            started = time.process_time()
            with pytest.raises(
                QueryError, match=r"^a search may take 0.01 s, this one took longer .* simpler pattern"
            ):
                corpus.page(chosen)
            # Of processors, which others that want them do not lengthen: a search to the end takes 100 times as much.
            assert time.process_time() - started < 10 * cost_of_a_hundredth
        assert corpus.page(Filter({"year": (7,)})).rows == [7]


@pytest.mark.parametrize("time_limit_s", [0.0, 0.001, 0.01, 0.05])
def test_a_search_is_stopped_in_one_sentence_whatever_it_was_at(long_texts, time_limit_s):
    with Corpus(long_texts, time_limit_s=time_limit_s) as corpus:
        for chosen in (regex(SLOW), Filter(where=parse_where(f'text matches "{SLOW}"'))):
            with pytest.raises(QueryError, match=r"this one took longer and was stopped"):
                corpus.page(chosen)


def test_stopping_one_call_leaves_others_alone(long_texts):
    found = []
    with Corpus(long_texts, time_limit_s=0.01) as corpus:

        def browse():
            found.extend(corpus.page(Filter({"year": (number,)})).rows for number in range(20))

        thread = threading.Thread(target=browse)
        thread.start()
        try:
            with pytest.raises(QueryError, match=r"was stopped"):
                corpus.count(regex(SLOW))
        finally:
            thread.join()
    assert found == [[number] for number in range(20)]


def test_an_interrupt_that_comes_between_two_queries_is_repeated():
    calls = []
    with stop_after(0.01, lambda: calls.append(1)) as is_late:
        while len(calls) < 3:
            time.sleep(0.01)
    assert is_late.is_set()
    assert len(calls) >= 3
    with stop_after(3600, lambda: calls.append(2)) as is_late:
        pass
    assert not is_late.is_set()
    assert 2 not in calls
