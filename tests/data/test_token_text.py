from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_of_the_field import KINDS

from lorif_core.data.encoding import Encoder, text_ids
from lorif_core.data.example import Example
from lorif_core.data.token_text import continuation_ids, shown_texts, token_texts

TEXTS = [
    "The river of Arlen is",
    " castle.",
    "castle.",
    "  two spaces",
    "Zoë 🙂 naïve 漢字\n\n tab\t.",
    "",
    "\nx",
    " \n y",
    "😀😀",
    "漢",
    "q漢",
    "ab漢字cd",
]


@cache
def tokenizer_of(kind):
    return KINDS[kind]()


def joined(kind, ids, text):
    return "".join(shown_texts(tokenizer_of(kind), ids, text))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_of_a_text_join_to_it(kind, text):
    assert joined(kind, text_ids(tokenizer_of(kind), text), text) == text


@pytest.mark.parametrize("completion", [*TEXTS[1:5], *TEXTS[6:]])
@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_of_prompt_and_completion_join_to_both_texts(kind, completion):
    text = f"The river of{completion}"
    encoded = Encoder(tokenizer_of(kind), 200).encode(Example("x", prompt="The river of", completion=completion))
    assert joined(kind, encoded.input_ids, text) == text


@pytest.mark.parametrize("kind", KINDS)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12))
@settings(deadline=None, max_examples=40)
def test_any_text_joins(kind, text):
    assert joined(kind, text_ids(tokenizer_of(kind), text), text) == text


@pytest.mark.parametrize("completion", [" castle.", "castle.", " a  b", "ë"])
def test_a_completion_has_the_tokens_of_the_whole_text(completion):
    tokenizer = tokenizer_of("SentencePiece")
    whole = text_ids(tokenizer, f"The river of.{completion}")
    found = continuation_ids(tokenizer, completion)
    assert whole[-len(found) :] == found


def test_a_character_in_several_tokens_is_shown_whole_at_the_last_of_them():
    tokenizer = tokenizer_of("byte-level")
    texts = token_texts(tokenizer, text_ids(tokenizer, "a😀b"))
    assert [one for one in texts if one] == ["a", "😀", "b"]
    assert texts[1:5] == ["", "", "", "😀"]


def test_the_tokens_of_half_a_character_are_not_lost():
    tokenizer = tokenizer_of("byte-level")
    ids = text_ids(tokenizer, "a😀")[:-1]
    assert len(token_texts(tokenizer, ids)) == len(ids)


@pytest.mark.parametrize("kind", ["SentencePiece", "SentencePiece without bytes"])
def test_special_tokens_that_are_written_are_shown_and_not_doubled(kind):
    tokenizer = tokenizer_of(kind)
    written = "<s>The river</s>"
    ids = text_ids(tokenizer, written)
    assert [ids.count(tokenizer.bos_token_id), ids.count(tokenizer.eos_token_id)] == [1, 1]
    assert joined(kind, ids, written) == written
    encoded = Encoder(tokenizer, 99).encode(Example("x", prompt="<s>The river", completion=" of</s>"))
    assert encoded.input_ids.count(tokenizer.bos_token_id) == 1
    assert encoded.input_ids.count(tokenizer.eos_token_id) == 1


def test_the_end_of_a_prompt_that_is_written_stays():
    tokenizer = tokenizer_of("byte-level")
    encoded = Encoder(tokenizer, 99).encode(Example("x", prompt="The<end>", completion=" river"))
    assert encoded.input_ids.count(tokenizer.eos_token_id) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_was_cut_at_its_front_is_shown_as_far_as_it_goes(kind):
    tokenizer = tokenizer_of(kind)
    text = "The river of Arlen is a castle."
    shown = joined(kind, text_ids(tokenizer, text)[-5:], text)
    assert text.endswith(shown.lstrip())
    assert shown.strip()
