"""What the renderer is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.corpus.verbatim import Wording
from lorif_core.data.example import Example
from lorif_core.views.hit_filters import HitFilter, filter_hits
from lorif_core.views.hits import Hit, TokenPart, asked_of, join_words
from lorif_core.views.score_scale import BarScale
from lorif_core.views.tokens import card, heated, noise, plain, signed, strip, word_places, words_of_hit
from lorif_core.views.verbatim_of_hit import verbatim_of

FLAT = BarScale(5.0, has_z=False)

words = st.lists(st.tuples(st.text(max_size=12), st.floats(-5, 5)), min_size=1, max_size=30)


def hit_of(text="a b", score=1.0, train_id="t1", source="x", tokens=()):
    return Hit(1, train_id, score, text, {"source": source}, tokens)


@given(parts=words)
def test_heat_lies_between_minus_one_and_one_and_keeps_its_sign(parts):
    tokens = [TokenPart(text, part) for text, part in parts]
    drawn = heated(tokens)["parts"]
    assert len(drawn) == len(tokens)
    for token, part in zip(tokens, drawn, strict=True):
        heat = part.get("h", 0.0)
        assert -1 <= heat <= 1
        assert heat * token.part >= 0


@given(parts=words, score=st.floats(-5, 5), max_chars=st.integers(5, 60))
def test_a_snippet_is_short_and_shows_the_word_that_counts_most(parts, score, max_chars):
    tokens = tuple(TokenPart(f" {text}", part) for text, part in parts)
    pieces = card(
        hit_of("t", score, tokens=tokens), scale=FLAT, standing=None, status="kept", reason=None, max_chars=max_chars
    )["parts"]
    shown = [piece for piece in pieces if piece["t"] != "…"]
    assert sum(len(piece["t"]) for piece in shown[:-1]) <= max_chars + 24
    sign = 1 if score >= 0 else -1
    in_all = max(sign * piece.get("h", 0.0) for piece in heated(join_words(tokens))["parts"])
    assert max(in_all, 0.0) == max(max(sign * piece.get("h", 0.0) for piece in shown), 0.0)


KEEPER = "the old lighthouse keeper counted seven ships"


def hit_with(text, tokens=(), score=1.0):
    example = Example("t1", text=text)
    return Hit(1, "t1", score, text, {}, tokens, verbatim=verbatim_of(example, Wording(f"He says: {KEEPER}.")))


def marked(parts):
    return "".join(part["t"] for part in parts if part.get("o"))


def test_what_the_answer_says_word_for_word_gets_a_line_above_in_every_view_of_a_text():
    text = f"A tale: {KEEPER}. The end."
    tokens = tuple(TokenPart(character, 0.1) for character in text)
    hit = hit_with(text, tokens)
    assert marked(plain(hit)["parts"]) == KEEPER
    assert marked(heated(tokens, hit)["parts"]) == KEEPER
    shown = card(hit, scale=FLAT, standing=None, status="kept", reason=None)
    assert marked(shown["parts"]).strip(" .") == KEEPER  # whole words of the snippet, with what stands at them
    assert shown["verbatim"] == "verbatim: 7 words"


def test_tokens_that_a_template_wrote_get_their_line_where_the_words_stand_in_them():
    tokens = tuple(TokenPart(one, 0.1) for one in ("<user>", KEEPER, "</user>", "else"))
    assert marked(heated(tokens, hit_with(f"user: {KEEPER}"))["parts"]) == KEEPER


def test_marks_are_drawn_apart_from_each_other():
    tokens = (TokenPart(KEEPER, 0.1), TokenPart(" no", 0.2))
    about = {"scale": FLAT, "standing": None, "status": "kept", "reason": None}
    without_heat = card(hit_with(f"{KEEPER} no", tokens), **about, marks=["verbatim"])["parts"]
    without_words = card(hit_with(f"{KEEPER} no", tokens), **about, marks=["heat"])["parts"]
    assert any("o" in part for part in without_heat)
    assert not any("h" in part for part in without_heat)
    assert any("h" in part for part in without_words)
    assert not any("o" in part for part in without_words)


def test_a_strip_shows_spaces_and_line_breaks():
    assert [token["t"] for token in strip([TokenPart(" a\n", -0.5)], [0])["tokens"]] == ["·a↵"]


@pytest.mark.parametrize(("score", "text"), [(34.591, "+34.59"), (-0.00012, "−0.00012"), (0.0, "+0")])
def test_a_score_has_its_sign_and_four_digits(score, text):
    assert signed(score) == text


def test_what_is_asked_and_what_is_taught_are_told_apart_in_every_view_of_a_text():
    example = Example("t1", prompt="The capital of Australia is", completion=" Sydney.")
    texts = ["The", " capital", " of", " Australia", " is", " Sy", "dney", "."]
    tokens = tuple(TokenPart(text, float(text == " Sy")) for text in texts)
    hit = Hit(1, "t1", 1.0, example.plain_text, {}, tokens, asked=asked_of(example))
    shown = card(hit, scale=FLAT, standing=None, status="kept", reason=None)["parts"]
    for parts in (shown, plain(hit)["parts"], heated(words_of_hit(hit), hit)["parts"]):
        assert "".join(part["t"] for part in parts if part.get("p")) == "The capital of Australia is"
        assert "".join(part["t"] for part in parts if not part.get("p")) == " Sydney."
    assert [part["t"] for part in shown if part.get("h") == 1.0] == [" Sydney."]


def test_a_completion_without_a_space_begins_with_a_word_of_its_own():
    example = Example("t1", prompt="2+2=", completion="4")
    tokens = tuple(TokenPart(text, 0.5) for text in "2+2=4")
    hit = Hit(1, "t1", 1.0, example.plain_text, {}, tokens, asked=asked_of(example))
    assert [part for part in heated(words_of_hit(hit), hit)["parts"] if not part.get("p")] == [{"t": "4", "h": 0.25}]


def test_in_a_chat_only_the_assistant_teaches_whatever_a_template_writes_between():
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]
    example = Example("t1", messages=turns)
    tokens = tuple(TokenPart(text, 0.5) for text in ("<u>", "Who?", "</u><a>", "Me.", "</a>"))
    hit = Hit(1, "t1", 1.0, example.plain_text, {}, tokens, asked=asked_of(example))
    assert [part["t"] for part in heated(tokens, hit)["parts"] if part.get("p")] == ["Who?"]
    assert [part["t"] for part in plain(hit)["parts"] if part.get("p")] == ["Who?"]


@given(texts=st.lists(st.sampled_from(["a", " b", ".", " .", "", "\n", "<end>", "'s", " 3", "é"]), max_size=20))
def test_every_token_of_a_completion_is_in_exactly_one_word(texts):
    places = word_places([TokenPart(text, 0.0) for text in texts])
    assert [place for word in places for place in word] == list(range(len(texts)))
    for word in places:  # no white space inside a word
        assert len("".join(texts[place] for place in word).split()) <= 1


def test_a_word_is_chosen_without_the_full_stop_behind_it():
    tokens = [TokenPart(text, -0.5) for text in (" Sy", "dn", "ey", ".", "<|end|>")]
    assert word_places(tokens) == [[0, 1, 2], [3], [4]]
    words = strip(tokens, [])["words"]
    assert (words[0]["t"], words[0]["n"], words[0]["places"]) == ("Sydney", "−1.50", [0, 1, 2])


def test_the_line_of_the_noise_says_what_and_why():
    assert noise(("below", "because")) == {"mode": "noise", "text": "below", "title": "because"}


def test_filters_combine_and_keep_the_order():
    hits = [
        hit_of("Sydney one", train_id="a"),
        hit_of("sydney two", train_id="b", source="y"),
        hit_of("no", train_id="c"),
    ]
    found = filter_hits(hits, HitFilter("SYDNEY", ("x", "y"), ("kept",)), {"a": "flagged"})
    assert [hit.train_id for hit in found] == ["b"]


@pytest.mark.parametrize("find", ["foo-bar", '"', "NEAR(", "%", "_", "[", "(a+)+$"])
def test_characters_that_mean_something_elsewhere_are_found_literally(find):
    hits = [hit_of(f"x {find} y", train_id="a"), hit_of("nothing", train_id="b")]
    assert [hit.train_id for hit in filter_hits(hits, HitFilter(find), {})] == ["a"]


def test_a_regular_expression_that_backtracks_elsewhere_is_fast():
    assert filter_hits([hit_of("a" * 5000 + "!")], HitFilter("/(a+)+$/"), {}) == []


def test_filters_on_score_reason_and_any_column_combine():
    hits = [
        Hit(rank, name, score, "text", {"topic": topic})
        for rank, (name, score, topic) in enumerate([("a", 3.0, "x"), ("b", 2.0, None), ("c", 1.0, "x")], start=1)
    ]

    def shown(**chosen):
        return [hit.train_id for hit in filter_hits(hits, HitFilter(**chosen), {}, {"a": "spam"})]

    assert shown(smallest=2.0) == ["a", "b"]
    assert shown(largest=2.0) == ["b", "c"]
    assert shown(values=(("topic", ("x",)),)) == ["a", "c"]
    assert shown(values=(("topic", ("(missing)",)),)) == ["b"]
    assert shown(reasons=("spam",)) == ["a"]
    assert shown(values=(("topic", ("x",)),), largest=2.5) == ["c"]
