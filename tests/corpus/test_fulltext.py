"""Searching for words, against a tokenizer written as a loop."""

import json
import re
import sqlite3
import unicodedata
from dataclasses import replace

import pytest
from corpora import NASTY, messages, nasty_text, write_corpus
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.corpus import Corpus, Filter, FullText, SortKey, TextSearch, build_fulltext, ensure_fulltext
from lorif_core.corpus.fulltext import match_expression
from lorif_core.corpus.highlighting import snippets_of
from lorif_core.errors import ArtefactError, DamagedArtefact, FingerprintMismatch, QueryError

VOCABULARY = [
    "foo",
    "bar",
    "baz",
    "Straße",
    "école",
    "ECOLE",
    "b2b",
    "foo-bar",
    "it's",
    "שלום",
    "a",
    "NEAR",
    "OR",
    "NOT",
]
texts_of_words = st.lists(st.sampled_from([*VOCABULARY, ",", "--", '"', "*"]), max_size=8).map(" ".join)
typed = st.lists(
    st.sampled_from([*VOCABULARY, '"foo bar"', "fo*", "b*", "*", '"', "--", "(", '"--"', "c0:foo"]), max_size=3
)


def tokens(text):
    plain = unicodedata.normalize("NFD", text)
    kept = "".join(character for character in plain if unicodedata.category(character) != "Mn").lower()
    return re.findall(r"[^\W_]+", kept)


def holds(text, words):
    """Whether a text holds every piece of what was typed: phrases in order, the last word of a prefix begun."""
    pieces = re.findall(r'"[^"]*"\*?|[^\s"]+', words)
    wanted = [(tokens(piece), piece.endswith("*")) for piece in pieces]
    wanted = [(phrase, is_prefix) for phrase, is_prefix in wanted if phrase]
    found = tokens(text)
    return bool(wanted) and all(
        any(_stands_at(found[start:], phrase, is_prefix) for start in range(len(found)))
        for phrase, is_prefix in wanted
    )


def _stands_at(found, phrase, is_prefix):
    if len(found) < len(phrase) or found[: len(phrase) - 1] != phrase[:-1]:
        return False
    last = found[len(phrase) - 1]
    return last.startswith(phrase[-1]) if is_prefix else last == phrase[-1]


def indexed(folder, rows, **options):
    file = write_corpus(folder, rows, **options)
    return file, ensure_fulltext(file, file.path.with_suffix(".sqlite"))


@given(texts=st.lists(texts_of_words, min_size=1, max_size=8), words=typed.map(" ".join))
def test_words_phrases_and_prefixes_are_found_where_a_loop_finds_them(tmp_path_factory, texts, words):
    file, index = indexed(tmp_path_factory.mktemp("corpus"), [{"text": text} for text in texts])
    expected = [row for row, text in enumerate(texts) if holds(text, words)]
    assert index.matches(words)["row"].to_list() == expected
    assert sorted(hit.row for hit in index.search(words)) == expected
    assert index.count(words) == len(expected)
    with Corpus(file, index) as corpus:
        assert corpus.rows(Filter(search=TextSearch("words", words))) == expected


@given(words=st.one_of(nasty_text, st.text(max_size=20)))
def test_any_typed_text_is_searched_for_or_refused_in_a_sentence(words):
    if any(character == "\0" or unicodedata.category(character) == "Cs" for character in words):
        with pytest.raises(QueryError, match=r"remove it"):
            match_expression(words)
        return
    (snippet,) = snippets_of(words, [["foo"]])
    assert snippet.text == "foo"


@pytest.mark.parametrize("words", NASTY)
def test_nasty_texts_are_found_by_themselves(tmp_path, words):
    _, index = indexed(tmp_path, [{"text": "nothing here"}, {"text": words}])
    assert [hit.row for hit in index.search(words)] == ([1] if tokens(words) else [])


@pytest.mark.parametrize("words", ["", "   ", '"', '""', "--", "*", '"*" -- ()', "%", "_"])
def test_only_punctuation_finds_nothing(tmp_path, words):
    file, index = indexed(tmp_path, [{"text": "foo -- bar"}])
    assert (index.search(words), index.count(words), index.matches(words, ranks=True).height) == ([], 0, 0)
    with Corpus(file, index) as corpus:
        assert corpus.page(Filter(search=TextSearch("words", words))).rows == []


def test_five_hundred_words_are_one_search(tmp_path):
    words = " ".join(chr(ord("a") + number % 26) for number in range(500))
    _, index = indexed(tmp_path, [{"text": words}, {"text": "a b c"}])
    assert [hit.row for hit in index.search(words)] == [0]


