"""Which form some columns have: found by names and values, named, and never guessed where two are possible."""

import pytest

from lorif_core.config import FormName, ImportConfig, PromptForm
from lorif_core.data.columns import look_of
from lorif_core.data.find_columns import find_columns, other_readings
from lorif_core.data.forms import FORMS, describe, form_of, settings_of
from lorif_core.errors import ConfigError, DataError

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
SAID = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]


def looks(row):
    return {name: look_of(value) for name, value in row.items()}


def found(row, **settings):
    return find_columns(looks(row), ImportConfig(**settings))


CASES = {
    "messages": {"messages": CHAT, "text": "t", "n": 1},
    "sharegpt": {"conversations": SAID, "system": "s"},
    "conversational": {"prompt": CHAT[:1], "completion": CHAT[1:]},
    "prompt_completion": {"prompt": "p", "completion": "c", "text": "t"},
    "tokens": {"input_ids": [1, 2], "attention_mask": [1, 1], "labels": [1, 2]},
    "alpaca": {"instruction": "i", "input": "", "output": "o"},
    "instruction_response": {"instruction": "i", "context": "c", "response": "r", "category": "x"},
    "question_answer": {"question": "q", "answer": "a #### 3"},
    "input_output": {"input": "i", "output": "o"},
    "query_response": {"query": "q", "response": "r", "original_question": "o", "type": "t"},
    "prompt_response": {"prompt": "q", "response": "r", "score": 0.5},
    "text": {"text": "t", "url": "u"},
}


@pytest.mark.parametrize("name", CASES)
def test_each_form_is_found_by_its_columns(name):
    columns = found(CASES[name])
    assert form_of(columns) == name
    assert FORMS[name].title in describe(columns)
    assert all(f"`{column}`" in describe(columns) for column in columns.read_columns)


def test_every_form_has_a_case():
    assert set(FORMS) == set(CASES) | {"preference", "unpaired"}
    assert set(FORMS) == set(FormName.__args__)


PREFERENCES = {
    "texts": {"prompt": "p", "chosen": "c", "rejected": "r"},
    "without a prompt": {"chosen": "p c", "rejected": "p r"},
    "chats": {"prompt": "p", "chosen": CHAT, "rejected": CHAT, "score_chosen": 1.0},
    "question": {"system": "s", "question": "p", "chosen": "c", "rejected": "r"},
    "alpaca preference": {"instruction": "p", "input": "i", "chosen": "c", "rejected": "r"},
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_preference_data_are_refused_until_a_person_says_which_sides_are_read(name):
    with pytest.raises(DataError) as refused:
        found(PREFERENCES[name])
    assert "`--preference pairs`" in str(refused.value)
    assert "`--preference chosen`" in str(refused.value)
    assert str(refused.value).count(". ") == 0
    for side in ("pairs", "chosen"):
        columns = found(PREFERENCES[name], preference=side)
        assert (columns.kind, columns.preference, columns.chosen) == ("preference", side, "chosen")


def test_preference_data_beside_messages_name_all_three_readings():
    row = {"prompt": "p", "messages": CHAT, "chosen": CHAT, "rejected": CHAT}
    with pytest.raises(DataError, match=r"`--preference pairs`.*`--preference chosen`.*`--form messages`"):
        found(row)
    assert found(row, form="messages").messages == "messages"
    assert found(row, messages="messages").messages == "messages"


def test_completions_with_a_verdict_are_not_taken_for_wanted_ones():
    row = {"prompt": "p", "completion": "c", "label": True}
    with pytest.raises(DataError, match=r"pass `--preference chosen` .*or `--form prompt_completion`"):
        found(row)
    assert form_of(found(row, preference="chosen")) == "unpaired"
    assert form_of(found(row, prompt="prompt", completion="completion")) == "prompt_completion"
    assert form_of(found({**row, "label": "spam"})) == "prompt_completion"
    with pytest.raises(DataError, match="are needed for these flags"):
        found(row, preference="pairs")


@pytest.mark.parametrize(
    ("row", "flags"),
    [
        ({"text": "t", "instruction": "i", "output": "o"}, ["--form alpaca", "--form text"]),
        ({"text": "t", "input_ids": [1, 2]}, ["--form tokens", "--form text"]),
        ({"question": "q", "answer": "a", "instruction": "i", "output": "o"}, ["--form alpaca", "question_answer"]),
        (
            {"question": "q", "answer": "a", "response": "r"},
            ["--form question_answer --completion answer", "--form question_answer --completion response"],
        ),
        (
            {"instruction": "i", "input": "x", "context": "y", "output": "o"},
            ["--form alpaca --column context=input", "--form alpaca --column context=context"],
        ),
    ],
)
def test_where_two_readings_are_possible_both_are_named_with_the_flags_that_choose_them(row, flags):
    with pytest.raises(DataError, match=r"can be read in \d ways: choose") as refused:
        found(row)
    assert [flag for flag in flags if flag not in str(refused.value)] == []


def test_the_flags_that_are_named_choose():
    assert found({"text": "t", "instruction": "i", "output": "o"}, form="text").text == "text"
    row = {"question": "q", "answer": "a", "response": "r"}
    assert found(row, form="question_answer", completion="response").completion == "response"
    row = {"instruction": "i", "input": "x", "context": "y", "output": "o"}
    assert found(row, form="alpaca", column=("context=context",)).context == "context"


def test_the_names_that_mean_nothing_else_win_and_the_others_are_said():
    row = {"prompt": "p", "completion": "c", "text": "t"}
    columns = found(row)
    assert columns.kind == "prompt_completion"
    assert other_readings(looks(row), ImportConfig(), columns) == ["plain text (`text`) by `--form text`"]
    assert other_readings(looks(row), ImportConfig(text="text"), found(row, text="text")) == []


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "i", "input": "x"},
        {"chosen": "c", "other": "d"},
        {"question": "q", "choices": ["a"], "answer": 2},
        {"question": "q", "answers": {"text": ["a"]}},
        {"input": CHAT, "output": CHAT},
        {"prompt": "p", "label": True},
        {"question": "q", "context": "c"},
    ],
)
def test_what_is_no_form_is_not_read_and_no_wrong_flags_are_proposed(row):
    with pytest.raises(DataError, match="Name them with") as refused:
        found(row)
    assert "for example `--prompt" not in str(refused.value)


