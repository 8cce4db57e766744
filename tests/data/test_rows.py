"""What example a row of each form becomes, and why some rows become none."""

import json

import pytest

from lorif_core.config import ImportConfig
from lorif_core.data.columns import Columns, RowProblem, look_of
from lorif_core.data.example import Example
from lorif_core.data.find_columns import find_columns
from lorif_core.data.rows import read_row, split_of_texts


def said(role, content, **more):
    return {"role": role, "content": content, **more}


U, A, B, S = said("user", "q"), said("assistant", "a"), said("assistant", "b"), said("system", "s")


def example(row, **settings):
    columns = find_columns({name: look_of(value) for name, value in row.items()}, ImportConfig(**settings))
    found = read_row("", row, columns)
    return found if isinstance(found, RowProblem) else found._replace(train_id="t")


def fields(found):
    assert isinstance(found, Example), found
    assert found.weight == 1
    left_out = ("train_id", "weight")
    return {name: value for name, value in found._asdict().items() if value is not None and name not in left_out}


ALPACA = {"instruction": "Add {them}.", "input": "1, 2", "output": "3"}
TEXTS = [
    ({"text": " t "}, {}, {"text": " t "}),
    ({"prompt": "p", "completion": " c"}, {}, {"prompt": "p", "completion": " c"}),
    ({"prompt": "p", "completion": "c"}, {"prompt_form": "plain"}, {"prompt": "p\n", "completion": "c"}),
    (
        ALPACA,
        {},
        {
            "prompt": "Below is an instruction that describes a task, paired with an input that provides further "
            "context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd {them}."
            "\n\n### Input:\n1, 2\n\n### Response:\n",
            "completion": "3",
        },
    ),
    (
        {**ALPACA, "input": ""},
        {},
        {
            "prompt": "Below is an instruction that describes a task. Write a response that appropriately completes "
            "the request.\n\n### Instruction:\nAdd {them}.\n\n### Response:\n",
            "completion": "3",
        },
    ),
    (ALPACA, {"prompt_form": "plain"}, {"prompt": "Add {them}.\n\n1, 2\n", "completion": "3"}),
    ({**ALPACA, "input": None}, {"prompt_form": "plain"}, {"prompt": "Add {them}.\n", "completion": "3"}),
    (ALPACA, {"prompt_form": "verbatim"}, {"prompt": "Add {them}.1, 2", "completion": "3"}),
    (
        {**ALPACA, "system": "s"},
        {"prompt_form": "chat"},
        {"messages": [S, said("user", "Add {them}.\n\n1, 2"), said("assistant", "3")]},
    ),
    ({"question": "q", "answer": "a"}, {}, {"prompt": "q\n", "completion": "a"}),
    ({"system_prompt": "s", "question": "q", "response": "a"}, {}, {"prompt": "s\n\nq\n", "completion": "a"}),
    ({"question": "q", "answer": "a"}, {"prompt_form": "chat"}, {"messages": [U, A]}),
]


@pytest.mark.parametrize(("row", "settings", "expected"), TEXTS)
def test_texts_become_prompt_and_completion(row, settings, expected):
    assert fields(example(row, **settings)) == expected


