import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.corpus.conditions import And, Comparison, Or
from lorif_core.corpus.rules import Rule, parse_rule, parse_rules
from lorif_core.corpus.where import parse_where
from lorif_core.errors import QueryError

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
ISSUE_RULE = (
    "exclude where reason = misinformation and score in the top 1 % for query 7 and source = forum "
    'because misinformation: "came from the forum dump"'
)
IS_A = Comparison("a", "=", ("1",))

line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r"), max_size=12)
words = st.one_of(line, st.sampled_from(["because", "where", "flag", "misinformation", "a:", ":", '"', "# no"]))
conditions = st.one_of(
    st.builds(Comparison, words.filter(bool), st.just("="), st.tuples(words)),
    st.tuples(words, words).map(lambda pair: Or((IS_A, And((IS_A, Comparison("in", "in", pair)))))),
)
reasons = st.one_of(st.just((None, None)), st.tuples(words, st.none()), st.tuples(words, words))
rules = st.one_of(
    st.tuples(st.sampled_from(["flag", "restore"]), conditions, st.none(), reasons),
    st.tuples(st.just("exclude"), conditions, st.none(), reasons.filter(lambda pair: pair[0] is not None)),
    st.tuples(st.sampled_from(["label", "unlabel"]), conditions, words, reasons),
).map(lambda parts: Rule(*parts[:3], *parts[3]))


def test_the_rule_of_the_issue_is_understood():
    rule = parse_rule(ISSUE_RULE)
    where = "reason = misinformation and score in the top 1 % for query 7 and source = forum"
    assert rule == Rule("exclude", parse_where(where), None, "misinformation", "came from the forum dump")
    assert str(rule) == ISSUE_RULE


@given(rules)
def test_reading_the_text_of_a_rule_gives_the_rule(rule):
    assert parse_rule(str(rule)) == rule


@given(st.lists(rules, max_size=5))
def test_a_file_of_written_rules_gives_the_rules(written):
    assert parse_rules("\n".join(map(str, written))) == written


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("flag where a = 1", Rule("flag", IS_A)),
        ("FLAG WHERE a=1 BECAUSE spam", Rule("flag", IS_A, None, "spam")),
        ("flag where a=1 because spam:'twice'", Rule("flag", IS_A, None, "spam", "twice")),
        ('flag where a=1 because "off topic" : ""', Rule("flag", IS_A, None, "off topic", "")),
        ("restore where a=1", Rule("restore", IS_A)),
        ('label "needs check" where a=1', Rule("label", IS_A, "needs check")),
        ("unlabel flag where a=1 because done", Rule("unlabel", IS_A, "flag", "done")),
    ],
)
def test_each_verb_is_understood(text, rule):
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"at column 1, expected one of flag, exclude, restore, label, unlabel, found the end"),
        ("drop where a=1", r"at column 1, expected one of flag, .* found `drop`"),
        ("flag a=1", r"at column 6, expected `where`, found `a`"),
        ("flag where", r"at column 11, expected a condition"),
        ("exclude where a=1", r"an exclusion needs a reason: .* because misinformation"),
        ("label where a=1", r"at column 7, expected the label"),
        ("label x y where a=1", r"at column 9, expected `where`, found `y`"),
        ("flag x where a=1", r"at column 6, expected `where`, found `x`"),
        ("flag where a=1 b", r"at column 16, expected `and`, `or`, `because` or the end, found `b`"),
        ("flag where a=1 because", r"at column 23, expected a reason, found the end"),
        ("flag where a=1 because x y", r"at column 26, expected `:` with a comment, or the end, found `y`"),
        ("flag where a=1 because x: y", r"at column 27, expected the comment in double quotes, found `y`"),
        ('flag where a=1 because x: "y" z', r"at column 31, expected the end, found `z`"),
        ('flag where a="\n"', r"a rule is one line"),
        ("flag where a=1 because \0", r"column 24 is '\\x00'"),
        ('flag where a=1 because x: "' + "y" * 10_000 + '"', r"at most 10,000 characters"),
        ('flag where a=1 because x: "' + "y" * 9_971 + '"', r"at most 10,000 characters, this one has 10,001"),
    ],
)
def test_a_malformed_rule_is_refused_with_the_place(text, message):
    with pytest.raises(QueryError, match=message):
        parse_rule(text)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"kind": "exclude"}, "needs a reason"),
        ({"kind": "label"}, "name a label"),
        ({"kind": "flag", "label": "x"}, "name a label"),
        ({"kind": "flag", "comment": "x"}, "a comment stands behind a reason"),
        ({"kind": "flag", "reason": "x", "comment": "two\nlines"}, "one line"),
    ],
)
def test_parts_that_do_not_go_together_make_no_rule(parts, message):
    with pytest.raises(QueryError, match=message):
        Rule(condition=IS_A, **parts)


def test_a_file_skips_comments_and_empty_lines():
    text = "\ufeff# why\r\n\r\n  flag where a=1\r\n\t# exclude where b=2\nrestore where a=1"
    assert parse_rules(text) == [Rule("flag", IS_A), Rule("restore", IS_A)]
    assert parse_rules("") == []


def test_an_error_in_a_file_names_the_line_and_its_column():
    with pytest.raises(QueryError, match=r"^line 4: at column 10, expected `where`, found `a`\.$"):
        parse_rules("# comment\n\nflag where a=1\n    flag a=1\n")


def test_the_rules_of_the_user_page_are_rules():
    (block,) = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    assert [rule.kind for rule in parse_rules(block)] == ["exclude", "flag", "restore", "label", "unlabel"]


def test_the_conditions_of_the_user_page_are_conditions():
    cells = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `")]
    quoted = [code for cell in cells for pair in re.findall(r"`` (.+?) ``|`([^`]+)`", cell) for code in pair]
    conditions = [code for code in quoted if " " in code]
    assert len(conditions) > 20
    assert [parse_where(str(parse_where(code))) for code in conditions] == list(map(parse_where, conditions))
