"""One form for all comparisons, against definitions written out from Unicode's, and what a search finds by it."""

import re
import unicodedata
from functools import cache

import duckdb
import polars as pl
import pytest
from corpora import messages, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.corpus import Corpus, Filter, TextSearch, ensure_fulltext
from lorif_core.corpus.highlighting import snippets_of, spans_of
from lorif_core.corpus.normalising import aligned, aligned_nfc, aligned_words, comparable, words_of
from lorif_core.corpus.text_patterns import contains_patterns, contains_sql, nfc_sql
from lorif_core.corpus.where import parse_where

ALL = [
    chr(code) for code in (*range(0x3400), *range(0xA640, 0xAC00), *range(0xF900, 0x11A00), *range(0x1D000, 0x1FC00))
]
"""All but ideographs, Hangul and scripts without case or marks that are composed."""
FORMS = ("NFC", "NFD")
SYLLABLES = (
    "a", "e", "x", " ", ".", "\n", "10", "É", "é", "ß", "ẞ", "SS", "ſ", "İ", "I", "i", "ı", "Ж", "й",
    "Σ", "ς", "ΐ", "ệ", "ậ", "ñ",
    "Å", "\u212b", "K", "ﬁ", "ﬀ", "①", "²", "Ａ", "ガ", "ｶﾞ", "か", "北", "京", "한", "구", "กุ่", "น้ำ", "दि",
    "दा", "क़", "ো", "שָׁ", "سُّ",
    "\u00ad", "\u200c", "\u200d", "👩\u200d👧", "❤\ufe0f", "𝒳", "㎏", "…",
)  # fmt: skip
texts_of_syllables = st.lists(st.sampled_from(SYLLABLES), max_size=8).map("".join)
forms = st.sampled_from([*FORMS, "as it is"])


def stored(text, form):
    return text if form == "as it is" else unicodedata.normalize(form, text)


def contains(typed):
    return Filter(search=TextSearch("contains", typed))


@cache
def database():
    return duckdb.connect()


def found_by_contains(typed, texts):
    frame = pl.DataFrame({"row": range(len(texts)), "t": texts}, schema_overrides={"t": pl.String})
    database().register("texts", frame)
    sql = f"SELECT row FROM texts WHERE {contains_sql('t')} ORDER BY row"
    return [row for (row,) in database().execute(sql, list(contains_patterns(typed))).fetchall()]


def test_every_character_has_one_form_in_either_case_and_however_it_is_stored():
    differing = []
    for character in ALL:
        others = {
            unicodedata.normalize("NFC", character), unicodedata.normalize("NFD", character), character.casefold(),
            character.lower(), character.upper(), comparable(character),
        }  # fmt: skip
        differing += [
            (character, other) for other in others - {character} if comparable(other) != comparable(character)
        ]
    assert differing == [("ı", "I")]  # Unicode's folding, not the Turkish one


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Straße GROẞ Łódź Đà", ["strasse", "gross", "lodz", "da"]),
        ("мой Ёж за́мок", ["мой", "еж", "замок"]),
        ("北京大学2024年，GPT4", ["北", "京", "大", "学", "2024", "年", "gpt4"]),
        ("ﾃﾞｰﾀを", ["デ", "ー", "タ", "を"]),
        ("กุ้งไทย", ["กุ้", "ง", "ไ", "ท", "ย"]),
        ("दिन दान", ["दिन", "दान"]),
        ("كِتَابٌ كـتاب", ["كتاب", "كتاب"]),
        ("שָׁלוֹם", ["שלום"]),
        ("می\u200cخواهم so\u00adft", ["میخواهم", "soft"]),
        ("п'ять пʼять foo_bar", ["п", "ять", "п", "ять", "foo", "bar"]),
        ("한국어 \U00010400\U00010428", ["한국어", "\U00010428\U00010428"]),
        ("\u0301 ( ) ", []),
    ],
)
def test_words_are_cut_where_their_script_does(text, words):
    assert words_of(text) == words
    assert [word for word, _ in aligned_words(text)] == words


@given(text=texts_of_syllables | st.text(max_size=12))
def test_a_form_is_traced_back_to_the_characters_that_it_came_from(text):
    found = aligned(text)
    assert found.form == comparable(text)
    assert aligned_nfc(text).form == unicodedata.normalize("NFC", text)
    assert len(found.starts) == len(found.ends) == len(found.form)
    assert list(found.starts) == sorted(found.starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(found.starts, found.ends, strict=True))
    assert [word for word, _ in aligned_words(text)] == words_of(text)


