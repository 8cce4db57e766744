"""What a request to a journal may say."""

import pytest
from acting import by, exclude, flag, label, note

from lorif_core.errors import JournalError
from lorif_core.journal import Decision, Scope


def test_an_example_counts_once_however_often_it_is_named():
    assert flag("b", "a", "b").train_ids == ("b", "a")


@pytest.mark.parametrize(
    ("train_ids", "message"),
    [
        ((), r"about at least one example, got none: select some first"),
        ("abc", r"a list of ids, got the text 'abc': put it in a list"),
        ((1,), r"a train id is a text that is not empty, got 1"),
        (("",), r"a train id is a text that is not empty, got ''"),
        (("a\0",), r"no zero byte"),
        (("\ud800",), r"no half character"),
    ],
    ids=["none", "text", "number", "empty", "zero", "surrogate"],
)
@pytest.mark.usefixtures("unchecked_types")
def test_what_is_no_list_of_ids_is_refused(train_ids, message):
    with pytest.raises(JournalError, match=message):
        Decision(kind="flag", train_ids=train_ids)


def test_a_decision_says_what_its_kind_needs():
    with pytest.raises(JournalError, match=r"to exclude needs a reason, got none"):
        Decision(kind="exclude", train_ids=["a"])
    with pytest.raises(JournalError, match=r"to note needs text, got none"):
        note(" \n", "a")
    with pytest.raises(JournalError, match=r"to label needs a name, got none"):
        Decision(kind="label", train_ids=["a"])
    with pytest.raises(JournalError, match=r"to unlabel needs the name of a label"):
        Decision(kind="unlabel", train_ids=["a"])
    with pytest.raises(JournalError, match=r"only flag, exclude, restore settle a disagreement, got 'note'"):
        Decision(kind="note", train_ids=["a"], text="x", settles=True)


@pytest.mark.parametrize("kind", ["undo", "delete", ""])
@pytest.mark.usefixtures("unchecked_types")
def test_an_unknown_kind_is_refused_with_the_known_ones(kind):
    with pytest.raises(JournalError, match=r"one of flag, exclude, restore, note, label, unlabel, got"):
        Decision(kind=kind, train_ids=["a"])


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\x9b", "\ud800"])
@pytest.mark.parametrize("field", ["text", "rule", "query_id"])
def test_control_characters_are_refused(field, character):
    with pytest.raises(JournalError, match=rf"{field} may not contain control characters"):
        flag("a", **{field: f"so{character}so"})


def test_text_may_have_lines_but_a_name_may_not():
    assert note("two\n\tlines", "a").text == "two\n\tlines"
    with pytest.raises(JournalError, match=r"a label may not contain control characters, got '\\n'"):
        label("two\nlines", "a")
    with pytest.raises(JournalError, match=r"corpus_id may not contain control characters"):
        by("ada", "two\nlines")


@pytest.mark.parametrize("field", ["text", "rule"])
def test_text_has_a_longest_length(field):
    assert flag("a", **{field: "x" * 10_000})
    with pytest.raises(JournalError, match=rf"{field} may have 10,000 characters, got 10,001: shorten it"):
        flag("a", **{field: "x" * 10_001})


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
def test_a_name_has_a_length(name):
    with pytest.raises(JournalError, match=r"actor needs 1 to 200 characters, got (0|201)"):
        by(name)
    with pytest.raises(JournalError, match=r"dataset_id needs 1 to 200 characters"):
        Scope(actor="ada", corpus_id="c", dataset_id=name)
    with pytest.raises(JournalError, match=r"query_id needs 1 to 200 characters"):
        exclude("a", query_id=name)