SHARE = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
LONG = [U, A, U, B]
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
CHATS = [
    ({"messages": [U, A]}, {}, {"messages": [U, A]}),
    ({"messages": json.dumps([U, A])}, {}, {"messages": [U, A]}),
    ({"conversations": SHARE}, {}, {"messages": [S, U, A]}),
    ({"conversations": SHARE[1:], "system": "s"}, {}, {"messages": [S, U, A]}),
    ({"conversations": SHARE, "system": "other"}, {}, {"messages": [S, U, A]}),
    ({"conversations": [U, A]}, {}, {"messages": [U, A]}),
    ({"messages": SHARE}, {}, {"messages": [S, U, A]}),
    ({"messages": [said("human", "q"), said("gpt", "a")]}, {}, {"messages": [U, A]}),
    ({"messages": LONG}, {}, {"messages": LONG}),
    ({"messages": LONG}, {"target_turn": 1}, {"messages": LONG, "target_turn": -2}),
    ({"messages": LONG}, {"target_turn": 2}, {"messages": LONG, "target_turn": -1}),
    ({"messages": LONG}, {"target_turn": -2}, {"messages": LONG, "target_turn": -2}),
    ({"messages": [U, A]}, {"target_turn": -1}, {"messages": [U, A]}),
    ({"prompt": [U], "completion": [A]}, {}, {"messages": [U, A]}),
    ({"prompt": LONG[:3], "completion": [B]}, {}, {"messages": LONG, "target_turn": -1}),
    ({"prompt": "q", "completion": [A]}, {}, {"messages": [U, A]}),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}], "name": None}, A]},
        {},
        {"messages": [U, A]},
    ),
    (
        {"messages": [said("user", [{"type": "text", "text": "q1 "}, "q2"]), A]},
        {},
        {"messages": [said("user", "q1 q2"), A]},
    ),
    (
        {"messages": [U, {"role": "assistant", "content": None, "tool_calls": [CALL]}, said("tool", "2")]},
        {},
        {"messages": [U, said("assistant", "", tool_calls=[CALL]), said("tool", "2")]},
    ),
    (
        {
            "messages": [U, {"role": "assistant", "function_call": {"name": "add", "arguments": '{"a": 1}'}}],
            "functions": [{"name": "add"}],
        },
        {},
        {
            "messages": [U, said("assistant", "", tool_calls=[CALL])],
            "tools": [{"type": "function", "function": {"name": "add"}}],
        },
    ),
    (
        {
            "conversations": [
                SHARE[1],
                {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
                {"from": "observation", "value": "2"},
                SHARE[2],
            ],
            "tools": '[{"type": "function", "function": {"name": "add"}}]',
        },
        {},
        {
            "messages": [U, said("assistant", "", tool_calls=[CALL]), said("tool", "2"), A],
            "tools": [{"type": "function", "function": {"name": "add"}}],
        },
    ),
    ({"messages": [U, A], "tools": None}, {}, {"messages": [U, A]}),
    (
        {"messages": [U, {**A, "weight": 0}, U, {**B, "weight": 1}]},
        {},
        {"messages": [U, {**A, "weight": 0}, U, {**B, "weight": 1}], "target_turn": -1},
    ),
]


@pytest.mark.parametrize(("row", "settings", "expected"), CHATS)
def test_chats_become_messages_that_templates_read(row, settings, expected):
    assert fields(example(row, **settings)) == expected


SIDES = {"chosen": "c", "rejected": "r"}
PREFERENCES = [
    ({"prompt": "p", **SIDES}, {"prompt": "p", "completion": "c"}, "r"),
    ({"question": "p", **SIDES}, {"prompt": "p\n", "completion": "c"}, "r"),
    ({"chosen": "The sky is blue.", "rejected": "The sky is black."}, ("The sky is", " blue."), " black."),
    ({"chosen": "Yes", "rejected": "Yes indeed"}, ("", "Yes"), "Yes indeed"),
    ({"chosen": "Q\n\nblue", "rejected": "Q\n\nblack"}, ("Q\n\n", "blue"), "black"),
    (
        {"chosen": "\n\nHuman: q\n\nAssistant: I am", "rejected": "\n\nHuman: q\n\nAssistant: I was"},
        ("\n\nHuman: q\n\nAssistant:", " I am"),
        " I was",
    ),
    ({"prompt": [U], "chosen": [A], "rejected": [B]}, {"messages": [U, A]}, [U, B]),
    ({"prompt": "q", "chosen": [U, A], "rejected": [U, B]}, {"messages": [U, A]}, [U, B]),
    ({"prompt": "q", "chosen": [A], "rejected": [B]}, {"messages": [U, A]}, [U, B]),
    ({"chosen": [U, A], "rejected": [U, B]}, {"messages": [U, A]}, [U, B]),
    (
        {"chosen": [U, A, U, A], "rejected": [U, A, U, B]},
        {"messages": [U, A, U, A], "target_turn": -1},
        [U, A, U, B],
    ),
    ({"prompt": [U], "chosen": [U, A], "rejected": [U, B]}, {"messages": [U, A]}, [U, B]),
    ({"prompt": "q", "chosen": json.dumps([U, A]), "rejected": json.dumps([U, B])}, {"messages": [U, A]}, [U, B]),
]


