import itertools
from collections import Counter

import pytest

from lorif_core.config import ImportConfig
from lorif_core.data.column_plan import plan_columns
from lorif_core.data.columns import Columns, ColumnScan, merge_storages, spelled_out, storage_of
from lorif_core.data.find_columns import find_columns
from lorif_core.data.rows import problem_of_row
from lorif_core.errors import DataError

STORAGES = [None, "bool", "int", "wide int", "float", "string", "json"]
CHAT = Columns("messages", messages="chat")
PAIR = Columns("prompt_completion", prompt="q", completion="a")


def unseen(names):
    """Columns of which nothing but the names is known."""
    return dict.fromkeys(names)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["text", "prompt", "completion", "messages"], Columns("messages", messages="messages")),
        (["text", "completion", "prompt"], Columns("prompt_completion", prompt="prompt", completion="completion")),
        (["prompt", "text"], Columns("text", text="text")),
        (["id", "text"], Columns("text", text="text", id="id")),
    ],
)
def test_columns_are_found_by_name_in_a_fixed_order_of_kinds(names, expected):
    assert find_columns(unseen(names), ImportConfig()) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (ImportConfig(text="body"), Columns("text", text="body", id="id")),
        (ImportConfig(messages="body"), Columns("messages", messages="body", id="id")),
        (
            ImportConfig(prompt="body", completion="text"),
            Columns("prompt_completion", prompt="body", completion="text", id="id"),
        ),
        (ImportConfig(text="body", id="key"), Columns("text", text="body", id="key")),
        (ImportConfig(id="key"), Columns("messages", messages="messages", id="key")),
    ],
)
def test_named_columns_win_over_found_ones(settings, expected):
    assert find_columns(unseen(["id", "key", "messages", "text", "body"]), settings) == expected


@pytest.mark.parametrize("role", ["text", "messages", "id"])
def test_a_named_column_that_is_absent_is_refused_with_the_columns_there_are(role):
    message = (
        rf"`--{role}` must name a column of the data, got 'body'; the columns are `my question`, `answer`\. "
        "Name one of them, for example `--prompt 'my question' --completion answer`"
    )
    with pytest.raises(DataError, match=message):
        find_columns(unseen(["my question", "answer"]), ImportConfig(**{role: "body"}))


def test_without_a_known_name_the_message_lists_columns_and_flags():
    message = "columns are `id`, `my_question`, `reply`.*`--text`.*example `--prompt my_question --completion reply`"
    with pytest.raises(DataError, match=message):
        find_columns(unseen(["id", "my_question", "reply"]), ImportConfig())


def test_a_single_unknown_column_is_proposed_as_text():
    with pytest.raises(DataError, match="for example `--text body`"):
        find_columns(unseen(["body"]), ImportConfig())


def test_a_long_list_of_columns_is_cut():
    with pytest.raises(DataError, match="`c19` and 80 more"):
        find_columns(unseen([f"c{i}" for i in range(100)]), ImportConfig())


def test_one_column_cannot_be_both_prompt_and_completion():
    with pytest.raises(DataError, match="two columns, got 'a' for both"):
        find_columns(unseen(["a", "b"]), ImportConfig(prompt="a", completion="a"))


@pytest.mark.parametrize("columns", [CHAT, PAIR, Columns("text", text="t", id="id")])
def test_columns_survive_a_round_trip_through_a_dict(columns):
    assert Columns.from_dict(columns.to_dict()) == columns


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "user", "content": ""}, {"role": "assistant", "content": "b", "name": None}],
        [{"role": "assistant", "content": ""}, {"role": "assistant", "content": "b"}],
    ],
)
def test_messages_with_an_assistant_turn_are_usable(turns):
    assert problem_of_row({"chat": turns}, CHAT) is None


@pytest.mark.parametrize(
    ("values", "columns", "reason"),
    [
        ({"a": "x"}, PAIR, "missing column `q`"),
        ({"q": None, "a": "x"}, PAIR, "missing column `q`"),
        ({"q": "x"}, PAIR, "missing column `a`"),
        ({"q": "x", "a": 5}, PAIR, "`a` is not text"),
        ({"q": ["x"], "a": "x"}, PAIR, "`q` is not text"),
        ({"q": "x", "a": " \n"}, PAIR, "empty target"),
        ({"t": ""}, Columns("text", text="t"), "empty target"),
        ({}, CHAT, "missing column `chat`"),
        ({"chat": "hello"}, CHAT, "`chat` is not a list of messages"),
        ({"chat": {"role": "user"}}, CHAT, "`chat` is not a list of messages"),
        ({"chat": ["hello"]}, CHAT, "`chat` is not a list of messages"),
        ({"chat": [{"role": "assistant"}]}, CHAT, "`chat` is not a list of messages"),
        ({"chat": [{"role": "assistant", "content": None}]}, CHAT, "`chat` is not a list of messages"),
        ({"chat": [{"content": "x"}]}, CHAT, "`chat` is not a list of messages"),
        ({"chat": []}, CHAT, "empty target"),
        ({"chat": [{"role": "user", "content": "x"}]}, CHAT, "empty target"),
        ({"chat": [{"role": "assistant", "content": " "}]}, CHAT, "empty target"),
    ],
)
def test_a_row_that_cannot_be_an_example_has_a_reason(values, columns, reason):
    problem = problem_of_row(values, columns)
    assert problem is not None
    assert problem.reason == reason


def test_an_empty_prompt_is_usable():
    assert problem_of_row({"q": "", "a": "x"}, PAIR) is None


def test_messages_spelled_as_json_text_are_read():
    assert spelled_out('[{"role": "user", "content": "x"}]') == [{"role": "user", "content": "x"}]
    assert spelled_out("no json") == "no json"
    assert spelled_out("[" * 100_000) == "[" * 100_000


@pytest.mark.parametrize(
    ("values", "storage"),
    [
        ([None, None], None),
        ([None, True], "bool"),
        ([1, 2**53], "int"),
        ([1, 2**63 - 1, -(2**63)], "wide int"),
        ([2**63, 1], "uint"),
        ([2**64], "json"),
        ([1, 1.5], "float"),
        ([2**53, 1.5], "float"),
        ([2**63, 1.5], "json"),
        ([2**53 + 1, 1.5], "json"),  # float64 would round the whole number
        (["a", None], "string"),
        (["a", 1], "json"),
        ([True, 1], "json"),
        ([["a"], ["b"]], "json"),
        ([{"a": 1}], "json"),
    ],
)
def test_a_storage_holds_every_value_of_its_column_exactly(values, storage):
    for order in (values, values[::-1]):
        merged = None
        for value in order:
            merged = merge_storages(merged, storage_of(value))
        assert merged == storage


def test_merging_storages_does_not_depend_on_order():
    for one, other, third in itertools.product(STORAGES, repeat=3):
        assert merge_storages(one, other) == merge_storages(other, one)
        left = merge_storages(merge_storages(one, other), third)
        assert left == merge_storages(one, merge_storages(other, third))


def test_columns_with_the_names_of_our_own_are_renamed_to_free_names():
    scanned = ["train_id", "original_train_id", "source_line", "", "text"]
    plan = plan_columns(
        {name: ColumnScan(storages=Counter(string=1)) for name in scanned}, ImportConfig(id="train_id")
    )
    assert plan.stored_names == {
        "train_id": "original_original_train_id",
        "original_train_id": "original_train_id",
        "source_line": "original_source_line",
        "": "unnamed",
        "text": "text",
    }
    assert plan.stored == Columns("text", text="text", id="original_original_train_id")
    assert plan.metadata_columns == ["original_train_id", "original_source_line", "unnamed"]
