from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import LETTERS, tiny_tokenizer

from lorif_core.data.encoding import Encoder, encode_prompt, pad_token
from lorif_core.data.examples import Example
from lorif_core.errors import DataError

BOS, EOS = 0, 1
texts = st.text(LETTERS, max_size=12)

MARKED = (
    "{% for turn in messages %}{{ turn.role[0] }}:"
    "{% if turn.role == 'assistant' %}{% generation %}{{ turn.content }}!{% endgeneration %}"
    "{% else %}{{ turn.content }}{% endif %}.{% endfor %}"
)
UNMARKED = (
    "{% for turn in messages %}{{ turn.role[0] }}:{{ turn.content }}.{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)
CHAT = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yo"},
    {"role": "user", "content": "ok"},
    {"role": "assistant", "content": "so"},
]


def ids_of(text):
    return [3 + LETTERS.index(letter) for letter in text]


def encoder(max_length=100, **options):
    return Encoder(tiny_tokenizer(**options), max_length)


def pair(prompt, completion):
    return Example("id", prompt=prompt, completion=completion)


def targets_of(encoded):
    return [token for token, is_target in zip(encoded.input_ids, encoded.is_target, strict=True) if is_target]


def test_the_targets_of_a_completion_are_its_tokens_and_the_end_token():
    found = encoder().encode(pair("ab ", "cd"))
    assert found.input_ids == [*ids_of("ab cd"), EOS]
    assert targets_of(found) == [*ids_of("cd"), EOS]
    assert found.num_tokens == 6


@given(texts, texts, texts)
def test_the_tokens_of_a_completion_do_not_depend_on_the_prompt(first, second, completion):
    endings = {tuple(targets_of(encoder().encode(pair(prompt, completion)))) for prompt in (first, second)}
    assert endings == {(*ids_of(completion), EOS)}


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({}, [BOS]),
        ({"adds_bos": True}, [BOS]),
        ({"adds_bos": True, "adds_eos": True}, [BOS]),
        ({"adds_eos": True}, [BOS]),
        ({"bos_token": None}, [EOS]),
    ],
)
def test_after_an_empty_prompt_every_token_of_the_completion_is_a_target(options, start):
    found = encoder(**options).encode(pair("", "cd"))
    assert found.input_ids == [*start, *ids_of("cd"), EOS]
    assert targets_of(found) == [*ids_of("cd"), EOS]


def test_a_tokenizer_that_closes_every_text_does_not_close_the_prompt():
    found = encoder(adds_bos=True, adds_eos=True).encode(pair("ab", "cd"))
    assert found.input_ids == [BOS, *ids_of("abcd"), EOS]


def test_without_an_end_token_the_completion_just_stops():
    found = encoder(eos_token=None).encode(pair("ab", "cd"))
    assert found.input_ids == ids_of("abcd")
    assert targets_of(found) == ids_of("cd")


def test_without_any_special_token_an_empty_prompt_costs_the_first_target():
    found = encoder(eos_token=None, bos_token=None).encode(pair("", "cd"))
    assert found.input_ids == ids_of("cd")
    assert targets_of(found) == ids_of("d")


@pytest.mark.parametrize("max_length", [4, 5, 6])
def test_a_long_prompt_is_cut_at_the_front(max_length):
    found = encoder(max_length).encode(pair("abcdef", "xy"))
    assert found.input_ids == [*ids_of("abcdefxy"), EOS][-max_length:]
    assert targets_of(found) == [*ids_of("xy"), EOS]
    assert found.num_tokens == 9


def test_a_completion_longer_than_the_limit_loses_its_front_and_one_target():
    found = encoder(3).encode(pair("ab", "wxyz"))
    assert found.input_ids == [*ids_of("yz"), EOS]
    assert targets_of(found) == [*ids_of("z"), EOS]


def test_plain_text_targets_all_tokens_but_the_first():
    found = encoder().encode(Example("id", text="abc"))
    assert found.input_ids == ids_of("abc")
    assert found.is_target == [False, True, True]


def test_plain_text_begins_and_ends_as_the_tokenizer_says():
    found = encoder(adds_bos=True, adds_eos=True).encode(Example("id", text="abc"))
    assert found.input_ids == [BOS, *ids_of("abc"), EOS]
    assert targets_of(found) == [*ids_of("abc"), EOS]


