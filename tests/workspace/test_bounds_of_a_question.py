"""What a question may not ask is refused where it is made, from Python as from a command."""

import pytest
from tiny_workspace import copy_of, indexed

import lorif_core as lf
from lorif_core.errors import ConfigError

BOUNDS = [
    ({"k": -1}, "k must be at least 1 and opposing at least 0, got -1 and 0."),
    ({"k": 0}, "k must be at least 1 and opposing at least 0, got 0 and 0."),
    ({"num_opposing": -2}, "k must be at least 1 and opposing at least 0, got 10 and -2."),
    (
        {"settings": lf.ScoreConfig(objective="contrast")},
        "the objective contrast and a second completion go together",
    ),
    (
        {"contrast": " b", "settings": lf.ScoreConfig(objective="margin")},
        "the objective contrast and a second completion go together",
    ),
    ({"tokens": ()}, "tokens must lie between 0 and"),
    ({"tokens": (99,)}, "tokens must lie between 0 and"),
    ({"tokens": (-1,)}, "tokens must lie between 0 and"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copy_of(indexed(), tmp_path_factory.mktemp("bounds"))


@pytest.mark.parametrize(("asked", "reason"), BOUNDS, ids=str)
def test_a_question_out_of_bounds_is_one_sentence_and_leaves_nothing(folder, asked, reason):
    opened = lf.open_workspace(folder)
    with pytest.raises(ConfigError, match=f"^{reason}"):
        opened.ask("The river of", " Arlen", **asked)
    assert opened.questions.records() == []


@pytest.mark.parametrize("k", [-1, 0])
def test_a_kept_answer_is_not_sliced_by_a_length_that_makes_no_sense(folder, tmp_path, k):
    opened = lf.open_workspace(copy_of(indexed(), tmp_path))
    opened.ask("The river of", " Arlen", k=5)
    with pytest.raises(ConfigError, match="k must be at least 1"):
        opened.ask("The river of", " Arlen", k=k)
    with pytest.raises(ConfigError, match="k must be at least 1"):
        lf.Question(prompt="The river of", completion=" Arlen", k=k)


@pytest.mark.parametrize(("asked", "kind"), [(lf.Question(prompt="p"), "Question"), (5, "int")])
def test_what_is_no_text_is_refused_with_the_way_to_ask_it(asked, kind, unchecked_types):
    with pytest.raises(ConfigError) as refusal:
        lf.Question(prompt=asked)
    assert str(refusal.value).startswith(
        f"prompt must be a text, got {kind}. A whole `lf.Question` goes to `ws.questions.ask`"
    )