def test_hits_come_most_relevant_first_and_ties_by_row(tmp_path):
    rows = [{"text": text} for text in ("foo bar bar bar", "foo", "bar", "foo", "foo foo foo foo", *["bar"] * 9)]
    file, index = indexed(tmp_path, rows)
    hits = index.search("foo")
    assert [hit.row for hit in hits] == [4, 1, 3, 0]
    assert hits[1].relevance == hits[2].relevance > hits[3].relevance > 0
    assert [hit.row for hit in index.search("foo", limit=2, offset=1)] == [1, 3]
    with Corpus(file, index) as corpus:
        chosen = Filter(search=TextSearch("words", "foo"))
        assert corpus.page(chosen, sort=[SortKey(of="relevance", descending=True)]).rows == [4, 1, 3, 0]
        found = corpus.page(chosen, sort=[SortKey(of="relevance", descending=True)], limit=2)
        assert found.frame["train_id"].to_list() == ["t4", "t1"]


@given(
    texts=st.lists(st.lists(texts_of_words | nasty_text, min_size=2, max_size=2), min_size=1, max_size=4), words=typed
)
def test_snippets_mark_hits_in_passages_of_the_text(texts, words):
    snippets = snippets_of(" ".join(words), texts)
    assert len(snippets) == len(texts)
    for columns, snippet in zip(texts, snippets, strict=True):
        passage = snippet.text.strip("…")
        assert any(passage in text for text in columns)
        ends = [place for span in snippet.spans for place in span]
        assert ends == sorted(ends)
        assert all(0 <= start < end <= len(snippet.text) for start, end in snippet.spans)


def test_a_snippet_marks_the_words_and_shows_what_is_around_them(tmp_path):
    text = "word " * 100 + "an Élan, here. " + "word " * 100
    file, index = indexed(tmp_path, [{"prompt": "other", "completion": text}, {"prompt": "élan", "completion": None}])
    with Corpus(file, index) as corpus:
        rows = corpus.page(Filter(search=TextSearch("words", "elan"))).rows
        assert rows == [0, 1]
        first, second = corpus.snippets("elan", rows)
        (plain,) = corpus.snippets("absent", [0])
    assert [first.text[start:end] for start, end in first.spans] == ["Élan"]
    assert first.text.startswith("…")
    assert first.text.endswith("…")
    assert len(first.text) < 250
    assert second.text == "élan"
    assert (plain.text, plain.spans) == ("other", ())


def test_a_nul_in_a_text_ends_no_snippet():
    (snippet,) = snippets_of("before", [["before\0after"]])
    assert (snippet.text, snippet.spans) == ("before after", ((0, 6),))


def test_marks_are_characters_that_no_text_holds():
    text = "\ue000foo\ue001 bar"
    (snippet,) = snippets_of("bar", [[text]])
    assert (snippet.text, snippet.spans) == (text, ((6, 9),))


def test_messages_are_indexed_by_their_contents(tmp_path):
    nul = json.dumps([{"role": "assistant", "content": "before\0after"}])
    _, index = indexed(tmp_path, [{"messages": messages('say "hi"\nthere', "Grüße")}, {"messages": nul}])
    assert [index.count(words) for words in ("gruße", "GRÜSSE", '"hi there"')] == [1, 1, 1]
    assert [index.count(words) for words in ("gruse", "content", "role", "user", "nthere")] == [0] * 5
    assert [hit.row for hit in index.search("after")] == [1]


def test_the_index_does_not_depend_on_row_groups(tmp_path):
    rows = [{"text": f"w{number} common"} for number in range(20)]
    indexes = [indexed(tmp_path, rows, rows_per_group=size)[1] for size in (1, 7, 100)]
    assert len({tuple(index.search("common w7 w*")) for index in indexes}) == 1
    assert [hit.row for hit in indexes[0].search("w7")] == [7]


def test_progress_counts_examples(tmp_path):
    file = write_corpus(tmp_path, [{"text": "x"}] * 7, rows_per_group=3)
    told = []
    build_fulltext(file, tmp_path / "search.sqlite", told.append)
    assert told == [3, 6, 7]


def test_an_index_is_built_once_and_again_when_the_examples_changed(tmp_path):
    file = write_corpus(tmp_path, [{"text": "foo"}])
    path = tmp_path / "search.sqlite"
    ensure_fulltext(file, path)
    inode = path.stat().st_ino
    assert ensure_fulltext(file, path).count("foo") == 1
    assert path.stat().st_ino == inode
    changed = write_corpus(tmp_path, [{"text": "bar"}])
    with pytest.raises(
        FingerprintMismatch, match=r"must be the full-text index of .* delete it, and it is built again"
    ):
        FullText(path, changed)
    assert ensure_fulltext(changed, path).count("bar") == 1


@pytest.mark.parametrize("content", [b"", b"no database" * 500])
def test_a_file_that_is_no_index_is_refused_and_built_again(tmp_path, content):
    file = write_corpus(tmp_path, [{"text": "foo"}])
    path = tmp_path / "search.sqlite"
    path.write_bytes(content)
    with pytest.raises(
        DamagedArtefact, match=r"is not a readable full-text index .*delete it, and it is built again"
    ):
        FullText(path, file)
    assert ensure_fulltext(file, path).count("foo") == 1