@pytest.mark.parametrize(("row", "expected", "rejected"), PREFERENCES)
def test_preference_data_become_a_chosen_side_with_or_without_the_rejected_one(row, expected, rejected):
    if isinstance(expected, tuple):
        expected = dict(zip(("prompt", "completion"), expected, strict=True))
    assert fields(example(row, preference="pairs")) == expected | {"rejected": rejected}
    assert fields(example(row, preference="chosen")) == expected


def test_pairs_may_be_read_as_chats():
    row = {"system": "s", "question": "q", "chosen": "a", "rejected": "b"}
    found = fields(example(row, preference="pairs", prompt_form="chat"))
    assert found == {"messages": [S, U, A], "rejected": [S, U, B]}


def test_where_several_turns_follow_all_are_targets_for_what_both_sides_share_cancels():
    row = {"chosen": [U, A, U, A, U, A], "rejected": [U, A, U, B, U, B]}
    assert example(row, preference="pairs").target_turn is None
    assert example(row, preference="chosen").reason == "several assistant turns are targets, but not all"
    assert example(row, preference="chosen", target_turn=-1).target_turn == -1


@pytest.mark.parametrize(
    ("one", "other", "prompt"),
    [
        ("Sydney is nice", "Sydenham is", ""),
        ("in Sydney", "in Sydenham", "in"),
        ("Yes no", "Yesterday", ""),
        ("a  b", "a  c", "a "),
        ("same", "other", ""),
        ("a b", "a b c", "a"),
    ],
)
def test_what_two_texts_share_ends_between_words(one, other, prompt):
    assert one[: split_of_texts(one, other)] == prompt
    assert split_of_texts(other, one) == split_of_texts(one, other)