def test_a_long_text_is_cut_at_the_end():
    found = encoder(3).encode(Example("id", text="abcdef"))
    assert found.input_ids == ids_of("abc")
    assert found.num_tokens == 6


@pytest.mark.parametrize(("text", "has_targets"), [("", False), ("a", False), ("ab", True)])
def test_a_text_of_one_token_has_no_target(text, has_targets):
    assert encoder().encode(Example("id", text=text)).has_targets is has_targets


@given(texts, texts, st.integers(2, 9))
def test_the_first_token_is_never_a_target(prompt, completion, max_length):
    for example in (pair(prompt, completion), Example("id", text=prompt)):
        found = encoder(max_length).encode(example)
        assert len(found.input_ids) == len(found.is_target) <= max_length
        assert not any(found.is_target[:1])
        assert (len(found.input_ids) < found.num_tokens) == (found.num_tokens > max_length)


def test_the_targets_of_a_chat_are_what_the_template_marks_as_generated():
    found = encoder(chat_template=MARKED).encode(Example("id", messages=CHAT))
    assert found.input_ids == ids_of("u:hi.a:yo!.u:ok.a:so!.")
    assert targets_of(found) == ids_of("yo!so!")


def test_a_long_chat_is_cut_at_the_end():
    found = encoder(9, chat_template=MARKED).encode(Example("id", messages=CHAT))
    assert found.input_ids == ids_of("u:hi.a:yo")
    assert targets_of(found) == ids_of("yo")
    assert found.num_tokens == 22


def test_a_chat_without_assistant_turns_has_no_target():
    assert not encoder(chat_template=MARKED).encode(Example("id", messages=CHAT[:1])).has_targets


def test_chats_that_several_threads_encode_get_their_own_targets(hasty_threads):
    encoders = [encoder(chat_template=MARKED) for _ in range(2)]  # one template, which transformers compiles once
    chats = [Example("id", messages=CHAT), Example("id", messages=CHAT[1:] + CHAT)]
    wanted = [encoders[0].encode(chat) for chat in chats]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: encoders[number % 2].encode(chats[number // 2 % 2]), range(1000)))
    assert found == [wanted[number // 2 % 2] for number in range(1000)]


@pytest.mark.parametrize("dash", ["", "-"])
def test_a_template_may_trim_white_space_around_its_marks(dash):
    template = MARKED.replace("{% generation %}", f"{{%{dash} generation {dash}%}}")
    found = encoder(chat_template=template).encode(Example("id", messages=CHAT))
    assert targets_of(found) == ids_of("yo!so!")


def test_a_template_without_marks_is_read_by_its_headers():
    found = encoder(chat_template=UNMARKED).encode(Example("id", messages=CHAT))
    assert found.input_ids == ids_of("u:hi.a:yo.u:ok.a:so.")
    assert targets_of(found) == ids_of("yo.so.")


def test_a_tokenizer_without_a_template_is_refused():
    with pytest.raises(DataError, match="need a tokenizer with a chat template, this one has none"):
        encoder().encode(Example("id", messages=CHAT))


def test_encoding_changes_neither_the_example_nor_later_encodings():
    one, messages = encoder(chat_template=MARKED), [dict(turn) for turn in CHAT]
    first = one.encode(Example("id", messages=messages))
    assert messages == CHAT
    first.input_ids.clear()
    assert len(one.encode(Example("id", messages=messages)).input_ids) == 22


@pytest.mark.parametrize(
    ("special", "expected"),
    [
        ({"pad_token": "<unk>"}, 2),
        ({"pad_token": "<s>"}, BOS),
        ({}, EOS),
        ({"eos_token": "<s>"}, BOS),
        ({"eos_token": None}, 0),
    ],
)
def test_padding_falls_back_to_the_end_token_and_then_to_zero(special, expected):
    assert pad_token(tiny_tokenizer(**special)) == expected


@given(texts)
def test_a_prompt_to_be_continued_is_encoded_as_before_a_completion(prompt):
    one = encoder(adds_bos=True, adds_eos=True)
    continued = encode_prompt(one.tokenizer, prompt)
    assert one.encode(pair(prompt, "cd")).input_ids == [*continued, *ids_of("cd"), EOS]


def test_a_prompt_is_never_empty():
    assert encode_prompt(tiny_tokenizer(), "") == [BOS]