def test_damage_is_named_when_it_is_met(tmp_path):
    rows = [{"text": " ".join(f"w{number * 50 + k}" for k in range(50))} for number in range(200)]
    _, index = indexed(tmp_path, rows)
    content = bytearray(index.path.read_bytes())
    content[len(content) // 5 : -4096] = b"\xff" * (len(content) - 4096 - len(content) // 5)
    index.path.write_bytes(content)
    with pytest.raises(DamagedArtefact, match=r"is not a readable full-text index"):
        [index.search(f"w{number}") for number in range(0, 10_000, 100)]
    index.path.unlink()
    with pytest.raises(ArtefactError, match=r"is missing: build the full-text index again"):
        index.count("w1")


def test_a_failed_build_leaves_the_old_index(tmp_path):
    file = write_corpus(tmp_path, [{"text": "foo"}] * 10)
    path = tmp_path / "search.sqlite"
    old = ensure_fulltext(file, path)

    def fail(num_rows):
        if num_rows > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_fulltext(replace(file, fingerprint="new"), path, fail)
    assert old.count("foo") == 10
    assert [entry.name for entry in tmp_path.iterdir() if "partial" in entry.name] == []


def test_what_a_killed_build_left_is_not_built_upon(tmp_path):
    file = write_corpus(tmp_path, [{"text": "foo"}])
    (tmp_path / ".search.sqlite.partial").write_bytes(b"half" * 1000)
    assert ensure_fulltext(file, tmp_path / "search.sqlite").count("foo") == 1


def test_missing_and_damaged_examples_are_named_by_the_build(tmp_path):
    file = write_corpus(tmp_path, [{"text": "foo"}])
    file.path.write_bytes(b"no parquet" * 20)
    with pytest.raises(DamagedArtefact, match=r"is not a readable Parquet file"):
        ensure_fulltext(file, tmp_path / "search.sqlite")
    file.path.unlink()
    with pytest.raises(ArtefactError, match=r"is missing: import the data"):
        ensure_fulltext(file, tmp_path / "search.sqlite")
    assert not (tmp_path / "search.sqlite").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    file = write_corpus(tmp_path, [{"text": "foo"}])
    with pytest.raises(ArtefactError, match=r"search.sqlite' cannot be written .*a folder that you may write to"):
        ensure_fulltext(file, tmp_path / "nowhere" / "search.sqlite")
    with pytest.raises(ArtefactError, match=r"search.sqlite' cannot be written"):
        build_fulltext(file, tmp_path / "nowhere" / "search.sqlite")


def test_a_path_may_hold_any_characters(tmp_path):
    folder = tmp_path / "a?b #%20 é"
    folder.mkdir()
    _, index = indexed(folder, [{"text": "foo"}])
    assert index.count("foo") == 1


class WithoutFts5(sqlite3.Connection):
    """A build of SQLite that lacks the module."""

    def execute(self, sql, *arguments):
        if "fts5" in sql or "MATCH" in sql:
            raise sqlite3.OperationalError("no such module: fts5")
        return super().execute(sql, *arguments)


def test_a_python_without_fts5_is_told_what_to_do(tmp_path, monkeypatch):
    file, index = indexed(tmp_path, [{"text": "foo"}])
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **options: connect(*a, **options, factory=WithoutFts5))
    for ask in (lambda: build_fulltext(file, tmp_path / "search.sqlite"), lambda: index.search("foo")):
        with pytest.raises(
            QueryError, match=r"needs SQLite with FTS5, this Python's SQLite .* has none: use another"
        ):
            ask()


def stopped(search):
    """What is said of a search that is too slow; again where a busy machine stops it too late."""
    for _ in range(20):
        try:
            search()
        except QueryError as error:
            return str(error)
    raise AssertionError("it was never stopped")


def test_a_slow_search_is_stopped(tmp_path):
    rows = [
        {"text": " ".join(f"{letter}{number}" for letter in "abcdefgh" for _ in range(3))} for number in range(20_000)
    ]
    file, index = indexed(tmp_path, rows, rows_per_group=5_000)
    words = "a* b* c* d* e* f* g* h*"
    said = stopped(lambda: index.search(words, time_limit_s=0.0005))
    assert re.match(r"a search may take 0.0005 s, this one took longer and was stopped: .* words", said)

    def page():
        with Corpus(file, index, time_limit_s=0.0005) as corpus:  # a new one: it remembers what it found
            corpus.page(Filter(search=TextSearch("words", words)))

    assert "was stopped" in stopped(page)
    assert index.count(words) == 20_000


def test_words_need_an_index(tmp_path):
    with Corpus(write_corpus(tmp_path, [{"text": "foo"}])) as corpus:
        for look in (corpus.count, corpus.page, corpus.rows):
            with pytest.raises(QueryError, match=r"needs the full-text index of the data: build it, or search with"):
                look(Filter(search=TextSearch("words", "foo")))


def test_negative_limits_are_refused(tmp_path):
    _, index = indexed(tmp_path, [{"text": "foo"}])
    with pytest.raises(QueryError, match=r"^limit and offset are 0 or more, got -1 and 0"):
        index.search("foo", limit=-1)