@settings(max_examples=60)
@given(texts=st.lists(texts_of_syllables, min_size=1, max_size=6), typed=texts_of_syllables, form=forms)
def test_contains_finds_what_the_definition_finds(texts, typed, form):
    wanted = comparable(stored(typed, form))
    expected = [row for row, text in enumerate(texts) if wanted in comparable(text)]
    if wanted.strip():
        assert found_by_contains(stored(typed, form), texts) == expected


@settings(max_examples=60)
@given(text=texts_of_syllables, data=st.data(), form=forms, case=st.sampled_from([str, str.casefold, str.upper]))
def test_what_stands_in_a_text_is_found_in_every_form_of_it(text, data, form, case):
    pieces = re.findall(r"\S+", text)
    typed = data.draw(st.sampled_from(pieces)) if pieces else ""
    if comparable(typed) and "ı" not in typed:
        assert found_by_contains(case(stored(typed, form)), [text, *(stored(text, one) for one in FORMS)]) == [
            0,
            1,
            2,
        ]


@settings(max_examples=60)
@given(text=st.text(max_size=10), typed=st.text(min_size=1, max_size=3))
def test_a_text_is_found_in_nfc_exactly_when_it_is_found_in_nfd(text, typed):
    if not any("\0" in one or unicodedata.category(c) == "Cs" for one in (text, typed) for c in one):
        assert found_by_contains(typed, [stored(text, form) for form in FORMS]) in ([], [0, 1])


@given(text=texts_of_syllables, typed=texts_of_syllables, form=forms, mode=st.sampled_from(["words", "contains"]))
def test_highlights_cover_text_that_is_what_was_typed(text, typed, form, mode):
    (spans,) = spans_of(TextSearch(mode, stored(typed, form)), [text])
    assert spans == sorted(spans)
    for start, end in spans:
        shown = text[start:end]
        if mode == "words":
            assert (
                any(words_of(piece) == words_of(shown) for piece in re.findall(r'[^\s"]+', typed)) or len(spans) > 0
            )
        elif comparable(typed).strip():
            assert comparable(typed) in comparable(shown)
            assert comparable(typed) not in comparable(text[start : end - 1])
    if mode == "contains" and comparable(typed).strip():
        assert bool(spans) == (comparable(typed) in comparable(text))


def test_every_text_that_is_not_in_nfc_is_brought_into_it():
    composed = [character for character in ALL if unicodedata.normalize("NFD", character) != character]
    texts = [form for one in composed for form in (one, unicodedata.normalize("NFD", one))]
    texts += [
        letter + "".join(marks)
        for letter, marks in (
            ("q", "\u0307\u0323"),
            ("ก", "\u0e48\u0e38"),
            ("ב", "\u05bc\u05b8"),
            ("س", "\u0651\u064f"),
        )
    ]
    with duckdb.connect() as connection:
        connection.register("texts", pl.DataFrame({"t": texts}))
        found = [row for (row,) in connection.execute(f"SELECT {nfc_sql('t')} FROM texts").fetchall()]
    assert found == [unicodedata.normalize("NFC", text) for text in texts]


@pytest.mark.parametrize(
    ("typed", "found", "missed"),
    [
        ("straße", ["STRASSE", "Straße", "stra\u00adße", "STRAẞE"], ["strase", "straBe"]),
        ("e", ["e", "he"], ["é", "e\u0301", "E\u0323\u0302"]),
        ("é", ["É", "e\u0301", "caf\u200de\u0301"], ["e", "e\u0302"]),
        ("ệ", ["e\u0323\u0302", "e\u0302\u0323", "ê\u0323", "ẹ\u0302"], ["ê", "ẹ"]),
        ("istanbul", ["İSTANBUL", "Istanbul"], ["ıstanbul"]),
        ("fi", ["ﬁne", "oﬃce", "FI"], ["ﬂ"]),
        ("データ", ["ﾃﾞｰﾀ", "デ\u3099ータ"[:1] + "ータ"], ["テータ"]),
        ("1700000000000000003", ["n 1700000000000000003"], ["1700000000000000004"]),
        ("\u00a0", ["a\u00a0b"], ["a b"]),
        ("\u00ad", ["a\u00adb"], ["ab", ""]),
        ("s" * 40, ["S" * 40, "ß" * 20], ["s" * 39]),
        ("abc " * 250, ["ABC " * 251], ["abc " * 249]),
        ("", ["", "x"], []),
        ("a.b\\", ["A.B\\"], ["axb\\"]),
    ],
)
def test_contains_takes_texts_as_people_read_them(typed, found, missed):
    texts = [*found, *missed]
    assert found_by_contains(typed, texts) == list(range(len(found)))


