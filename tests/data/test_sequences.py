"""Windows of long texts: every target once, and nothing between them lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_tokenizer

from lorif_core.data.encoding import Encoder
from lorif_core.data.example import Example
from lorif_core.data.sequences import add_counts, count_tokens, cut_windows, is_cut, take_sequence
from lorif_core.errors import DataError, UnreadableRow

BOS, PAD = 0, 2


def encoder(max_length: int, stride: int | None = None, **options) -> Encoder:
    return Encoder(tiny_tokenizer(**options), max_length, stride)


@given(st.integers(2, 9), st.data())
def test_every_token_but_the_first_is_a_target_of_one_window(max_length, data):
    stride = data.draw(st.integers(1, max_length - 1))
    ids = list(range(data.draw(st.integers(1, 40))))
    windows = cut_windows(ids, [True] * len(ids), max_length, stride)
    found = [place for one in windows for place, told in zip(one.places, one.is_target, strict=True) if told]
    assert found == ids[1:]
    assert all(one.input_ids == [ids[place] for place in one.places] for one in windows)
    assert all(len(one.input_ids) == min(max_length, len(ids)) for one in windows)
    assert {one.num_tokens for one in windows} == {len(ids)}


def test_windows_overlap_by_what_the_stride_leaves_and_the_last_one_reaches_the_end():
    windows = cut_windows(list(range(11)), [True] * 11, 6, 4)
    assert [one.input_ids for one in windows] == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9], [5, 6, 7, 8, 9, 10]]
    assert [[n for n, told in zip(one.input_ids, one.is_target, strict=True) if told] for one in windows] == [
        [1, 2, 3, 4, 5], [6, 7, 8, 9], [10],
    ]  # fmt: skip


def test_every_window_begins_with_the_start_token():
    found = encoder(5, 3, adds_bos=True).encode_windows(Example("id", text="abcdefgh"))
    texts = [tiny_tokenizer().decode(one.input_ids) for one in found]
    assert texts == ["<s>abcd", "<s>defg", "<s>efgh"]
    assert [one.places for one in found] == [[0, 1, 2, 3, 4], [0, 4, 5, 6, 7], [0, 5, 6, 7, 8]]
    assert [sum(one.is_target) for one in found] == [4, 3, 1]


def test_windows_without_targets_are_left_out():
    found = cut_windows(list(range(12)), [False] * 10 + [True] * 2, 4, 2)
    assert [one.input_ids for one in found] == [[8, 9, 10, 11]]
    assert len(cut_windows(list(range(12)), [False] * 12, 4, 2)) == 1


def test_a_prompt_that_does_not_fit_keeps_its_start_token():
    found = encoder(4, adds_bos=True).encode(Example("id", prompt="abcdef", completion="x"))
    assert tiny_tokenizer().decode(found.input_ids) == "<s>fx</s>"
    assert (found.num_tokens, found.head, found.start) == (9, 1, 5)
    assert found.places == [0, 6, 7, 8]


def test_tokens_are_counted_whole_as_read_and_by_their_positions():
    windows = cut_windows(list(range(11)), [True] * 11, 6, 4)
    cut = take_sequence(list(range(11)), [True] * 11, 6, keeps_end=False)
    assert count_tokens(windows) == (11, 11, 18)
    assert count_tokens(cut) == (11, 6, 6)
    assert (is_cut(windows), is_cut(cut), is_cut(())) == (False, True, False)
    assert add_counts([count_tokens(windows), count_tokens(cut), count_tokens(())]) == (22, 17, 24)
    assert add_counts([]) == (0, 0, 0)


def texts_of(sequences) -> list[tuple[str, str, float]]:
    """Tokens, targets and weight of every sequence."""
    decode = tiny_tokenizer().decode
    return [
        (decode(one.input_ids), decode([n for n, told in zip(one.input_ids, one.is_target, strict=True) if told]),
         one.weight) for one in sequences
    ]  # fmt: skip


def test_the_rejected_side_of_a_pair_enters_with_weight_minus_one():
    pair = Example("id", prompt="ab", completion="cd", rejected="xyz")
    assert texts_of(encoder(9).encode_windows(pair)) == [("abcd</s>", "cd</s>", 1.0), ("abxyz</s>", "xyz</s>", -1.0)]
    template = (
        "{% for m in messages %}{{ m.role[0] + ':' + m.content + '.' }}{% endfor %}"
        "{% if add_generation_prompt %}a:{% endif %}"
    )
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    other = [chat[0], {"role": "assistant", "content": "no"}]
    found = encoder(30, chat_template=template).encode_windows(Example("id", messages=chat, rejected=other))
    assert texts_of(found) == [("u:hi.a:yo.", "yo.", 1.0), ("u:hi.a:no.", "no.", -1.0)]
    with pytest.raises(DataError, match="must be one sequence here, it is 2"):
        encoder(9).encode(pair)


@pytest.mark.parametrize(
    "packing",
    [
        {"position_ids": [0, 1, 2, 0, 1]},
        {"segment_ids": [1, 1, 1, 2, 2]},
        {"segment_ids": [7, 7, 7, 0, 0], "position_ids": [0, 1, 2, 0, 1]},
    ],
)
def test_segments_of_a_packed_row_are_sequences_of_their_own(packing):
    found = encoder(9).encode_windows(Example("id", input_ids=[3, 4, 5, 6, 7], **packing))
    assert texts_of(found) == [("abc", "bc", 1.0), ("de", "e", 1.0)]
    assert [one.places for one in found] == [[0, 1, 2], [3, 4]]
    assert count_tokens(found) == (5, 5, 5)


def test_labels_say_what_is_to_be_predicted():
    found = encoder(9).encode_windows(Example("id", input_ids=[3, 4, 5], labels=[3, -100, 5]))
    assert texts_of(found) == [("abc", "c", 1.0)]


def test_long_segments_are_cut_or_read_in_windows():
    row = Example("id", input_ids=[3, 4, 5, 6, 7, 3, 4], position_ids=[0, 1, 2, 3, 4, 0, 1])
    assert texts_of(encoder(3).encode_windows(row)) == [("abc", "bc", 1.0), ("ab", "b", 1.0)]
    assert texts_of(encoder(3, 2).encode_windows(row)) == [("abc", "bc", 1.0), ("cde", "de", 1.0), ("ab", "b", 1.0)]
    assert [one.places for one in encoder(3, 2).encode_windows(row)] == [[0, 1, 2], [2, 3, 4], [5, 6]]


def test_a_segment_of_padding_has_no_targets():
    row = Example("id", input_ids=[3, 4, PAD, PAD, PAD], segment_ids=[1, 1, 0, 0, 0])
    assert texts_of(encoder(9, pad_token="<unk>").encode_windows(row)) == [
        ("ab", "b", 1.0),
        ("<unk><unk><unk>", "", 1.0),
    ]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"input_ids": [3, 99]},
            r"must be below the model's 48 tokens, got 99 at place 1: it was tokenised for another",
        ),
        ({"input_ids": [-1, 3]}, "got -1 at place 0"),
        ({"input_ids": []}, "must hold a token, got none"),
        ({"input_ids": [3, 4], "labels": [3]}, r"`labels` must be as long as `input_ids`, 2, got 1"),
        ({"input_ids": [3, 4], "position_ids": [0]}, "`position_ids` must be as long"),
        (
            {"input_ids": [3, 4], "labels": [3, 5]},
            "must be the token at its place or -100, got 5 for token 4 at place 1",
        ),
    ],
)
def test_tokenised_rows_that_do_not_fit_the_model_are_refused(columns, reason):
    with pytest.raises(UnreadableRow, match=reason):
        encoder(9).encode_windows(Example("id", **columns))


def test_the_model_may_know_fewer_or_more_ids_than_the_tokenizer():
    row = Example("id", input_ids=[3, 50])
    assert Encoder(tiny_tokenizer(), 9, num_ids=64).encode_windows(row)
    with pytest.raises(UnreadableRow, match="below the model's 20 tokens, got 50"):
        Encoder(tiny_tokenizer(), 9, num_ids=20).encode_windows(row)


def test_a_row_that_cannot_be_read_does_not_stop_the_others():
    rows = [Example("a", input_ids=[3, 4]), Example("b", input_ids=[99]), Example("c", text="ab")]
    found = encoder(9).encode_all(rows)
    assert [len(text) for text in found.texts] == [1, 0, 1]
    assert found.unreadable.keys() == {"b"}
    assert found.unreadable["b"].startswith("`input_ids` must be below")