def test_the_prompt_of_an_alpaca_row_is_never_proposed_as_its_completion():
    for row in ({"instruction": "i", "input": "x", "output": "o"}, {"prompt": "p", "chosen": "c", "rejected": "r"}):
        with pytest.raises(DataError) as refused:
            found(row, text="gone")
        assert "--completion input" not in str(refused.value)
        assert "--completion rejected" not in str(refused.value)


def test_columns_of_other_names_are_given_by_role():
    row = {"instr": "i", "ctx": "c", "out": "o", "tok": [1, 2]}
    columns = found(row, form="alpaca", prompt="instr", completion="out", column=("context=ctx",))
    assert columns.names == {"prompt": "instr", "context": "ctx", "completion": "out"}
    assert columns.prompt_form == "alpaca"
    assert found(row, column=("input_ids=tok",)).kind == "tokens"
    for wrong in ("tok", "ids=tok", "prompt=instr"):
        with pytest.raises(DataError, match=r"`--column` takes ROLE=COLUMN with a role of .*input_ids"):
            found(row, column=(wrong,))
    with pytest.raises(DataError, match="`--column input_ids=gone` must name a column of the data, got 'gone'"):
        found(row, column=("input_ids=gone",))


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        (CASES["text"], {"preference": "pairs"}, "`chosen` and `rejected` are needed for these flags"),
        (CASES["alpaca"], {"target_turn": 1}, "`--target-turn` is for chats, these are instructions"),
        (CASES["messages"], {"prompt_form": "chat"}, "`--prompt-form` is for prompts of text, these are chat"),
        (CASES["text"], {"form": "alpaca"}, "`instruction` and `output` are needed"),
        (CASES["messages"], {"form": "messages", "preference": "chosen"}, "`--preference` is for preference data"),
    ],
)
def test_choices_that_do_not_fit_the_form_are_refused(row, settings, message):
    with pytest.raises(DataError, match=message):
        found(row, **settings)


def test_turns_are_counted_from_one():
    with pytest.raises(ConfigError, match="counts assistant turns from 1, or from -1 backwards, got 0"):
        ImportConfig(target_turn=0)


def test_any_text_form_may_be_read_as_a_chat():
    for name in ("prompt_completion", "alpaca", "question_answer", "prompt_response"):
        columns = found(CASES[name], prompt_form="chat", target_turn=-1)
        assert (columns.kind, form_of(columns), columns.target_turn) == ("messages", name, -1)


ONLY_CHATS = ("messages", "sharegpt", "conversational")
WAYS = [
    *((name, {"prompt_form": form}) for name in CASES for form in FORMS[name].prompt_forms),
    *((name, {"target_turn": 2}) for name in ONLY_CHATS),
    *((name, {}) for name in CASES),
    *((name, {"preference": "pairs", "prompt_form": form}) for name in PREFERENCES for form in PromptForm.__args__),
]


@pytest.mark.parametrize(("name", "settings"), WAYS)
def test_settings_made_of_columns_find_the_same_columns_again(name, settings):
    row = CASES.get(name) or PREFERENCES[name]
    columns = found(row, **settings)
    assert find_columns(looks(row), settings_of(columns, keep_empty=False)) == columns
    assert type(columns).from_dict(columns.to_dict()) == columns