def test_a_regular_expression_sees_a_text_in_nfc(tmp_path):
    file = write_corpus(tmp_path, [{"text": "cafe\u0301"}, {"text": "café"}, {"text": "cafe"}])
    with Corpus(file) as corpus:
        for pattern in ("caf[é]$", "caf[e\u0301]$", "^.{3}é"):
            assert corpus.rows(Filter(search=TextSearch("regex", pattern))) == [0, 1]
            assert corpus.rows(Filter(where=parse_where(f'text matches "{pattern}"'))) == [0, 1]
        assert corpus.rows(Filter(search=TextSearch("regex", "^cafe"))) == [2]


def test_conditions_compare_in_the_same_form_as_searches(tmp_path):
    rows = [
        {"text": "x", "source": "Café STRASSE"},
        {"text": "x", "source": "Cafe\u0301 straße"},
        {"text": "x", "source": None},
    ]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        assert corpus.rows(Filter(where=parse_where('source contains "café straße"'))) == [0, 1]
        assert corpus.rows(Filter(where=parse_where('not source contains "café"'))) == [2]


def test_messages_are_found_and_marked_in_every_mode(tmp_path):
    file = write_corpus(tmp_path, [{"messages": messages("我在北京大学", "cafe\u0301")}])
    index = ensure_fulltext(file, tmp_path / "search.sqlite")
    with Corpus(file, index) as corpus:
        for mode, typed, shown in (
            ("words", "北京", "北京"),
            ("contains", "CAFÉ", "cafe\u0301"),
            ("regex", "caf.", "cafe\u0301"),
        ):
            search = TextSearch(mode, typed)
            assert corpus.rows(Filter(search=search)) == [0]
            (snippet,) = corpus.snippets(search, [0])
            assert [snippet.text[start:end] for start, end in snippet.spans] == [shown]


@pytest.mark.parametrize(
    ("mode", "typed", "text", "marked"),
    [
        ("words", "cafe", "Un cafe\u0301 noir, un Café.", ["cafe\u0301", "Café"]),
        ("words", '"foo bar" ba*', "Foo, bar baz bat", ["Foo, bar", "baz", "bat"]),
        ("words", "กรุงเทพ", "กรุงเทพมหานคร", ["กรุงเทพ"]),
        ("words", "京*", "北京大学", ["京"]),
        ("contains", "SS", "Straße, ss", ["ß", "ss"]),
        ("contains", "می‌خواهم", "من میخواهم می\u200cخواهم", ["میخواهم", "می\u200cخواهم"]),
        ("contains", "\u00ad", "so\u00adft", ["\u00ad"]),
        ("regex", "é+", "e\u0301é e", ["e\u0301é"]),
        ("regex", r"\bfoo", "xfoo foo", ["foo"]),
        ("regex", "(o)(b)?|x*", "foo", ["o", "o"]),
        ("regex", "", "foo", []),
    ],
)
def test_matches_are_marked_in_the_text_as_it_is(mode, typed, text, marked):
    (spans,) = spans_of(TextSearch(mode, typed), [text])
    assert [text[start:end] for start, end in spans] == marked


def test_the_passage_of_a_long_text_shows_the_hit():
    text = "слово " * 5_000 + "北京 Cafe\u0301 " + "слово " * 5_000
    for search in (TextSearch("words", "北京"), TextSearch("contains", "北京"), TextSearch("regex", "北.")):
        (snippet,) = snippets_of(search, [["nothing", text]])
        assert [snippet.text[start:end] for start, end in snippet.spans] == ["北京"]
        assert len(snippet.text) < 250


def test_a_word_inside_a_longer_one_is_found_where_no_spaces_tell(tmp_path):
    """The price of cutting characters: Kyoto stands in Tokyo-to, too."""
    file = write_corpus(tmp_path, [{"text": "東京都に住む"}])
    assert ensure_fulltext(file, tmp_path / "search.sqlite").count("京都") == 1


def test_a_thousand_characters_without_spaces_are_one_search(tmp_path):
    text = "".join(chr(0x4E00 + number) for number in range(1_000))
    file = write_corpus(tmp_path, [{"text": text}, {"text": text[:-1]}])
    index = ensure_fulltext(file, tmp_path / "search.sqlite")
    assert [hit.row for hit in index.search(text)] == [0]