TOKENS = [
    ({"input_ids": [5, 6, 7]}, {"input_ids": [5, 6, 7]}),
    ({"input_ids": "[5, 6]"}, {"input_ids": [5, 6]}),
    ({"input_ids": [[5, 6]]}, {"input_ids": [5, 6]}),
    ({"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [5, 6], "labels": [-100, 6]}),
    (
        {"input_ids": [0, 5, 6, 0], "labels": [-100, -100, 6, -100], "attention_mask": [0, 1, 1, 0]},
        {"input_ids": [5, 6], "labels": [-100, 6]},
    ),
    (
        {"input_ids": [5, 6, 7, 8], "position_ids": [0, 1, 0, 1]},
        {"input_ids": [5, 6, 7, 8], "position_ids": [0, 1, 0, 1]},
    ),
    (
        {"input_ids": [5, 6, 7, 8, 0], "attention_mask": [1, 1, 2, 2, 0]},
        {"input_ids": [5, 6, 7, 8], "segment_ids": [1, 1, 2, 2]},
    ),
    (
        {"input_ids": [5, 6, 7, 8, 9], "seq_lengths": [2, 3]},
        {"input_ids": [5, 6, 7, 8, 9], "segment_ids": [0, 0, 1, 1, 1]},
    ),
    ({"input_ids": [5, 6], "seq_idx": [0, 0]}, {"input_ids": [5, 6], "segment_ids": [0, 0]}),
]


@pytest.mark.parametrize(("row", "expected"), TOKENS)
def test_pre_tokenised_rows_keep_their_ids(row, expected):
    roles = {"seq_idx": "segment_ids"}
    columns = Columns("tokens", form="tokens", **{roles.get(name, name): name for name in row})
    assert fields(read_row("t", row, columns)) == expected


def test_ids_with_a_text_beside_are_read_as_that_text():
    found = example({"input_ids": [5, 6], "text": "five six"}, form="tokens")
    assert found.plain_text == "five six"
    assert example({"input_ids": list(range(1512))}).plain_text == "[pre-tokenised: 1,512 ids]"


BAD = [
    ({"instruction": "i", "output": " "}, {}, "empty target"),
    ({"question": None, "answer": "a"}, {}, "missing column `question`"),
    ({"question": "q", "answer": 5}, {"prompt": "question", "completion": "answer"}, "`answer` is not text"),
    (
        {"messages": [said("user", [{"type": "image_url", "image_url": "x"}]), A]},
        {},
        "`messages` has content that is not text",
    ),
    ({"conversations": [{"from": "alien", "value": "x"}]}, {}, "`conversations` has a speaker that is not known"),
    ({"conversations": [{"from": 5, "value": "x"}]}, {}, "`conversations` is not a list of messages"),
    ({"messages": [U]}, {}, "empty target"),
    ({"messages": [U, {**A, "weight": 0}]}, {}, "empty target"),
    ({"messages": [U, {**A, "train": False}, U, B, U, B]}, {}, "several assistant turns are targets, but not all"),
    ({"messages": [U, A]}, {"target_turn": 2}, "no such assistant turn"),
    ({"messages": [U, A]}, {"target_turn": -2}, "no such assistant turn"),
    (
        {"messages": [U, said("assistant", "", tool_calls=[{"type": "function"}])]},
        {},
        "`messages` has a tool call without a name",
    ),
    ({"messages": [U, A], "tools": "calculator"}, {}, "`tools` is not a list of tools"),
    ({"prompt": [U], "completion": [U]}, {}, "empty target"),
    ({"prompt": LONG, "completion": LONG}, {}, "several assistant turns are targets, but not all"),
    ({"prompt": "p", "chosen": "c", "rejected": "c"}, {"preference": "pairs"}, "chosen and rejected are the same"),
    ({"prompt": "p", "chosen": "c", "rejected": ""}, {"preference": "pairs"}, "empty target"),
    ({"prompt": "p", "chosen": "c", "rejected": None}, {"preference": "pairs"}, "missing column `rejected`"),
    (
        {"prompt": "x", "chosen": [U, A], "rejected": [U, B]},
        {"preference": "pairs"},
        "prompt and messages do not belong together",
    ),
    (
        {"prompt": "p", "completion": "c", "label": False},
        {"preference": "chosen"},
        "`label` is false: not a wanted completion",
    ),
    ({"input_ids": [5]}, {}, "empty target"),
    ({"input_ids": [5, -1]}, {}, "`input_ids` holds a negative id"),
    ({"input_ids": [5, 6.5]}, {}, "`input_ids` is not a list of whole numbers"),
    ({"input_ids": [5, True]}, {}, "`input_ids` is not a list of whole numbers"),
    ({"input_ids": [5, 6], "labels": [6]}, {}, "`labels` has another length than the ids"),
    ({"input_ids": [5, 6, 7], "labels": [6, 7, -100]}, {}, "labels are shifted by one"),
    ({"input_ids": [5, 6, 7], "labels": [5, 6, 8]}, {}, "labels are other tokens than the ids"),
    ({"input_ids": [5, 6], "labels": [5, -100]}, {}, "empty target"),
    ({"input_ids": [5, 6], "position_ids": [0, 0]}, {}, "empty target"),
    ({"input_ids": [5, 6, 7], "labels": [-100, -100, 7], "segment_ids": [0, 0, 1]}, {}, "empty target"),
    ({"input_ids": [5, 6], "seq_lengths": [1, 2]}, {}, "`seq_lengths` does not add up to the ids"),
    (
        {"input_ids": [5, 6], "attention_mask": [[1, 1], [1, 1]]},
        {},
        "`attention_mask` is not a list of whole numbers",
    ),
]


@pytest.mark.parametrize(("row", "settings", "reason"), BAD)
def test_a_row_that_cannot_be_an_example_says_why(row, settings, reason):
    found = example(row, **settings)
    assert isinstance(found, RowProblem)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Example("a", messages=[U, A], rejected=[U, B]), "user: q\nassistant: a\n— not chosen:\nassistant: b"),
        (Example("a", prompt="p", completion=" c", rejected=" r"), "p c\n— not chosen:\n r"),
        (Example("a", messages=[said("assistant", "", tool_calls=[CALL])]), 'assistant: add({"a": 1})'),
    ],
)
def test_people_read_both_sides_and_what_tools_are_called(one, text):
    assert one.plain_text == text
